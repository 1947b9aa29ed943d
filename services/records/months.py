"""Partitions by month of what is append-only, made ahead; rows without a month are moved.

A row whose month has no partition falls into the default one, and from then on that month cannot
be made without moving it: so months are made a year ahead, at `db migrate` and once a day.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from services.kit.database import Connection, Session, retry_conflicts
from services.kit.metrics import DEFAULT_PARTITION_ROWS

TABLES = ("log_entries", "order_events")
AHEAD = 12

# Nothing here changes until its month is dropped: vacuum would write each page again for hints.
_STORAGE = "WITH (autovacuum_vacuum_insert_threshold = -1)"

_WITHOUT_MONTH = """
SELECT DISTINCT date_trunc('month', created_at, 'UTC')::date AS month FROM {table}_default
"""


async def ensure(session: Session, *, ahead: int = AHEAD) -> list[str]:
    """Make the partitions of this month and of `ahead` months to come; the names of new ones.

    Rows in a default partition go into their months. Each partition is a transaction of its own;
    writers of the table wait while rows are moved, and no longer. `session` is in none.
    """
    today: datetime = await session.fetchval("SELECT now()")
    made = []
    for table in TABLES:
        rows = await session.fetch(_WITHOUT_MONTH.format(table=table))
        wanted = {row["month"] for row in rows}
        wanted.update(month_after(today.astimezone(UTC).date(), n) for n in range(ahead + 1))
        for month in sorted(wanted):
            async for attempt in retry_conflicts():
                with attempt:
                    if await _make(session, table, month):
                        made.append(partition_name(table, month))
    await measure(session)
    return made


async def measure(session: Session | Connection) -> dict[str, int]:
    """How many rows stand in each default partition; the metric of it is set."""
    found = {}
    for table in TABLES:
        found[table] = await session.fetchval(f"SELECT count(*) FROM {table}_default")
        DEFAULT_PARTITION_ROWS.labels(table).set(found[table])
    return found


async def missing(session: Session | Connection, months: int = 2) -> list[str]:
    """The partitions of this month and the next ones that are not there."""
    today: datetime = await session.fetchval("SELECT now()")
    names = [
        partition_name(table, month_after(today.astimezone(UTC).date(), n))
        for table in TABLES
        for n in range(months)
    ]
    rows = await session.fetch(
        "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL", names
    )
    return [row["name"] for row in rows]


def month_after(day: date, months: int) -> date:
    """The first day of the month `months` after the one of `day`."""
    years, month = divmod(day.month - 1 + months, 12)
    return date(day.year + years, month + 1, 1)


def partition_name(table: str, month: date) -> str:
    """`log_entries_2026_11`."""
    return f"{table}_{month:%Y_%m}"


async def _make(session: Session, table: str, month: date) -> bool:
    """One partition with the rows of its month; False when it is there."""
    name, end = partition_name(table, month), month_after(month, 1)
    there = "SELECT to_regclass($1)"
    if await session.fetchval(there, name) is not None:
        return False
    async with session.transaction():
        # Writers wait at the table itself, before they choose a partition. One that had chosen the
        # default partition and waited there would find its row forbidden in it.
        await session.execute(f"LOCK TABLE ONLY {table} IN SHARE ROW EXCLUSIVE MODE")
        if await session.fetchval(there, name) is not None:
            return False
        await session.execute(f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE")
        await session.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL) {_STORAGE}")
        bounds = f"created_at >= '{month} 00:00+00' AND created_at < '{end} 00:00+00'"
        await session.execute(
            f"WITH moved AS (DELETE FROM {table}_default WHERE {bounds} RETURNING *)"
            f" INSERT INTO {name} SELECT * FROM moved"
        )
        await session.execute(
            f"ALTER TABLE {table} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{month} 00:00+00') TO ('{end} 00:00+00')"
        )
    return True
