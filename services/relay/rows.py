"""The relay's SQL on the outbox: fetch, delete, look up. All of it runs on the lock session."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from services.kit.database import Connection, Session

# One statement, so that xmin belongs to the very snapshot that saw the rows. Sizes are looked at
# before the rows: a window over whole rows would carry every value through it. A sequence nobody
# has drawn from says last_value 1 although the id 1 is still to come.
_FETCH = """
WITH reach AS MATERIALIZED (
    SELECT id, sum(size) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - size AS bytes_before
    FROM (SELECT id, coalesce(octet_length(value), 0) AS size FROM outbox
          WHERE id > $1 AND shard = ANY($2::smallint[]) ORDER BY id LIMIT $3) AS sizes
), now AS (
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin,
           (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM outbox_id_seq) AS last_id,
           (SELECT count(*) FROM reach) AS in_reach,
           (SELECT max(id) FROM reach WHERE bytes_before < $4) AS until
)
SELECT now.xmin, now.last_id, now.in_reach, page.*
FROM now LEFT JOIN LATERAL (
    SELECT id, after_id, accepted_ms, shard, kind, told_before, topic, stream, cause, key, headers,
           value, told
    FROM outbox WHERE id > $1 AND id <= now.until AND shard = ANY($2::smallint[]) ORDER BY id
) AS page ON true
"""

_DELETE = """
WITH gone AS (DELETE FROM outbox WHERE id = ANY($1::bigint[]) RETURNING kind)
SELECT pg_current_xact_id()::text::bigint AS xid,
       CASE WHEN bool_or(kind IN (1, 2)) THEN pg_notify('crossroads_published', '') END
FROM gone
"""

# Prepared transactions keep their locks, and have no pid.
_WRITERS = """
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'outbox'::regclass AND mode = 'RowExclusiveLock'
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND granted AND pid IS DISTINCT FROM pg_backend_pid()
"""

_STILL_THERE = """
SELECT id FROM outbox WHERE id = ANY($1::bigint[])
UNION ALL SELECT id FROM outbox_parked WHERE id = ANY($1::bigint[])
"""

_AGE = """
SELECT count(*) AS records, extract(epoch FROM now() - min(stored_at))::float8 AS oldest_seconds
FROM (SELECT stored_at FROM outbox WHERE id > $1 AND shard = ANY($2::smallint[])
      UNION ALL SELECT stored_at FROM outbox_parked WHERE shard = ANY($2::smallint[])) AS rows
"""


@dataclass(slots=True)
class Row:
    """A row of the outbox as the relay needs it; `kind` is a RowKind, `headers` are packed."""

    id: int
    after_id: int | None
    accepted_ms: int | None
    shard: int
    kind: int
    told_before: bool
    topic: str
    stream: str | None
    cause: bytes | None
    key: bytes | None
    headers: bytes
    value: bytes | None
    told: bytes | None


@dataclass(slots=True)
class Fetched:
    """What one fetch saw: rows in id order, its snapshot's xmin, and where the sequence stood.

    `reached` is the last id returned where a limit cut the fetch short, else None.
    """

    rows: list[Row]
    xmin: int
    last_id: int
    reached: int | None


async def fetch(
    connection: Session, mark: int, shards: Sequence[int], *, max_rows: int, max_bytes: int
) -> Fetched:
    """The rows above `mark` in `shards`, by id; at least one if there is one."""
    records = await connection.fetch(_FETCH, mark, shards, max_rows, max_bytes)
    first = records[0]
    rows = [Row(*record[3:]) for record in records if record["id"] is not None]
    rows.sort(key=attrgetter("id"))
    cut = bool(rows) and (first["in_reach"] >= max_rows or first["in_reach"] > len(rows))
    return Fetched(rows, first["xmin"], first["last_id"], rows[-1].id if cut else None)


async def delete(connection: Connection, ids: Sequence[int]) -> int:
    """Delete published rows, tell the gateway if results were among them; the transaction's id."""
    xid: int = await connection.fetchval(_DELETE, ids)
    return xid


async def writers(connection: Session) -> set[str]:
    """The transactions of others that may have drawn ids, or deleted rows, and have not ended."""
    return {record["virtualtransaction"] for record in await connection.fetch(_WRITERS)}


async def still_there(connection: Session, ids: Sequence[int]) -> set[int]:
    """Which of these rows wait in either table, in whatever shard."""
    return {record["id"] for record in await connection.fetch(_STILL_THERE, ids)}


async def backlog(connection: Session, mark: int, shards: Sequence[int]) -> tuple[int, float]:
    """How many rows wait in `shards`, parked ones included, and the oldest one's age in seconds."""
    record = await connection.fetchrow(_AGE, mark, shards)
    if record is None:
        return 0, 0.0
    return record["records"], record["oldest_seconds"] or 0.0
