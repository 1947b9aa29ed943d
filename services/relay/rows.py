"""The relay's SQL on the outbox: fetch, delete, look up. All of it runs on the lock session."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.kit.database import Session
from services.kit.outbox import RowKind

# One statement, so that xmin belongs to the very snapshot that saw the rows. A sequence nobody
# has drawn from says last_value 1 although the id 1 is still to come.
_FETCH = """
SELECT now.xmin, now.last_id, page.*
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin,
             (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM outbox_id_seq) AS last_id
     ) AS now
LEFT JOIN (
    SELECT id, after_id, accepted_ms, waiting_id, shard, kind, told_before, topic, stream, cause,
           key, headers, value, told, in_reach
    FROM (SELECT *, count(*) OVER () AS in_reach,
                 sum(coalesce(octet_length(value), 0)) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING)
                 - coalesce(octet_length(value), 0) AS bytes_before
          FROM (SELECT * FROM outbox
                WHERE id > $1 AND shard = ANY($2::smallint[]) ORDER BY id LIMIT $3) AS reach
         ) AS measured
    WHERE bytes_before < $4
) AS page ON true
ORDER BY page.id
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
    """A row of the outbox as the relay needs it; `headers` are packed (kit.outbox)."""

    id: int
    after_id: int | None
    accepted_ms: int | None
    waiting_id: UUID | None
    shard: int
    kind: RowKind
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
    rows = [
        Row(
            record["id"], record["after_id"], record["accepted_ms"], record["waiting_id"],
            record["shard"], RowKind(record["kind"]), record["told_before"], record["topic"],
            record["stream"], record["cause"], record["key"], record["headers"], record["value"],
            record["told"],
        )
        for record in records
        if record["id"] is not None
    ]  # fmt: skip
    cut = bool(rows) and (first["in_reach"] >= max_rows or first["in_reach"] > len(rows))
    return Fetched(rows, first["xmin"], first["last_id"], rows[-1].id if cut else None)


async def delete(connection: Session, ids: Sequence[int]) -> int:
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
