"""What really stands on the topics: read with aiokafka and json, by no code of the hub."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from services.cli.demo.telling import NotAsItShould

_POLL_MS = 100
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Seen:
    """A record as it stands on a topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes | None], ...]

    @cached_property
    def named(self) -> Mapping[str, str]:
        """The headers that are texts, by name; the last of a name counts."""
        return {name: value.decode("utf-8", "replace") for name, value in self.headers if value}

    @cached_property
    def document(self) -> Any:
        """The value as JSON."""
        return json.loads(self.value)


class Watch:
    """Reads topics from their beginning into memory, without a consumer group.

    A topic that is not there yet is waited for; asking the embedded broker for it by name would
    make it.
    """

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._records: dict[str, list[Seen]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)

    async def start(self, topics: Iterable[str]) -> None:
        """Begin to read."""
        await self._admin.start()
        self.follow(topics)

    def follow(self, topics: Iterable[str]) -> None:
        """Read these topics, too."""
        for topic in topics:
            self._records[topic] = []
            self._tasks.append(asyncio.create_task(self._read(topic), name=f"read {topic}"))

    async def stop(self) -> None:
        """Read no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._admin.close()

    def of(self, topic: str) -> list[Seen]:
        """All that was read from a topic so far, by partition in order."""
        return self._records[topic]

    async def until(
        self,
        holds: Callable[[], bool],
        what: str,
        *,
        seconds: float = 60.0,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Return when `holds()`; it is asked whenever something was read, and `tick` called.

        Raises:
            NotAsItShould: it does not hold in time; `what` says what was waited for.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while not holds():
            tick()
            self._fail_with_a_reader()
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise NotAsItShould(f"Not within {seconds:.0f} s: {what}.")
            self._news.clear()
            try:
                async with asyncio.timeout(min(left, 1.0)):
                    await self._news.wait()
            except TimeoutError:
                continue
        tick()

    def _fail_with_a_reader(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()

    async def _read(self, topic: str) -> None:
        while topic not in await self._admin.list_topics():  # noqa: ASYNC110 - a remote condition
            await asyncio.sleep(_LOOK_SECONDS)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers, group_id=None, enable_auto_commit=False
        )
        await consumer.start()
        try:
            partitions = await self._partitions(consumer, topic)
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            while True:
                polled = await consumer.getmany(timeout_ms=_POLL_MS)
                self._take(topic, polled)
        finally:
            await consumer.stop()

    async def _partitions(self, consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
        described = await self._admin.describe_topics([topic])
        numbers = [partition["partition"] for partition in described[0]["partitions"]]
        return [TopicPartition(topic, number) for number in sorted(numbers)]

    def _take(self, topic: str, polled: Mapping[TopicPartition, list[Any]]) -> None:
        if not polled:
            return
        self._records[topic].extend(
            Seen(topic, r.partition, r.offset, r.key, r.value or b"", tuple(r.headers))
            for records in polled.values()
            for r in records
        )
        self._news.set()
