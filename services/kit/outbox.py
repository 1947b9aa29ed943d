"""The outbox: outgoing records, stored by the transaction that causes them.

The relay publishes what is stored here and deletes it once the broker has acknowledged it.
Its settled mark rests on two properties of `store`: before a transaction draws the first row id, it
has its transaction id, and the lock on the outbox that writers hold until they end.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import msgspec

from services.kit.database import Connection, Session, insert_rows

AnyConnection: TypeAlias = "Connection | Session"

NEW_ROWS_CHANNEL = "crossroads_outbox"
PUBLISHED_CHANNEL = "crossroads_published"

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[tuple[str, bytes | None]])

# The xid comes from a scan that every drawn id is joined to, so it is taken before the first
# nextval; without it a transaction may draw ids first and get its xid at its first insert. The
# lock comes with a statement that could delete, before any part of it runs.
_DRAW = """
WITH started AS MATERIALIZED (SELECT pg_current_xact_id() AS xid),
     locked AS (DELETE FROM outbox WHERE false)
SELECT nextval('outbox_id_seq') AS id, settings.shards,
       CASE WHEN number = 1 THEN pg_notify('crossroads_outbox', '') END
FROM started, outbox_settings AS settings, generate_series(1, $1::int) AS number
WHERE started.xid IS NOT NULL
"""

_COLUMNS = (
    "id", "after_id", "accepted_ms", "shard", "kind", "told_before",
    "topic", "stream", "cause", "key", "headers", "value",
)  # fmt: skip


class RowKind(IntEnum):
    """What a row is to the relay: which wave it rides in, and what parks with it."""

    SYNC = 0
    WAITING = 1
    FINAL = 2
    DEAD_LETTER = 3


@dataclass(slots=True)
class OutgoingRow:
    """One record to publish.

    `shard_key` is the order id, or the command's key where there is no order. `stream`
    ("<order id>/<receiver slug>") is set on syncs: what keeps its order when it is parked.
    `cause` is 16 bytes of (tenant id, command id); a FINAL goes out only after the SYNC and
    WAITING rows of its cause. SYNC rows of a cause must stand before its FINAL. `after_id`
    names a row of another shard that must be gone first. `accepted_ms` (epoch milliseconds) on
    the sync of a create is when the create was accepted. When a FINAL is parked the relay tells
    a waiting answer (`delivery.parked`), unless `told_before` says that one was stored already or
    that there is none (answers to further copies).
    """

    kind: RowKind
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    shard_key: str
    stream: str | None
    cause: bytes | None
    after_id: int | None = None
    told_before: bool = False
    accepted_ms: int | None = None


def shard_of(shard_key: str, shards: int) -> int:
    """The shard (0 … shards - 1) of a key; the same in every process and release."""
    return zlib.crc32(shard_key.encode()) % shards


def pack_headers(headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    """Headers as one value (MessagePack); names may repeat, values may be null."""
    return _ENCODER.encode(headers)


def unpack_headers(packed: bytes) -> list[tuple[str, bytes | None]]:
    """The inverse of `pack_headers`."""
    return _DECODER.decode(packed)


async def draw(connection: AnyConnection, count: int) -> tuple[list[int], int]:
    """`count` (one or more) rising ids for rows the caller's transaction is about to store.

    With them the number of shards; the relay is notified when the transaction commits.
    """
    drawn = await connection.fetch(_DRAW, count)
    return sorted(record["id"] for record in drawn), drawn[0]["shards"]


async def store(connection: AnyConnection, rows: Sequence[OutgoingRow]) -> list[int]:
    """Store `rows` in the caller's transaction; their ids, in the order of the rows.

    Ids rise with the rows. The caller holds the row locks of the orders concerned, so that
    per order the ids follow the commits; it may not assume that ids follow the commits of
    other orders. The relay is notified once, when the transaction commits.
    """
    if not rows:
        return []
    ids, shards = await draw(connection, len(rows))
    await insert_rows(
        connection,
        "outbox",
        columns=_COLUMNS,
        records=[
            (
                id_, row.after_id, row.accepted_ms,
                shard_of(row.shard_key, shards), row.kind, row.told_before,
                row.topic, row.stream, row.cause, row.key, pack_headers(row.headers), row.value,
            )
            for id_, row in zip(ids, rows, strict=True)
        ],
    )  # fmt: skip
    return ids
