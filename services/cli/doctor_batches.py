"""Batches of a relay that delivers exactly once: what is left of them, and an operator's word."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.cli.errors import CommandFailed
from services.kit.database import Connection
from services.kit.outbox import unpack_headers
from services.relay import batches, shards

# A relay that lives has settled what it found by then.
_OLD = """
SELECT b.shard, b.batch_no, b.stored_at,
       (SELECT count(*) FROM outbox AS o WHERE o.id = ANY (b.row_ids))
       + (SELECT count(*) FROM outbox_parked AS p WHERE p.id = ANY (b.row_ids)) AS records
FROM relay_batches AS b
WHERE b.stored_at < now() - interval '1 minute' AND b.row_ids <> '{}' ORDER BY b.shard
"""

_RECORDS = """
SELECT topic, headers, key FROM (
    SELECT id, topic, headers, key FROM outbox WHERE id = ANY ($1::bigint[])
    UNION ALL SELECT id, topic, headers, key FROM outbox_parked WHERE id = ANY ($1::bigint[])
) AS rows ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Record:
    """An outgoing record as one looks for it."""

    topic: str
    id: str
    key: bytes | None


@dataclass(frozen=True, slots=True)
class OldBatch:
    """A batch stored some time ago whose rows are still there."""

    shard: int
    number: int
    records: int
    since: datetime


async def old_batches(connection: Connection) -> list[OldBatch]:
    """Batches that a living relay would have settled."""
    found = await connection.fetch(_OLD)
    return [
        OldBatch(each["shard"], each["batch_no"], each["records"], each["stored_at"])
        for each in found
        if each["records"]
    ]


async def records_of(connection: Connection, shard: int) -> list[Record]:
    """The records of the batch that was stored last of a shard, and are still there."""
    left = (await batches.left_behind(connection, [shard])).get(shard)
    found = await connection.fetch(_RECORDS, [] if left is None else left.row_ids)
    return [
        Record(
            each["topic"], _text(dict(unpack_headers(each["headers"])).get("ce_id")), each["key"]
        )
        for each in found
    ]


async def settle(connection: Connection, shard: int, *, published: bool) -> int:
    """Have the batch taken for published, or for not published; its number.

    Raises CommandFailed where a relay owns the shard, or nothing is left.
    """
    if not await shards.hold(connection, shard):
        raise CommandFailed(f"A relay owns shard {shard}: it settles its batches itself.")
    left = (await batches.left_behind(connection, [shard])).get(shard)
    if left is None or not left.row_ids:
        raise CommandFailed(f"Nothing is left of the last batch of shard {shard}.")
    if published:
        await batches.finish(connection, left.row_ids)
    await batches.drop(connection, [shard])
    return left.number


def members(records: Sequence[Record]) -> list[dict[str, str | None]]:
    """Records as a command shows them."""
    return [
        {
            "topic": each.topic,
            "ce_id": each.id,
            "key": None if each.key is None else _text(each.key),
        }
        for each in records
    ]


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
