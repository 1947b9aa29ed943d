"""Orders: loading them under lock, finding them for a reader, storing what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import asyncpg
import orjson

from services.domain.world import OrderState
from services.kit.database import Connection
from services.records.texts import Texts

_MEMBERS = (
    "id", "origin_id", "destination_id", "origin_number", "destination_number", "po",
    "command_id", "correlation_id", "origin_system", "origin_instance", "mapping", "delivery",
    "receipt", "progress", "failed_at_step", "message", "units", "created_by_hauler",
    "origin_document", "master_document", "destination_document", "origin_sequence",
    "destination_sequence", "waiting", "accepted_at", "created_at", "updated_at",
)  # fmt: skip
_DOCUMENTS = frozenset({"origin_document", "master_document", "destination_document"})


def _documents_at(members: Sequence[str]) -> tuple[int, ...]:
    return tuple(at for at, member in enumerate(members) if member in _DOCUMENTS)


_DOCUMENTS_AT = _documents_at(_MEMBERS)
_INSERTED = (*_MEMBERS, "origin_outbox_id", "destination_outbox_id")
_VALUES = attrgetter(*_MEMBERS)
_COLUMNS = ", ".join(f"o.{member}" for member in _MEMBERS)

# Honest `synced` (K40): the newest record towards either side is in neither table.
_DELIVERED = """
    NOT EXISTS (SELECT FROM outbox AS p
                WHERE p.id IN (o.origin_outbox_id, o.destination_outbox_id))
    AND NOT EXISTS (SELECT FROM outbox_parked AS p
                    WHERE p.id IN (o.origin_outbox_id, o.destination_outbox_id)) AS delivered
"""

_LOCK_BY_ID = f"""
SELECT {_COLUMNS}, true AS delivered FROM orders AS o WHERE o.id = ANY($1::text[])
ORDER BY o.id FOR UPDATE
"""

_IDS_BY_ORIGIN_NUMBER = """
SELECT o.id FROM unnest($1::text[], $2::text[]) AS wanted (tenant_id, number)
JOIN orders AS o ON o.origin_id = wanted.tenant_id AND o.origin_number = wanted.number
"""


async def lock(
    connection: Connection, ids: Iterable[str], numbers: Iterable[tuple[str, str]]
) -> list[OrderState]:
    """The orders with these ids, or that these tenants created under these numbers, locked.

    `numbers` are (origin tenant id, number). Rows are locked in the order of their ids. `delivered`
    is not looked up and says True.
    """
    wanted = set(ids)
    pairs = sorted(set(numbers))
    if pairs:
        rows = await connection.fetch(
            _IDS_BY_ORIGIN_NUMBER, [tenant for tenant, _ in pairs], [number for _, number in pairs]
        )
        wanted.update(row["id"] for row in rows)
    if not wanted:
        return []
    return [state_of(row) for row in await connection.fetch(_LOCK_BY_ID, sorted(wanted))]


# K34: the caller's own number first, then the partner's; the destination's own number is the one
# it gave, the origin's number keeps finding the order.
_FIND = f"""
WITH mine AS (
    SELECT o.id, 1 AS rank FROM orders AS o
    WHERE o.origin_id = ANY($1::text[]) AND o.origin_number = $3
    UNION ALL
    SELECT o.id, 1 FROM orders AS o
    WHERE o.destination_id = ANY($1::text[]) AND o.destination_number = $3
    UNION ALL
    SELECT o.id, 2 FROM orders AS o
    WHERE o.destination_id = ANY($1::text[]) AND o.origin_number = $3
    UNION ALL
    SELECT o.id, 2 FROM orders AS o
    WHERE o.origin_id = ANY($1::text[]) AND o.destination_number = $3
    UNION ALL
    SELECT o.id, 1 FROM orders AS o
    WHERE $3::text IS NULL AND o.id = $2
), best AS (
    SELECT id, min(rank) AS rank FROM mine GROUP BY id
)
SELECT {_COLUMNS}, {_DELIVERED}, best.rank
FROM best JOIN orders AS o ON o.id = best.id
WHERE ($2::text IS NULL OR o.id = $2)
  AND (o.origin_id = ANY($1::text[]) OR o.destination_id = ANY($1::text[]))
  AND ($4::text IS NULL OR $4 IN (o.origin_id, o.destination_id))
ORDER BY best.rank, o.id
LIMIT 20
"""


async def find(
    connection: Connection,
    tenant_ids: Sequence[str],
    *,
    order_id: str | None = None,
    number: str | None = None,
    partner_id: str | None = None,
) -> list[OrderState]:
    """The orders one of these tenants may read, by id, by number, or by both (K34, K08).

    `number` is looked for as the caller's own first; only if none fits, as the partner's. Several
    are returned where it fits orders of several pairs. Id and number that disagree find nothing.
    """
    rows = await connection.fetch(_FIND, list(tenant_ids), order_id, number, partner_id)
    best = min((row["rank"] for row in rows), default=0)
    return [state_of(row) for row in rows if row["rank"] == best]


def state_of(row: asyncpg.Record) -> OrderState:
    """The order of a row with all member columns and `delivered`."""
    members: dict[str, Any] = {member: row[member] for member in _MEMBERS}
    for document in _DOCUMENTS:
        members[document] = None if row[document] is None else orjson.loads(row[document])
    return OrderState(**members, delivered=row["delivered"])


async def insert(
    connection: Connection,
    orders: Sequence[tuple[OrderState, int | None, int | None]],
    texts: Texts,
) -> None:
    """Store new orders, each with the outbox ids of its newest records to origin and destination.

    Raises asyncpg.UniqueViolationError where a number was given to another order meanwhile.
    """
    if not orders:
        return
    await connection.copy_records_to_table(
        "orders",
        columns=_INSERTED,
        records=[
            (*_values(order, _VALUES, _DOCUMENTS_AT, texts), origin_row, destination_row)
            for order, origin_row, destination_row in orders
        ],
    )


_UPDATED = tuple(
    member
    for member in _MEMBERS
    if member
    not in {"id", "origin_id", "destination_id", "command_id", "accepted_at", "created_at"}
)
_UPDATED_VALUES = attrgetter(*_UPDATED)
_UPDATED_DOCUMENTS_AT = _documents_at(_UPDATED)
_TYPES = {
    "created_by_hauler": "boolean",
    "origin_sequence": "integer",
    "destination_sequence": "integer",
    "waiting": "integer",
    "updated_at": "timestamptz",
    **dict.fromkeys(_DOCUMENTS, "json"),
}
_UPDATE = f"""
UPDATE orders AS o SET
    {", ".join(f"{member} = new.{member}" for member in _UPDATED)},
    origin_outbox_id = coalesce(new.origin_outbox_id, o.origin_outbox_id),
    destination_outbox_id = coalesce(new.destination_outbox_id, o.destination_outbox_id)
FROM unnest(
    $1::text[],
    {", ".join(f"${at}::{_TYPES.get(m, 'text')}[]" for at, m in enumerate(_UPDATED, 2))},
    ${len(_UPDATED) + 2}::bigint[], ${len(_UPDATED) + 3}::bigint[]
) AS new (id, {", ".join(_UPDATED)}, origin_outbox_id, destination_outbox_id)
WHERE o.id = new.id
"""


async def update(
    connection: Connection,
    orders: Sequence[tuple[OrderState, int | None, int | None]],
    texts: Texts,
) -> None:
    """Store what became of locked orders; outbox ids of None leave the old ones."""
    if not orders:
        return
    rows = [
        (
            order.id,
            *_values(order, _UPDATED_VALUES, _UPDATED_DOCUMENTS_AT, texts),
            origin_row,
            destination_row,
        )
        for order, origin_row, destination_row in orders
    ]
    await connection.execute(_UPDATE, *(list(column) for column in zip(*rows, strict=True)))


def _values(
    order: OrderState,
    values_of: Callable[[OrderState], tuple[Any, ...]],
    documents_at: Sequence[int],
    texts: Texts,
) -> list[Any]:
    values = list(values_of(order))
    for at in documents_at:
        if values[at] is not None:
            values[at] = texts.of(values[at]).decode()
    return values
