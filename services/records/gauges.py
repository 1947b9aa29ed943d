"""What the metrics say of the database as it stands: gaps, waiting commands, unsynced orders."""

from __future__ import annotations

from services.kit.database import Connection
from services.kit.metrics import (
    MAPPING_GAPS,
    OLDEST_UNSYNCED_ORDER_AGE_SECONDS,
    WAITING_COMMANDS,
)

_GAPS = """
SELECT g.entity, t.slug, count(*) AS n FROM gaps AS g JOIN tenants AS t ON t.id = g.tenant_id
WHERE g.closed_at IS NULL GROUP BY g.entity, t.slug
"""
_WAITING = """
SELECT l.reason, coalesce(t.slug, l.tenant_id) AS slug, count(*) AS n
FROM lane_commands AS l LEFT JOIN tenants AS t ON t.id = l.tenant_id GROUP BY 1, 2
UNION ALL
SELECT 'reference.parent_missing', coalesce(t.slug, w.tenant_id), count(*)
FROM reference_waiting AS w LEFT JOIN tenants AS t ON t.id = w.tenant_id GROUP BY 1, 2
"""
# While somebody keeps a snapshot open, published rows stay in the outbox as dead ones, without end.
# Above this size only the newest ids are looked at; a backlog of more rows than these looks younger
# here than it is, and the relay tells its age (outbox_oldest_age_seconds).
WHOLE_BYTES = 1 << 30
NEWEST_IDS = 200_000
_FLOOR = """
SELECT CASE WHEN pg_relation_size('outbox') > $1
    THEN (SELECT last_value FROM outbox_id_seq) - $2 ELSE 0 END
"""
# Unsynced: not mapped yet, asked for and not accepted, or not acknowledged by the broker yet.
_OLDEST = """
SELECT slug, extract(epoch FROM now() - min(accepted_at))::float AS seconds
FROM (
    SELECT t.slug, o.accepted_at FROM orders AS o JOIN tenants AS t ON t.id = o.destination_id
    WHERE o.delivery IN ('unsent', 'requested') AND o.receipt <> 'rejected'
    UNION ALL
    SELECT split_part(stream, '/', 2), to_timestamp(accepted_ms / 1000.0)
    FROM (SELECT stream, accepted_ms FROM outbox WHERE kind = 0 AND id > $1 UNION ALL
          SELECT stream, accepted_ms FROM outbox_parked WHERE kind = 0) AS unsent
    WHERE accepted_ms IS NOT NULL
) AS found GROUP BY slug
"""


async def expose(connection: Connection) -> None:
    """Set these gauges; what is gone since the last time is gone from the metrics too."""
    gaps = await connection.fetch(_GAPS)
    waiting = await connection.fetch(_WAITING)
    floor = await connection.fetchval(_FLOOR, WHOLE_BYTES, NEWEST_IDS)
    oldest = await connection.fetch(_OLDEST, floor)
    MAPPING_GAPS.clear()
    for row in gaps:
        MAPPING_GAPS.labels(row["entity"], row["slug"]).set(row["n"])
    WAITING_COMMANDS.clear()
    for row in waiting:
        WAITING_COMMANDS.labels(row["reason"], row["slug"]).set(row["n"])
    OLDEST_UNSYNCED_ORDER_AGE_SECONDS.clear()
    for row in oldest:
        OLDEST_UNSYNCED_ORDER_AGE_SECONDS.labels(row["slug"]).set(row["seconds"])
