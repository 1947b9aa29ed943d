"""The SQL of `stream_positions`: how far each consumer group has read each partition.

Every transaction that moves marks locks its rows first, sorted by topic and partition, so that two
readers of the same partitions wait for one another and never in a circle.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, Union

from aiokafka import TopicPartition
from asyncpg import Record

from services.kit.database import Connection, Session

DatabaseConnection: TypeAlias = Union[Connection, Session]  # noqa: UP007 — both are named by text

_LOCK = """
    select p.topic, p.partition, p.next_offset, p.lineage, p.records
    from stream_positions p
    join unnest($3::text[], $4::integer[]) as wanted (topic, partition)
        on p.topic = wanted.topic and p.partition = wanted.partition
    where p.cluster_id = $1 and p.consumer_group = $2
    order by p.topic, p.partition
    for update of p
"""
_ADVANCE = """
    update stream_positions p
    set next_offset = moved.next_offset, records = p.records + moved.taken, updated_at = now()
    from unnest($3::text[], $4::integer[], $5::bigint[], $6::bigint[])
        as moved (topic, partition, next_offset, taken)
    where p.cluster_id = $1 and p.consumer_group = $2
        and p.topic = moved.topic and p.partition = moved.partition
"""
_INSERT = """
    insert into stream_positions (cluster_id, consumer_group, topic, partition, next_offset)
    select $1, $2, topic, partition, next_offset
    from unnest($3::text[], $4::integer[], $5::bigint[]) as new (topic, partition, next_offset)
    order by topic collate "C", partition
    on conflict do nothing
    returning topic, partition
"""
_RESTART = """
    update stream_positions
    set next_offset = $5, lineage = lineage + 1, updated_at = now()
    where cluster_id = $1 and consumer_group = $2 and topic = $3 and partition = $4
    returning lineage
"""
_ACCEPT_LOSS = """
    update stream_positions
    set next_offset = $5, updated_at = now()
    where cluster_id = $1 and consumer_group = $2 and topic = $3 and partition = $4
        and next_offset < $5
"""
_OTHER_CLUSTERS = """
    select distinct cluster_id from stream_positions
    where consumer_group = $2 and cluster_id <> $1
    order by cluster_id
"""
_READ = """
    select topic, partition, next_offset, lineage, records from stream_positions
    where cluster_id = $1 and consumer_group = $2
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """A partition's mark: `next_offset` is the first offset that was not processed.

    `lineage` counts how often the topic was made anew, `records` what was ever taken.
    """

    next_offset: int
    lineage: int
    records: int


@dataclass(frozen=True, slots=True)
class Advance:
    """Where a mark goes, and how many records were taken on the way."""

    next_offset: int
    taken: int


async def lock(
    connection: DatabaseConnection,
    cluster_id: str,
    group: str,
    partitions: Collection[TopicPartition],
) -> dict[TopicPartition, Mark]:
    """The marks of `partitions` under row locks; a partition without a row is missing.

    Waits for another reader of the same partition (up to `lock_timeout`).
    """
    topics, numbers = _columns(sorted(partitions))
    rows = await connection.fetch(_LOCK, cluster_id, group, topics, numbers)
    return _marks(rows)


async def read(
    connection: DatabaseConnection, cluster_id: str, group: str
) -> dict[TopicPartition, Mark]:
    """All marks of a group, without locks: good for looking, not for deciding."""
    return _marks(await connection.fetch(_READ, cluster_id, group))


async def advance(
    connection: DatabaseConnection,
    cluster_id: str,
    group: str,
    moves: Mapping[TopicPartition, Advance],
) -> None:
    """Moves the marks of rows that the transaction has locked."""
    partitions = sorted(moves)
    topics, numbers = _columns(partitions)
    offsets = [moves[partition].next_offset for partition in partitions]
    taken = [moves[partition].taken for partition in partitions]
    await connection.execute(_ADVANCE, cluster_id, group, topics, numbers, offsets, taken)


async def insert_missing(
    connection: DatabaseConnection,
    cluster_id: str,
    group: str,
    log_starts: Mapping[TopicPartition, int],
) -> list[TopicPartition]:
    """Gives each partition that has no mark yet one at its log's start; says which had none."""
    partitions = sorted(log_starts)
    topics, numbers = _columns(partitions)
    offsets = [log_starts[partition] for partition in partitions]
    rows = await connection.fetch(_INSERT, cluster_id, group, topics, numbers, offsets)
    return [TopicPartition(row["topic"], row["partition"]) for row in rows]


async def other_clusters(connection: DatabaseConnection, cluster_id: str, group: str) -> list[str]:
    """The ids of further clusters the group has marks of: brokers that were here before."""
    rows = await connection.fetch(_OTHER_CLUSTERS, cluster_id, group)
    return [row["cluster_id"] for row in rows]


async def restart(
    connection: DatabaseConnection,
    cluster_id: str,
    group: str,
    partition: TopicPartition,
    log_start: int,
) -> int:
    """Begins a topic that was made anew at its log's start; returns the new lineage."""
    lineage: int = await connection.fetchval(
        _RESTART, cluster_id, group, partition.topic, partition.partition, log_start
    )
    return lineage


async def accept_loss(
    connection: DatabaseConnection,
    cluster_id: str,
    group: str,
    topic: str,
    partition: int,
    *,
    log_start: int,
) -> bool:
    """Moves a mark that lies below the log's start up to it: what retention removed is given up.

    An operator's decision, never the program's. False when the mark was not below `log_start`, or
    there is none. The caller writes the log entry.
    """
    status = await connection.execute(_ACCEPT_LOSS, cluster_id, group, topic, partition, log_start)
    return status == "UPDATE 1"


def _columns(partitions: Sequence[TopicPartition]) -> tuple[list[str], list[int]]:
    return [each.topic for each in partitions], [each.partition for each in partitions]


def _marks(rows: Sequence[Record]) -> dict[TopicPartition, Mark]:
    return {
        TopicPartition(row["topic"], row["partition"]): Mark(
            row["next_offset"], row["lineage"], row["records"]
        )
        for row in rows
    }
