"""Proposed changes: loaded under their orders' locks, stored, listed for their two sides."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

import asyncpg
import orjson

from schemas.dump import to_json
from services.domain.world import ChangeState, Failure
from services.kit.database import Connection

_COLUMNS = (
    "id", "order_id", "origin_id", "destination_id", "proposer_id", "command_id", "status",
    "stale", "reason_code", "change_types", "amended", "changes", "created_at", "updated_at",
)  # fmt: skip
_SELECTED = ", ".join(f"c.{column}" for column in _COLUMNS)

_LOAD = f"""
SELECT {_SELECTED} FROM order_changes AS c
WHERE c.order_id = ANY($1::text[]) AND c.status = 'requested'
UNION ALL
SELECT {_SELECTED} FROM order_changes AS c
WHERE c.id = ANY($2::text[]) AND c.order_id = ANY($1::text[]) AND c.status <> 'requested'
"""


async def orders_of(
    connection: Connection, changes: Iterable[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Of (tenant id, change id) the (tenant id, order id) they are about.

    A change never moves to another order. One of others is not found: whoever names it costs and
    waits no more than whoever names none (guarantee 6).
    """
    asked = sorted(changes)
    rows = await connection.fetch(
        """
        SELECT wanted.tenant_id, c.order_id
        FROM unnest($1::text[], $2::text[]) AS wanted (tenant_id, id)
        JOIN order_changes AS c USING (id)
        WHERE wanted.tenant_id IN (c.origin_id, c.destination_id)
        """,
        [tenant_id for tenant_id, _ in asked],
        [change_id for _, change_id in asked],
    )
    return {(row["tenant_id"], row["order_id"]) for row in rows}


async def load(
    connection: Connection, order_ids: Collection[str], change_ids: Collection[str]
) -> list[ChangeState]:
    """The pending changes of these orders, and of their changes these, whatever became of them.

    The rows of the orders must be locked: they guard their changes.
    """
    rows = await connection.fetch(_LOAD, sorted(order_ids), sorted(change_ids))
    return [state_of(row) for row in rows]


def state_of(row: asyncpg.Record | Mapping[str, Any]) -> ChangeState:
    """The change of a row with all columns."""
    amended, changes = orjson.loads(row["amended"]), orjson.loads(row["changes"])
    return ChangeState(
        id=row["id"],
        order_id=row["order_id"],
        origin_id=row["origin_id"],
        destination_id=row["destination_id"],
        proposer_id=row["proposer_id"],
        command_id=row["command_id"],
        types=tuple(row["change_types"]),
        amended=(amended["origin"], amended["master"], amended["destination"]),
        changes=(changes["origin"], changes["destination"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        status=row["status"],
        stale=row["stale"],
        reason_code=row["reason_code"],
    )


# What is proposed never changes; what becomes of it does.
_STORE = """
INSERT INTO order_changes (id, order_id, origin_id, destination_id, proposer_id, command_id,
                           status, stale, reason_code, change_types, amended, changes, created_at,
                           updated_at)
SELECT id, order_id, origin_id, destination_id, proposer_id, command_id, status, stale,
    reason_code, string_to_array(change_types, ' '), amended, changes, created_at, updated_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::boolean[], $9::text[], $10::text[], $11::json[], $12::json[], $13::timestamptz[],
            $14::timestamptz[])
     AS new (id, order_id, origin_id, destination_id, proposer_id, command_id, status, stale,
             reason_code, change_types, amended, changes, created_at, updated_at)
ON CONFLICT (id) DO UPDATE SET status = excluded.status, stale = excluded.stale,
    reason_code = excluded.reason_code, updated_at = excluded.updated_at
"""


async def store(connection: Connection, changes: Iterable[ChangeState]) -> None:
    """Write what became of these changes; of several states of one the last counts.

    The rows of their orders must be locked.
    """
    last = {change.id: change for change in changes}
    # Those that are settled go first: an order has one pending change at most.
    for pending in (False, True):
        rows = [_row(each) for each in last.values() if (each.status == "requested") is pending]
        if rows:
            await connection.execute(_STORE, *(list(column) for column in zip(*rows, strict=True)))


def _row(change: ChangeState) -> tuple[Any, ...]:
    amended = dict(zip(("origin", "master", "destination"), change.amended, strict=True))
    changes = dict(zip(("origin", "destination"), change.changes, strict=True))
    return (
        change.id,
        change.order_id,
        change.origin_id,
        change.destination_id,
        change.proposer_id,
        change.command_id,
        change.status,
        change.stale,
        change.reason_code,
        " ".join(change.types),
        to_json(amended).decode(),
        to_json(changes).decode(),
        change.created_at,
        change.updated_at,
    )


_FAILURES = """
SELECT DISTINCT ON (order_id, tenant_id) order_id, tenant_id, id, entry, created_at
FROM log_entries
WHERE order_id = ANY($1::text[]) AND entry ->> 'status' = 'failed'
ORDER BY order_id, tenant_id, created_at DESC
"""


async def failures(
    connection: Connection, order_ids: Collection[str]
) -> dict[tuple[str, str], Failure]:
    """The last failure each tenant was told of each of these orders, by (order id, tenant id)."""
    rows = await connection.fetch(_FAILURES, sorted(order_ids))
    found = {}
    for row in rows:
        entry = orjson.loads(row["entry"])
        message = (entry.get("detail") or {}).get("message")
        found[row["order_id"], row["tenant_id"]] = Failure(
            row["created_at"], row["id"], entry.get("title"), message
        )
    return found


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which changes are looked for; all that is given must hold.

    `numbers` are numbers of either side, `types` any of which fits. `since` and `until` bound the
    time of the proposal, or with `moved` that of the last step; `until` itself is not within.
    """

    status: str | None = None
    numbers: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    moved: bool = False
    partner_id: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A change with its order's numbers."""

    change: ChangeState
    origin_number: str
    destination_number: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """The changes that fit, and whether there are no more than these."""

    changes: list[Listed]
    complete: bool


# One statement a tenant and side, the newest first by an index of that side, which ends the reading
# with the last row wanted. Orders are looked up one by one: joined, they may be read whole where
# one pair has most of them. What differs may be large: it is fetched for the rows that are shown.
_LISTED = ", ".join(f"c.{column}" for column in _COLUMNS if column not in {"amended", "changes"})
_SIDE = """
SELECT c.*, o.origin_number, o.destination_number
FROM (
    SELECT {columns}, pg_column_size(c.changes) AS bytes
    FROM order_changes AS c
    WHERE c.{side} = $3 AND {once}
      AND ($2::text IS NULL OR $2 IN (c.origin_id, c.destination_id))
      {conditions}
    ORDER BY c.{moment} DESC, c.id DESC
    LIMIT {limit}
) AS c
CROSS JOIN LATERAL (
    SELECT origin_number, destination_number FROM orders WHERE id = c.order_id LIMIT 1
) AS o
"""
# A change between two of the caller's own tenants is told by its origin's side.
_ONCE = {
    "origin_id": "$1::text[] IS NOT NULL",
    "destination_id": "c.origin_id <> ALL($1::text[])",
}
_OF_NUMBERS = """
  AND c.order_id = ANY(ARRAY(
    SELECT n.id FROM orders AS n
    WHERE n.{side} = $3 AND n.origin_number = ANY(${at}::text[])
    UNION
    SELECT n.id FROM orders AS n
    WHERE n.{side} = $3 AND n.destination_number = ANY(${at}::text[])))
"""
_NOTHING = orjson.dumps({"origin": {}, "master": {}, "destination": {}})
# As they are stored, which is compressed: a list must not take a process's memory.
_MOST_BYTES = 8 * 1024 * 1024


async def find(
    connection: Connection, tenant_ids: Sequence[str], wanted: ChangeFilter, limit: int
) -> Found:
    """The changes of these tenants' orders that fit, the newest first, at most `limit` (X02).

    Newest by the time the filter goes by: that of the proposal, with `moved` of the last step. What
    they would make of the order is left out.
    """
    rows: list[asyncpg.Record] = []
    newest = itemgetter("updated_at" if wanted.moved else "created_at", "id")
    for side in ("origin_id", "destination_id"):
        query, values = statement(side, wanted, limit + 1)
        for tenant_id in tenant_ids:
            rows += await connection.fetch(
                query, list(tenant_ids), wanted.partner_id, tenant_id, *values
            )
            # A credential may have many tenants: no more is held than can be shown.
            rows = sorted(rows, key=newest, reverse=True)[: limit + 1]
    shown = rows[: _fitting(rows[:limit])]
    texts = await connection.fetch(
        "SELECT id, changes FROM order_changes WHERE id = ANY($1::text[])",
        [row["id"] for row in shown],
    )
    changes = {row["id"]: row["changes"] for row in texts}
    found = [
        Listed(
            state_of({**row, "amended": _NOTHING, "changes": changes[row["id"]]}),
            row["origin_number"],
            row["destination_number"],
        )
        for row in shown
    ]
    return Found(found, complete=len(found) == len(rows))


def _fitting(rows: Sequence[asyncpg.Record]) -> int:
    """How many of these, from the first, are not too much together; one always."""
    total = 0
    for count, row in enumerate(rows):
        total += row["bytes"]
        if total > _MOST_BYTES and count:
            return count
    return len(rows)


def statement(side: str, wanted: ChangeFilter, limit: int) -> tuple[str, list[Any]]:
    """The statement for one side, and its values from $4 on."""
    moment = "updated_at" if wanted.moved else "created_at"
    values: list[Any] = []
    conditions = []

    def given(value: Any, condition: str) -> None:
        values.append(value)
        conditions.append(condition.format(at=len(values) + 3, side=side))

    if wanted.status is not None:
        given(wanted.status, " AND c.status = ${at}")
    if wanted.types:
        given(list(wanted.types), " AND c.change_types && ${at}::text[]")
    if wanted.since is not None:
        given(wanted.since, f" AND c.{moment} >= ${{at}}")
    if wanted.until is not None:
        given(wanted.until, f" AND c.{moment} < ${{at}}")
    if wanted.numbers:
        given(list(wanted.numbers), _OF_NUMBERS)
    query = _SIDE.format(
        columns=_LISTED,
        side=side,
        once=_ONCE[side],
        conditions="".join(conditions),
        moment=moment,
        limit=int(limit),
    )
    return query, values


_LINES = """
SELECT c.id, c.order_id, o.origin_number AS number, o.destination_number,
    origin.slug AS origin, destination.slug AS destination, proposer.slug AS proposed_by,
    c.status, c.stale, c.reason_code, c.change_types, c.created_at, c.updated_at
FROM order_changes AS c
JOIN orders AS o ON o.id = c.order_id
JOIN tenants AS origin ON origin.id = c.origin_id
JOIN tenants AS destination ON destination.id = c.destination_id
JOIN tenants AS proposer ON proposer.id = c.proposer_id
"""


async def lines(
    connection: Connection,
    *,
    status: str | None = None,
    tenant: str | None = None,
    number: str | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Changes for operators, the newest first; `tenant` is the slug of either side.

    `number` is one of either side, or the order's id.
    """
    rows = await connection.fetch(
        f"{_LINES} WHERE ($1::text IS NULL OR c.status = $1)"
        " AND ($2::text IS NULL OR $2 IN (origin.slug, destination.slug))"
        " AND ($3::text IS NULL OR $3 IN (o.origin_number, o.destination_number, o.id))"
        " ORDER BY c.id DESC LIMIT $4",
        status,
        tenant,
        number,
        limit,
    )
    return [dict(row) for row in rows]


async def one(connection: Connection, change_id: str) -> dict[str, Any] | None:
    """A change for operators: its line, what differs as each side is told, and what it proposes."""
    row = await connection.fetchrow(f"{_LINES} WHERE c.id = $1", change_id)
    if row is None:
        return None
    documents = await connection.fetchrow(
        "SELECT command_id, amended, changes FROM order_changes WHERE id = $1", change_id
    )
    if documents is None:
        return None
    return {
        **dict(row),
        "command_id": documents["command_id"],
        "changes": orjson.loads(documents["changes"]),
        "amended": orjson.loads(documents["amended"]),
    }
