"""The batch that is about to be published, stored before; and what became of one left behind.

A batch has a number, and the transaction that publishes its rows commits that number to Kafka. Both
are compared when a shard is taken over, after whoever published before was fenced: from then on the
number in Kafka stands still.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from services.kit.database import Connection, Session
from services.relay import rows

# On the session's own terms a commit may be lost with the server. This one must not be: what is
# published under a number that nobody knows is published again.
_STORE = """
WITH durable AS MATERIALIZED (SELECT set_config('synchronous_commit', 'on', true) AS is_on)
INSERT INTO relay_batches AS kept (shard, batch_no, cluster_id, row_ids)
SELECT shard, batch_no, $4, string_to_array(row_ids, ',')::bigint[]
FROM durable, unnest($1::smallint[], $2::bigint[], $3::text[]) AS given (shard, batch_no, row_ids)
WHERE is_on = 'on'
ON CONFLICT (shard) DO UPDATE
SET batch_no = excluded.batch_no, cluster_id = excluded.cluster_id, row_ids = excluded.row_ids,
    stored_at = excluded.stored_at
"""

# A row that is in neither table was published and deleted, whatever else is known.
_LEFT = """
SELECT b.shard, b.batch_no, b.cluster_id, b.stored_at,
       ARRAY(SELECT o.id FROM outbox AS o WHERE o.id = ANY (b.row_ids)
             UNION ALL SELECT p.id FROM outbox_parked AS p WHERE p.id = ANY (b.row_ids)) AS row_ids
FROM relay_batches AS b WHERE b.shard = ANY ($1::smallint[])
"""

_DROP = "UPDATE relay_batches SET row_ids = '{}' WHERE shard = ANY ($1::smallint[])"

_DELETE_PARKED = "DELETE FROM outbox_parked WHERE id = ANY ($1::bigint[])"


@dataclass(frozen=True, slots=True)
class Left:
    """The last batch stored of a shard; `row_ids` are those of its rows that are still there."""

    number: int
    cluster: str
    row_ids: tuple[int, ...]


class Fate(Enum):
    """What became of the batch a shard's former owner left."""

    NONE_LEFT = "none left"
    WENT_OUT = "went out"
    NOT_SENT = "not sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The fate of the batch left, and the highest number either side has seen.

    `went_back`: Kafka has a number that the database has not given out.
    """

    fate: Fate
    number: int
    went_back: bool = False


def judge(left: Left | None, committed: int | None, cluster: str) -> Verdict:
    """What became of `left`, given the number `committed` in `cluster`; each None where none is.

    The batch went out where the two numbers are equal, and never where Kafka's is higher: then the
    database lost what it had stored since, and its batch of that number is another one. In a
    cluster that is not the batch's own, or that has lost its number, nobody can know.
    """
    if left is None:
        return Verdict(Fate.NONE_LEFT, committed or 0, went_back=bool(committed))
    known = committed is not None and left.cluster == cluster
    number = max(left.number, committed or 0)
    went_back = known and number > left.number
    if not left.row_ids:
        return Verdict(Fate.NONE_LEFT, number, went_back)
    if not known:
        return Verdict(Fate.UNKNOWN, number)
    return Verdict(Fate.WENT_OUT if committed == left.number else Fate.NOT_SENT, number, went_back)


async def left_behind(connection: Connection, shards: Sequence[int]) -> dict[int, Left]:
    """The last batch of each shard that ever had one."""
    return {
        record["shard"]: Left(record["batch_no"], record["cluster_id"], tuple(record["row_ids"]))
        for record in await connection.fetch(_LEFT, shards)
    }


async def store(
    connection: Session, batches: Mapping[int, tuple[int, Sequence[int]]], cluster: str
) -> None:
    """Keep by shard the number of the batch that is about to be published, and its row ids.

    When this returns it is on disk.
    """
    await connection.execute(
        _STORE,
        list(batches),
        [number for number, _ in batches.values()],
        [",".join(map(str, ids)) for _, ids in batches.values()],
        cluster,
    )


async def drop(connection: Connection, shards: Sequence[int]) -> None:
    """Note that the batches last stored of these shards did not go out and never will."""
    await connection.execute(_DROP, shards)


async def finish(connection: Connection, ids: Sequence[int]) -> None:
    """Delete rows of a batch left behind that went out, wherever they are now."""
    async with connection.transaction():
        await rows.delete(connection, ids)
        await connection.execute(_DELETE_PARKED, ids)
