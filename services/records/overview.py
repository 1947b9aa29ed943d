"""What operators look at: orders, gaps, lanes and what waits, read only and over all tenants.

Every list is bounded by its `limit`. For the gateway's callers, who see their own pairs alone,
there is `records.orders`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from services.domain import status
from services.domain.world import OrderState
from services.kit.database import Connection
from services.records.orders import state_of

LIMIT = 50
_PAGE = 500

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """What orders are looked for; all that is given must hold.

    `number` is the number of either side, `tenant` the slug of either side, `status` one of the
    nine.
    """

    number: str | None = None
    po: str | None = None
    tenant: str | None = None
    status: str | None = None
    since: datetime | None = None


# The documents are left out: a list does not show them, and they are most of a row.
_ORDER = """
SELECT o.id, o.origin_id, o.destination_id, o.origin_number, o.destination_number, o.po,
    o.command_id, o.correlation_id, o.origin_system, o.origin_instance, o.mapping, o.delivery,
    o.receipt, o.progress, o.failed_at_step, o.message, o.units, o.created_by_hauler,
    o.origin_sequence, o.destination_sequence, o.waiting, o.accepted_at, o.created_at, o.updated_at,
    '{}' AS origin_document, NULL AS master_document, NULL AS destination_document, NULL AS trip,
    NULL AS cancellation, NULL AS last_receipt,
    NOT EXISTS (SELECT FROM outbox AS p
                WHERE p.id IN (o.origin_outbox_id, o.destination_outbox_id))
    AND NOT EXISTS (SELECT FROM outbox_parked AS p
                    WHERE p.id IN (o.origin_outbox_id, o.destination_outbox_id)) AS delivered,
    origin.slug AS origin, destination.slug AS destination,
    (SELECT count(*) FROM lane_commands AS l WHERE l.order_id = o.id) AS commands_waiting
FROM orders AS o
JOIN tenants AS origin ON origin.id = o.origin_id
JOIN tenants AS destination ON destination.id = o.destination_id
"""
_ORDERS = f"""
{_ORDER}
WHERE ($1::text IS NULL OR o.origin_number = $1 OR o.destination_number = $1)
  AND ($2::text IS NULL OR o.po = $2)
  AND ($3::text IS NULL OR $3 IN (origin.slug, destination.slug))
  AND ($4::timestamptz IS NULL OR o.accepted_at >= $4)
  AND ($5::text IS NULL OR o.id < $5)
  AND """
_NEWEST = f" ORDER BY o.id DESC LIMIT {_PAGE}"
_UNSENT = "(SELECT id FROM outbox UNION ALL SELECT id FROM outbox_parked)"
# What must hold for each status; whether it holds is `domain.status`'s to say.
_LIKELY = {
    status.CANCELED: "o.delivery = 'canceled'",
    status.REJECTED: "o.receipt = 'rejected'",
    status.ERROR: "(o.receipt = 'failed' OR o.delivery = 'failed')",
    status.REQUESTED: "o.delivery = 'requested'",
    status.SYNCED: "o.delivery = 'sent'",
    status.DESTINATION_MAPPED: f"""(o.mapping = 'destination_mapped' AND (o.delivery <> 'sent'
        OR o.origin_outbox_id IN {_UNSENT} OR o.destination_outbox_id IN {_UNSENT}))""",
    status.MASTER_MAPPED: "o.mapping = 'master_mapped'",
    status.ORIGIN_MAPPED: "o.mapping = 'origin_mapped'",
}
STATUSES = tuple(_LIKELY)


async def list_orders(
    connection: Connection, wanted: OrderFilter, *, limit: int = LIMIT
) -> list[Row]:
    """Orders that fit, the newest first."""
    likely = "true" if wanted.status is None else _LIKELY[wanted.status]
    query = _ORDERS + likely + _NEWEST
    found: list[Row] = []
    last: str | None = None
    while len(found) < limit:
        rows = await connection.fetch(
            query, wanted.number, wanted.po, wanted.tenant, wanted.since, last
        )
        lines = [order_line(row) for row in rows]
        found += [line for line in lines if wanted.status in (None, line["status"])]
        if len(rows) < _PAGE:
            break
        last = rows[-1]["id"]
    return found[:limit]


async def orders_named(connection: Connection, name: str, tenant: str | None = None) -> list[Row]:
    """The orders with this id, number of either side, or PO, at most 20."""
    rows = await connection.fetch(
        f"{_ORDER} WHERE ($1 IN (o.id, o.origin_number, o.destination_number, o.po))"
        " AND ($2::text IS NULL OR $2 IN (origin.slug, destination.slug))"
        " ORDER BY o.id DESC LIMIT 20",
        name,
        tenant,
    )
    return [order_line(row) for row in rows]


def order_line(row: asyncpg.Record) -> Row:
    """An order in one line."""
    state: OrderState = state_of(row)
    return {
        "id": state.id,
        "number": state.origin_number,
        "destination_number": state.destination_number,
        "po": state.po,
        "origin": row["origin"],
        "destination": row["destination"],
        "status": status.of(state),
        "failed_at_step": status.failed_at_step(state),
        "progress": state.progress,
        "waiting": row["commands_waiting"],
        "accepted_at": state.accepted_at,
        "updated_at": state.updated_at,
    }


_GAPS = """
SELECT g.id, t.slug AS tenant, g.system, g.entity, g.key_kind, g.key, g.message, g.candidates,
    g.first_seen, g.last_seen, g.closed_at,
    (SELECT count(*) FROM gap_waiters AS w WHERE w.gap_id = g.id) AS orders
FROM gaps AS g JOIN tenants AS t ON t.id = g.tenant_id
"""


async def list_gaps(
    connection: Connection,
    *,
    tenant: str | None = None,
    entity: str | None = None,
    limit: int = LIMIT,
) -> list[Row]:
    """Open gaps, those that hold the most orders first."""
    rows = await connection.fetch(
        f"{_GAPS} WHERE g.closed_at IS NULL AND ($1::text IS NULL OR t.slug = $1)"
        " AND ($2::text IS NULL OR g.entity = $2)"
        " ORDER BY orders DESC, g.first_seen, g.id LIMIT $3",
        tenant,
        entity,
        limit,
    )
    return [_gap(row) for row in rows]


async def one_gap(connection: Connection, gap_id: int) -> Row | None:
    """A gap with the orders it holds (`waiting`, at most 1,000) and the records that might fit.

    `candidates` have goid and name.
    """
    row = await connection.fetchrow(f"{_GAPS} WHERE g.id = $1", gap_id)
    if row is None:
        return None
    gap = _gap(row)
    waiting = await connection.fetch(
        f"{_ORDER} JOIN gap_waiters AS w ON w.order_id = o.id WHERE w.gap_id = $1"
        " ORDER BY o.id LIMIT 1000",
        gap_id,
    )
    named = await connection.fetch(
        "SELECT goid, name, active FROM master_records WHERE goid = ANY($1::text[]) ORDER BY goid",
        gap["candidates"],
    )
    names = {record["goid"]: dict(record) for record in named}
    return {
        **gap,
        "candidates": [names.get(goid, {"goid": goid}) for goid in gap["candidates"]],
        "waiting": [order_line(each) for each in waiting],
    }


def _gap(row: asyncpg.Record) -> Row:
    return {**dict(row), "candidates": orjson.loads(row["candidates"])}


_LANES = """
SELECT l.order_id, l.wait_tenant, l.wait_number, count(*) AS commands,
    min(l.arrived_at) AS since,
    (array_agg(l.operation ORDER BY l.goes_first DESC, l.id))[1] AS head,
    (array_agg(l.reason ORDER BY l.goes_first DESC, l.id))[1] AS reason
FROM lane_commands AS l
GROUP BY l.order_id, l.wait_tenant, l.wait_number
"""


async def list_lanes(
    connection: Connection, *, reason: str | None = None, limit: int = LIMIT
) -> list[Row]:
    """Lanes of orders, and of numbers nobody knows yet; those that wait longest first."""
    rows = await connection.fetch(
        f"""
        SELECT lane.order_id, coalesce(o.origin_number, lane.wait_number) AS number,
            coalesce(t.slug, lane.wait_tenant) AS tenant, lane.commands, lane.head, lane.reason,
            coalesce(o.lane_runnable, false) AS runnable, lane.since
        FROM ({_LANES}) AS lane
        LEFT JOIN orders AS o ON o.id = lane.order_id
        LEFT JOIN tenants AS t ON t.id = coalesce(o.origin_id, lane.wait_tenant)
        WHERE $1::text IS NULL OR lane.reason = $1
        ORDER BY lane.since, lane.order_id, lane.wait_number LIMIT $2
        """,
        reason,
        limit,
    )
    return [dict(row) for row in rows]


async def one_lane(connection: Connection, name: str) -> list[Row]:
    """What waits for this order (id or number) or this unknown number, in its order."""
    rows = await connection.fetch(
        """
        SELECT l.id, l.order_id, l.wait_number, t.slug AS tenant, l.command_id, l.operation,
            l.reason, l.arrived_at, length(l.record) AS bytes
        FROM lane_commands AS l
        LEFT JOIN orders AS o ON o.id = l.order_id
        LEFT JOIN tenants AS t ON t.id = l.tenant_id
        WHERE $1 IN (l.order_id, l.wait_number, o.origin_number, o.destination_number)
        ORDER BY l.order_id, l.goes_first DESC, l.id LIMIT 1000
        """,
        name,
    )
    return [dict(row) for row in rows]


async def waiting_counts(connection: Connection) -> dict[str, int]:
    """How many gaps are open, and how many outgoing records are unsent and parked."""
    row = await connection.fetchrow(
        """
        SELECT (SELECT count(*) FROM gaps WHERE closed_at IS NULL) AS gaps,
            (SELECT count(*) FROM outbox) AS unsent,
            (SELECT count(*) FROM outbox_parked) AS parked
        """
    )
    return dict(row) if row is not None else {}


async def parked_topics(connection: Connection) -> list[Row]:
    """Topics that records are parked for, how many, how many refused by themselves, since when."""
    rows = await connection.fetch(
        "SELECT topic, count(*) AS records, count(refused) AS refused, min(stored_at) AS since"
        " FROM outbox_parked GROUP BY topic ORDER BY records DESC, topic"
    )
    return [dict(row) for row in rows]
