"""What is forgotten after its time: commands, months of history, faults; in small steps.

Every step is a transaction of its own that waits for nobody for long, so that it may run beside
full traffic, and be ended and taken up again at any step by any process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from services.kit.database import Connection, Session, retry_conflicts
from services.records import months

COMMANDS_A_PAGE = 1000
# How long faults and repaired lanes can be asked for.
FAULT_DAYS = 90
# The lock on a parent table is asked for with little patience: writers queue behind whoever waits.
_DETACH_PATIENCE = "500ms"
_ATTEMPTS = 12

_MONTH_NAME = re.compile(rf"({'|'.join(months.TABLES)})_(\d{{4}})_(\d{{2}})")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next page of commands begins: after this one, by acceptance."""

    accepted_at: datetime
    tenant_id: str
    command_id: str


@dataclass(frozen=True, slots=True)
class Page:
    """How many commands of a page were forgotten; `last` is None after the last page."""

    forgotten: int
    last: Place | None


START = Place(datetime(1, 1, 1, tzinfo=UTC), "", "")

# The first condition is what the index is searched with, the second the place within one moment.
_OLD_COMMANDS = """
SELECT accepted_at, tenant_id, command_id FROM commands
WHERE accepted_at >= $1 AND accepted_at < $4
  AND (accepted_at, tenant_id, command_id) > ($1, $2, $3)
ORDER BY accepted_at, tenant_id, command_id LIMIT $5
"""
# An answer nobody could be told yet is kept, however old: its record is parked.
_FORGET = """
WITH gone AS (
    DELETE FROM commands AS c
    USING unnest($1::text[], $2::text[]) AS old (tenant_id, command_id)
    WHERE c.tenant_id = old.tenant_id AND c.command_id = old.command_id
      AND c.outcome IN ('done', 'refused', 'failed') AND c.final_at < $3
      AND NOT EXISTS (SELECT FROM outbox AS u WHERE u.id = c.result_id)
      AND NOT EXISTS (SELECT FROM outbox_parked AS u WHERE u.id = c.result_id)
    RETURNING c.operation, c.outcome
), counted AS (
    SELECT operation, outcome, count(*) AS n FROM gone GROUP BY operation, outcome
), added AS (
    INSERT INTO commands_forgotten (operation, outcome, n)
    SELECT operation, outcome, n FROM counted ORDER BY operation, outcome
    ON CONFLICT (operation, outcome) DO UPDATE SET n = commands_forgotten.n + excluded.n
)
SELECT coalesce(sum(n), 0)::bigint FROM counted
"""
_OVERDUE = """
SELECT count(*) AS n, min(final_at) AS oldest
FROM (SELECT outcome, final_at, result_id FROM commands WHERE accepted_at < $1
      ORDER BY accepted_at LIMIT $2) AS c
WHERE c.outcome IN ('done', 'refused', 'failed') AND c.final_at < $1
  AND NOT EXISTS (SELECT FROM outbox_parked AS u WHERE u.id = c.result_id)
"""


async def forget_page(session: Session, *, days: int, after: Place = START) -> Page:
    """Forget commands of one page whose final answer is older than `days`; they stay counted.

    What waits, or whose answer could not be published yet, is kept. `session` is in no transaction.
    """
    before: datetime = await session.fetchval("SELECT now()") - timedelta(days=days)
    rows = await session.fetch(
        _OLD_COMMANDS, after.accepted_at, after.tenant_id, after.command_id, before, COMMANDS_A_PAGE
    )
    forgotten = 0
    ids = sorted((row["tenant_id"], row["command_id"]) for row in rows)
    if ids:
        tenants, commands = [id_[0] for id_ in ids], [id_[1] for id_ in ids]
        async for attempt in retry_conflicts():
            with attempt:
                forgotten = await session.fetchval(_FORGET, tenants, commands, before)
    last = Place(*rows[-1]) if len(rows) == COMMANDS_A_PAGE else None
    return Page(forgotten, last)


async def forgotten(connection: Connection) -> dict[str, dict[str, int]]:
    """How many commands were forgotten, by operation and outcome."""
    found: dict[str, dict[str, int]] = {}
    for row in await connection.fetch("SELECT operation, outcome, n FROM commands_forgotten"):
        found.setdefault(row["operation"], {})[row["outcome"]] = row["n"]
    return found


async def overdue(
    connection: Connection, *, days: int, limit: int = 100_000
) -> tuple[int, datetime | None]:
    """How many of the oldest `limit` commands should be forgotten by now; the oldest answer's date.

    A day's grace is for the caller to add to `days`.
    """
    before: datetime = await connection.fetchval("SELECT now()") - timedelta(days=days)
    row = await connection.fetchrow(_OVERDUE, before, limit)
    return (row["n"], row["oldest"]) if row is not None else (0, None)


_MONTHS = """
SELECT c.relname AS name FROM pg_class AS c
WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
  AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'
ORDER BY c.relname
"""
_ATTACHED = "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1))"


async def old_months(session: Session | Connection, *, keep: int) -> list[str]:
    """The months of history older than the current one and the `keep` before it.

    Those that were detached and not dropped, for a process died between the two, are among them.
    """
    today: datetime = await session.fetchval("SELECT now()")
    first = months.month_after(today.astimezone(UTC).date(), -keep)
    found = []
    for row in await session.fetch(_MONTHS):
        told = _MONTH_NAME.fullmatch(row["name"])
        if told and date(int(told[2]), int(told[3]), 1) < first:
            found.append(row["name"])
    return found


async def drop_month(session: Session, name: str) -> None:
    """Take one month of history out of its table, and drop it; `session` is in no transaction.

    Its table's writers wait for the first, which is short; unlinking the files holds up nobody.
    Raises asyncpg.LockNotAvailableError where somebody holds on to the table: another time, then.
    Passed over: DETACH CONCURRENTLY, which a table with a default partition does not have.
    """
    told = _MONTH_NAME.fullmatch(name)
    if told is None:
        raise ValueError(f"not a month of history: {name}")
    async for attempt in retry_conflicts(attempts=_ATTEMPTS):
        with attempt:
            async with session.transaction():
                await session.execute(f"SET LOCAL lock_timeout = '{_DETACH_PATIENCE}'")
                await session.execute(f"LOCK TABLE ONLY {told[1]} IN ACCESS EXCLUSIVE MODE")
                if await session.fetchval(_ATTACHED, name):
                    await session.execute(f"ALTER TABLE {told[1]} DETACH PARTITION {name}")
    async for attempt in retry_conflicts(attempts=_ATTEMPTS):
        with attempt:
            await session.execute(f"DROP TABLE IF EXISTS {name}")


async def forget_faults(session: Session, *, days: int = FAULT_DAYS) -> int:
    """Forget faults of records and repaired lanes older than `days`; how many."""
    before: datetime = await session.fetchval("SELECT now()") - timedelta(days=days)
    told = 0
    for statement in (
        "DELETE FROM stream_faults WHERE happened_at < $1",
        "DELETE FROM lane_repairs WHERE repaired_at < $1",
    ):
        told += int((await session.execute(statement, before)).rpartition(" ")[2])
    return told
