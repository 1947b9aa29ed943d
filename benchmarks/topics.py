"""What both sides of a measurement need of topics: make them, fill them, count what comes out."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.acceptance.wire import Headers, partitions_of

DEADLINE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Message:
    """A record to send."""

    key: bytes
    value: bytes
    headers: Headers

    @property
    def command_id(self) -> str:
        """Its `ce_id`."""
        return (dict(self.headers)["ce_id"] or b"").decode()


async def make(kafka: str, *topics: str, partitions: int) -> None:
    """Create topics that are not there."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1) for topic in topics])
    finally:
        await admin.close()


async def fill(kafka: str, topic: str, messages: Sequence[Message]) -> None:
    """Send all, acknowledged, as fast as it goes."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", linger_ms=5, max_batch_size=256 << 10
    )
    await producer.start()
    try:
        sent = [
            await producer.send(topic, each.value, key=each.key, headers=list(each.headers))
            for each in messages
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


class Tail:
    """Counts the records of a topic as they become readable.

    It reads them all, for the embedded broker tells the end of a log by its batches only. Both
    sides of a measurement are counted in the same way.
    """

    def __init__(self) -> None:
        self.count = 0

    async def follow(self, consumer: AIOKafkaConsumer) -> None:
        """Count until cancelled."""
        while True:
            polled = await consumer.getmany(timeout_ms=200)
            self.count += sum(len(records) for records in polled.values())

    async def reach(self, count: int) -> float:
        """Wait until there are so many records; the monotonic moment."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self.count < count:
            assert time.monotonic() < deadline, f"{self.count} of {count} records"
            await asyncio.sleep(0.005)
        return time.monotonic()


@contextlib.asynccontextmanager
async def consumer(
    kafka: str, topic: str, *, fetch_wait_ms: int = 500
) -> AsyncIterator[AIOKafkaConsumer]:
    """Reads a topic that is there, from its beginning, until the end of the block."""
    found = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=8 << 20,
        fetch_max_wait_ms=fetch_wait_ms,
    )
    await found.start()
    try:
        found.assign(await partitions_of(kafka, [topic]))
        yield found
    finally:
        await found.stop()


@contextlib.asynccontextmanager
async def tail(kafka: str, topic: str) -> AsyncIterator[Tail]:
    """A tail of a topic that is there, until the end of the block."""
    async with consumer(kafka, topic) as own:
        found = Tail()
        async with meanwhile(found.follow(own)):
            yield found


@contextlib.asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Something that goes on until the end of the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
