"""Orders: loading them under lock, finding them for a reader, storing what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeAlias

import asyncpg
import orjson

from services.domain.world import OrderState
from services.kit.database import Connection, insert_rows
from services.records.texts import Texts

# An order, and the outbox ids of its newest records to origin and destination; None: none is new.
Written: TypeAlias = tuple[OrderState, int | None, int | None]

_MEMBERS = (
    "id", "origin_id", "destination_id", "origin_number", "destination_number", "po",
    "command_id", "correlation_id", "origin_system", "origin_instance", "mapping", "delivery",
    "receipt", "progress", "failed_at_step", "message", "units", "created_by_hauler",
    "origin_document", "master_document", "destination_document", "origin_sequence",
    "destination_sequence", "waiting", "trip", "cancellation", "last_receipt", "accepted_at",
    "created_at", "updated_at",
)  # fmt: skip
_DOCUMENTS = ("origin_document", "master_document", "destination_document")
_JSON = (*_DOCUMENTS, "trip", "cancellation", "last_receipt")
_INSERTED = (*_MEMBERS, "origin_outbox_id", "destination_outbox_id")
_COLUMNS = ", ".join(f"o.{member}" for member in _MEMBERS)

# Honest `synced` (K40): the newest record towards either side is in neither table.
_DELIVERED = """
    NOT EXISTS (SELECT FROM outbox AS p
                WHERE p.id IN (o.origin_outbox_id, o.destination_outbox_id))
    AND NOT EXISTS (SELECT FROM outbox_parked AS p
                    WHERE p.id IN (o.origin_outbox_id, o.destination_outbox_id)) AS delivered
"""

# An id counts for a tenant of its order alone: a stranger's question does not wait for whoever has
# the row (guarantee 6).
_OF_TENANT = """
    SELECT n.id FROM unnest($1::text[], $2::text[]) AS wanted (tenant_id, id)
    JOIN orders AS n USING (id) WHERE wanted.tenant_id IN (n.origin_id, n.destination_id)
"""
_LOCK_BY_ID = f"""
SELECT {_COLUMNS}, true AS delivered FROM orders AS o WHERE o.id = ANY(ARRAY({_OF_TENANT}))
ORDER BY o.id FOR UPDATE
"""
# The ids are found before any row is locked: by id, by the number its origin gave it, and by what
# either side calls it, each from the side that asks.
_LOCK = f"""
SELECT {_COLUMNS}, true AS delivered FROM orders AS o
WHERE o.id = ANY(ARRAY(
    {_OF_TENANT}
    UNION
    SELECT n.id FROM unnest($3::text[], $4::text[]) AS wanted (tenant_id, number)
    JOIN orders AS n ON n.origin_id = wanted.tenant_id AND n.origin_number = wanted.number
    UNION
    SELECT n.id FROM unnest($5::text[], $6::text[]) AS wanted (tenant_id, number)
    JOIN orders AS n ON n.destination_id = wanted.tenant_id AND n.origin_number = wanted.number
    UNION
    SELECT n.id FROM unnest($5::text[], $6::text[]) AS wanted (tenant_id, number)
    JOIN orders AS n
        ON n.origin_id = wanted.tenant_id AND n.destination_number = wanted.number
    UNION
    SELECT n.id FROM unnest($5::text[], $6::text[]) AS wanted (tenant_id, number)
    JOIN orders AS n
        ON n.destination_id = wanted.tenant_id AND n.destination_number = wanted.number
))
ORDER BY o.id FOR UPDATE
"""


async def lock(
    connection: Connection,
    ids: Iterable[tuple[str, str]],
    numbers: Iterable[tuple[str, str]],
    addresses: Iterable[tuple[str, str]] = (),
) -> list[OrderState]:
    """The orders that these tenants know by these ids or numbers, locked.

    `ids` are (tenant id, order id), `numbers` (tenant id, number) of orders the tenant created,
    `addresses` those of any order of the tenant's pairs, whichever side gave the number (K34). Rows
    are locked in the order of their ids. `delivered` is not looked up and says True.
    """
    wanted = _columns(ids)
    called = set(addresses)
    created = called.union(numbers)
    if created:
        rows = await connection.fetch(_LOCK, *wanted, *_columns(created), *_columns(called))
    elif wanted[0]:
        rows = await connection.fetch(_LOCK_BY_ID, *wanted)
    else:
        rows = []
    return [state_of(row) for row in rows]


def _columns(pairs: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """Pairs, each once and sorted, as two columns."""
    each = sorted(set(pairs))
    return [one for one, _ in each], [other for _, other in each]


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
    for document in _JSON:
        if members[document] is not None:
            members[document] = orjson.loads(members[document])
    return OrderState(**members, delivered=row["delivered"])


async def insert(connection: Connection, orders: Sequence[Written], texts: Texts) -> None:
    """Store new orders.

    Raises asyncpg.UniqueViolationError where a number was given to another order meanwhile.
    """
    values = _Values(_MEMBERS, texts)
    records = [(*values.of(order), *outbox_ids) for order, *outbox_ids in orders]
    await insert_rows(connection, "orders", _INSERTED, records)


async def update(
    connection: Connection,
    orders: Iterable[Written],
    before: Mapping[str, OrderState],
    texts: Texts,
) -> None:
    """Store what became of locked orders; outbox ids of None leave the old ones.

    `before` are their states as they were loaded: documents that are the same objects still are
    not written again, which is most of what an update costs.
    """
    moved: list[Written] = []
    rewritten: list[Written] = []
    for written in orders:
        order = written[0]
        (moved if _same_documents(order, before[order.id]) else rewritten).append(written)
    await _MOVE.run(connection, moved, texts)
    await _REWRITE.run(connection, rewritten, texts)


def _same_documents(one: OrderState, other: OrderState) -> bool:
    return (
        one.origin_document is other.origin_document
        and one.master_document is other.master_document
        and one.destination_document is other.destination_document
    )


_TYPES = {
    "created_by_hauler": "boolean",
    "origin_sequence": "integer",
    "destination_sequence": "integer",
    "waiting": "integer",
    "updated_at": "timestamptz",
    **dict.fromkeys(_JSON, "json"),
}
# What a command may change that leaves the documents as they are.
_MOVED = (
    "destination_number", "mapping", "delivery", "receipt", "progress", "failed_at_step",
    "message", "origin_sequence", "destination_sequence", "waiting", "trip", "cancellation",
    "last_receipt", "updated_at",
)  # fmt: skip
_FIXED = {"id", "origin_id", "destination_id", "command_id", "accepted_at", "created_at"}


class _Values:
    """The values of members as columns take them."""

    def __init__(self, members: Sequence[str], texts: Texts) -> None:
        self._of = attrgetter(*members)
        self._json_at = tuple(at for at, member in enumerate(members) if member in _JSON)
        self._texts = texts

    def of(self, order: OrderState) -> list[Any]:
        values = list(self._of(order))
        for at in self._json_at:
            if values[at] is not None:
                values[at] = self._texts.of(values[at]).decode()
        return values


class _Update:
    """One statement that writes some members of many orders."""

    def __init__(self, members: Sequence[str]) -> None:
        self._members = members
        columns = [f"${at}::{_TYPES.get(each, 'text')}[]" for at, each in enumerate(members, 2)]
        self._sql = f"""
            UPDATE orders AS o SET
                {", ".join(f"{member} = new.{member}" for member in members)},
                origin_outbox_id = coalesce(new.origin_outbox_id, o.origin_outbox_id),
                destination_outbox_id = coalesce(new.destination_outbox_id, o.destination_outbox_id)
            FROM unnest($1::text[], {", ".join(columns)},
                        ${len(members) + 2}::bigint[], ${len(members) + 3}::bigint[])
                AS new (id, {", ".join(members)}, origin_outbox_id, destination_outbox_id)
            WHERE o.id = new.id
        """

    async def run(self, connection: Connection, orders: Sequence[Written], texts: Texts) -> None:
        if not orders:
            return
        values = _Values(self._members, texts)
        rows = [(order.id, *values.of(order), *ids) for order, *ids in orders]
        columns = (list(column) for column in zip(*rows, strict=True))
        await connection.execute(self._sql, *columns)


_MOVE = _Update(_MOVED)
_REWRITE = _Update([member for member in _MEMBERS if member not in _FIXED])
