"""A client of the topics as a stranger would write it: aiokafka, json, nothing of the hub's."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

Headers = list[tuple[str, bytes | None]]

SEND_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as it was read; `at` is the monotonic moment of that, `timestamp` its own (ms)."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes | None], ...]
    at: float
    timestamp: int = 0

    def header(self, name: str) -> str | None:
        """The last header of this name; None where there is none, or it holds no text."""
        value = dict(self.headers).get(name)
        return None if value is None else value.decode(errors="replace")

    @property
    def id(self) -> str:
        return self.header("ce_id") or ""

    @property
    def json(self) -> Any:
        return json.loads(self.value)

    @property
    def position(self) -> tuple[str, int, int]:
        return self.topic, self.partition, self.offset


class Sender:
    """Produces with acks=all, again and again until the broker acknowledged."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def send(self, topic: str, key: bytes, value: bytes, headers: Headers) -> None:
        deadline = time.monotonic() + SEND_SECONDS
        while True:
            try:
                await self._producer.send_and_wait(topic, value, key=key, headers=list(headers))
                return
            except KafkaError:
                if time.monotonic() > deadline:
                    raise

    async def acknowledged(self) -> None:
        """Wait for what is still under way, of senders that were cut off too."""
        await self._producer.flush()


@contextlib.asynccontextmanager
async def sender(kafka: str) -> AsyncIterator[Sender]:
    """A sender, until the end of the block."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka,
        acks="all",
        max_request_size=8 << 20,
        retry_backoff_ms=50,
        # What a dead broker never answered must not hold the end of a test.
        request_timeout_ms=5000,
    )
    await producer.start()
    try:
        yield Sender(producer)
    finally:
        await producer.stop()


@contextlib.asynccontextmanager
async def reading(
    kafka: str,
    topics: Sequence[str],
    take: Callable[[Seen], None],
    *,
    seconds: float = 60,
    fetch_wait_ms: int = 50,
) -> AsyncIterator[None]:
    """Hand every record of the topics, from their beginning, to `take` until the block ends.

    Entered when all the topics are there. The embedded broker answers a fetch after half of its
    wait, so a record is late by a quarter of `fetch_wait_ms` on average, by half of it at worst.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=8 << 20,
        fetch_max_wait_ms=fetch_wait_ms,
    )
    await consumer.start()
    try:
        consumer.assign(await partitions_of(kafka, topics, seconds=seconds))
        task = asyncio.create_task(_read(consumer, take))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    finally:
        await _stop(consumer)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        # Without its broker aiokafka's fetcher raises this for itself, and closes no connection.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        await consumer._client.close()


async def partitions_of(
    kafka: str, topics: Collection[str], *, seconds: float = 60
) -> list[TopicPartition]:
    """The partitions of topics, as soon as each has one and all are led.

    Asked of the broker: a consumer of Apache Kafka knows no topic that it has not subscribed to.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    deadline = time.monotonic() + seconds
    try:
        while True:
            missing: Collection[str] = set(topics) - set(await admin.list_topics())
            if not missing:
                described = await admin.describe_topics(list(topics))
                missing = [each["topic"] for each in described if not _led(each)]
                if not missing:
                    return [
                        TopicPartition(each["topic"], number)
                        for each in described
                        for number in sorted(part["partition"] for part in each["partitions"])
                    ]
            assert time.monotonic() < deadline, f"waited {seconds:g} s for the topics {missing}"
            await asyncio.sleep(0.1)
    finally:
        await admin.close()


def _led(described: dict[str, Any]) -> bool:
    """Whether a topic can be read: Apache Kafka needs a moment to lead what was just made."""
    parts = described["partitions"]
    return bool(parts) and not any(each["error_code"] for each in (described, *parts))


async def _read(consumer: AIOKafkaConsumer, take: Callable[[Seen], None]) -> None:
    while True:
        batches = await consumer.getmany(timeout_ms=200)
        now = time.monotonic()
        for records in batches.values():
            for record in records:
                headers = tuple(record.headers)
                take(
                    Seen(
                        record.topic,
                        record.partition,
                        record.offset,
                        record.key,
                        record.value or b"",
                        headers,
                        now,
                        record.timestamp,
                    )
                )


def command_headers(
    command_id: str, type_: str, *, origin: str | None = None, partner: str | None = None
) -> Headers:
    """What contract's table asks of a command's headers."""
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", command_id.encode()),
        ("ce_source", b"/acceptance"),
        ("ce_type", f"crossroads.{type_}.v1".encode()),
        ("content-type", b"application/json"),
    ]
    if origin is not None:
        headers.append(("ce_origintenant", origin.encode()))
    if partner is not None:
        headers.append(("ce_desttenant", partner.encode()))
    return headers
