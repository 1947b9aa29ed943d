"""The hub's topics at the broker: their partitions, and how far each was read."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas import topics
from services.kit.database import Connection
from services.kit.errors import BrokerAway
from services.kit.kafka import BrokerView, client_arguments
from services.kit.placement import LogEnds
from services.kit.settings import Settings

_FETCH_WAIT_MS = 50
_FETCH_SECONDS = 10.0


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
    return Logs(cluster_id, await _fetched(settings, listed))


async def _fetched(
    settings: Settings, listed: Mapping[TopicPartition, LogEnds]
) -> dict[TopicPartition, LogEnds]:
    """The ends as a fetch tells them, which is never less than what was listed.

    The embedded broker lists the end of its last batch's first record: a log of one batch of five
    records ends at 1 for it. Raises BrokerAway.
    """
    ends = dict(listed)
    missing = {partition for partition, log in listed.items() if log.end > log.start}
    if not missing:
        return ends
    consumer = AIOKafkaConsumer(
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        **client_arguments(settings),
    )
    try:
        async with asyncio.timeout(_FETCH_SECONDS):
            await consumer.start()
            consumer.assign(sorted(missing))
            for partition in missing:
                consumer.seek(partition, listed[partition].end)
            while missing:
                await consumer.getmany(timeout_ms=_FETCH_WAIT_MS)
                for partition in sorted(missing):
                    end = consumer.last_stable_offset(partition)
                    if end is not None:
                        start, least = listed[partition].start, listed[partition].end
                        ends[partition] = LogEnds(start, max(end, least))
                        missing.discard(partition)
    except (KafkaError, OSError) as error:
        raise BrokerAway(f"The broker does not tell its logs' ends: {error!r}") from error
    finally:
        await consumer.stop()
    return ends


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
