"""Everything that is known of one order: documents, log, timeline, what waits, what is unsent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

from services.domain import status
from services.kit.database import Connection
from services.records import orders, timeline
from services.records.overview import Row

_SLUGS = """
SELECT o.origin_id, origin.slug AS origin, destination.slug AS destination,
    o.origin_outbox_id, o.destination_outbox_id, o.lane_runnable
FROM orders AS o
JOIN tenants AS origin ON origin.id = o.origin_id
JOIN tenants AS destination ON destination.id = o.destination_id
WHERE o.id = $1
"""
_LOG = """
SELECT l.created_at, coalesce(t.slug, l.tenant_id) AS tenant, l.command_id, l.entry
FROM log_entries AS l LEFT JOIN tenants AS t ON t.id = l.tenant_id
WHERE l.order_id = $1 ORDER BY l.created_at, l.id
"""
# `commands` is found by its key alone: an index by order would cost every command a write.
_COMMANDS = """
SELECT coalesce(t.slug, c.tenant_id) AS tenant, c.command_id, c.operation, c.outcome, c.http_status,
    c.code, c.accepted_at, c.final_at
FROM (
    SELECT origin_id AS tenant_id, command_id FROM orders WHERE id = $1
    UNION SELECT tenant_id, command_id FROM order_events WHERE order_id = $1
    UNION SELECT tenant_id, command_id FROM log_entries WHERE order_id = $1
    UNION SELECT tenant_id, command_id FROM lane_commands WHERE order_id = $1
) AS wanted
JOIN commands AS c USING (tenant_id, command_id)
LEFT JOIN tenants AS t ON t.id = c.tenant_id
ORDER BY c.accepted_at, c.command_id
"""
_LANE = """
SELECT l.id, coalesce(t.slug, l.tenant_id) AS tenant, l.command_id, l.operation, l.reason,
    l.arrived_at
FROM lane_commands AS l LEFT JOIN tenants AS t ON t.id = l.tenant_id
WHERE l.order_id = $1 ORDER BY l.goes_first DESC, l.id
"""
_GAPS = """
SELECT g.id, t.slug AS tenant, g.system, g.entity, g.key_kind, g.key, g.message, g.first_seen,
    g.closed_at
FROM gap_waiters AS w JOIN gaps AS g ON g.id = w.gap_id JOIN tenants AS t ON t.id = g.tenant_id
WHERE w.order_id = $1 ORDER BY g.id
"""
_UNSENT = """
SELECT id, topic, stored_at, NULL AS parked_at, NULL AS refused FROM outbox
WHERE id = ANY($1::bigint[])
UNION ALL
SELECT id, topic, stored_at, parked_at, refused FROM outbox_parked
WHERE id = ANY($1::bigint[]) OR stream = ANY($2::text[])
ORDER BY id
"""


async def of_order(connection: Connection, order_id: str) -> Row | None:
    """The story of the order with this id; None when there is none.

    `documents` has origin, master and destination (None where not mapped yet); `timeline` goes by
    time: `services.records.timeline`, with tenants by slug.
    """
    slugs = await connection.fetchrow(_SLUGS, order_id)
    if slugs is None:
        return None
    [state] = await orders.find(connection, [slugs["origin_id"]], order_id=order_id)
    commands = [dict(row) for row in await connection.fetch(_COMMANDS, order_id)]
    create = (state.origin_id, state.command_id)
    lines = await timeline.of_order(connection, order_id, state.created_at, create)
    sent = [slugs["origin_outbox_id"], slugs["destination_outbox_id"]]
    streams = [f"{order_id}/{slugs[side]}" for side in ("origin", "destination")]
    names = await _names(connection, {line.tenant_id for line in lines})
    unsent = await connection.fetch(_UNSENT, [each for each in sent if each is not None], streams)
    return {
        "order": {
            "id": state.id,
            "number": state.origin_number,
            "destination_number": state.destination_number,
            "po": state.po,
            "origin": slugs["origin"],
            "destination": slugs["destination"],
            "status": status.of(state),
            "failed_at_step": status.failed_at_step(state),
            "message": state.message,
            "mapping": state.mapping,
            "delivery": state.delivery,
            "receipt": state.receipt,
            "progress": state.progress,
            "origin_sequence": state.origin_sequence,
            "destination_sequence": state.destination_sequence,
            "lane_runnable": slugs["lane_runnable"],
            "correlation_id": state.correlation_id,
            "accepted_at": state.accepted_at,
            "created_at": state.created_at,
            "updated_at": state.updated_at,
        },
        "documents": {
            "origin": state.origin_document,
            "master": state.master_document,
            "destination": state.destination_document,
        },
        "log": [
            {**dict(row), "entry": orjson.loads(row["entry"])}
            for row in await connection.fetch(_LOG, order_id)
        ],
        "timeline": [_told(line, names) for line in lines],
        "commands": commands,
        "lane": [dict(row) for row in await connection.fetch(_LANE, order_id)],
        "gaps": [dict(row) for row in await connection.fetch(_GAPS, order_id)],
        "unsent": [dict(row) for row in unsent],
    }


async def _names(connection: Connection, tenant_ids: Iterable[str | None]) -> dict[str | None, str]:
    """Tenants' slugs by their ids."""
    ids = [id_ for id_ in tenant_ids if id_ is not None]
    rows = await connection.fetch("SELECT id, slug FROM tenants WHERE id = ANY($1::text[])", ids)
    return {row["id"]: row["slug"] for row in rows}


def _told(line: timeline.Line, names: Mapping[str | None, str]) -> Row:
    return {
        "at": line.at,
        "kind": line.kind,
        "tenant": names.get(line.tenant_id, line.tenant_id),
        "command_id": line.command_id,
        "detail": line.detail,
    }
