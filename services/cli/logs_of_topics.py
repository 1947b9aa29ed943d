"""The hub's topics at the broker: their partitions, and how far each was read."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas import topics
from services.kit.database import Connection
from services.kit.errors import BrokerAway
from services.kit.kafka import BrokerView, client_arguments
from services.kit.placement import LogEnds
from services.kit.settings import Settings


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a group has read a partition of a cluster."""

    cluster_id: str
    group: str
    partition: TopicPartition
    next_offset: int


@dataclass(frozen=True, slots=True)
class Logs:
    """The cluster that answers, and where the logs of its partitions begin and end."""

    cluster_id: str
    ends: Mapping[TopicPartition, LogEnds]


@asynccontextmanager
async def _view(settings: Settings) -> AsyncIterator[BrokerView]:
    view = BrokerView(settings)
    try:
        yield view
    finally:
        await view.close()


async def input_logs(settings: Settings) -> Logs:
    """The logs of every input topic of the hub. Raises BrokerAway."""
    return await logs_of(settings, topics.input_bases())


async def logs_of(settings: Settings, bases: Iterable[str]) -> Logs:
    """The logs of the topics of these bases, tenants' ones included. Raises BrokerAway."""
    partitions = await partitions_of(settings, bases)
    async with _view(settings) as view:
        cluster_id = await view.cluster_id()
        listed = await view.log_ends(partitions)
        return Logs(cluster_id, await view.fetched_ends(listed))


async def partitions_of(settings: Settings, bases: Iterable[str]) -> list[TopicPartition]:
    """The partitions of the topics of these bases, tenants' ones included. Raises BrokerAway."""
    wanted = set(bases)
    admin = AIOKafkaAdminClient(**client_arguments(settings))
    try:
        await admin.start()
        names = [name for name in await admin.list_topics() if _base(name) in wanted]
        described = await admin.describe_topics(names) if names else []
    except (KafkaError, OSError) as error:
        raise BrokerAway(f"The broker does not answer: {error!r}") from error
    finally:
        await admin.close()
    return sorted(
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in topic["partitions"]
    )


async def marks(connection: Connection) -> list[Mark]:
    """Every mark there is, of all groups and clusters."""
    rows = await connection.fetch(
        "SELECT cluster_id, consumer_group, topic, partition, next_offset FROM stream_positions"
        " ORDER BY cluster_id, consumer_group, topic, partition"
    )
    return [
        Mark(
            row["cluster_id"],
            row["consumer_group"],
            TopicPartition(row["topic"], row["partition"]),
            row["next_offset"],
        )
        for row in rows
    ]


def lag(logs: Logs, read: Iterable[Mark]) -> int:
    """Records on the input topics that no group has processed yet, over all partitions."""
    reached: dict[TopicPartition, int] = {}
    for mark in read:
        if mark.cluster_id == logs.cluster_id:
            before = reached.get(mark.partition, 0)
            reached[mark.partition] = max(before, mark.next_offset)
    return sum(
        max(ends.end - max(reached.get(partition, ends.start), ends.start), 0)
        for partition, ends in logs.ends.items()
    )


def _base(name: str) -> str | None:
    found = topics.split_topic(name)
    return None if found is None else found[0]
