"""Kafka's own offsets, told behind the transactions: for lag tools and for comparison, no more."""

import asyncio
from collections.abc import Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

log = structlog.get_logger()

_SECONDS = 5.0


class Commits:
    """Commits the latest noted offsets of a consumer, one request at a time.

    A commit that fails is only logged: the marks are in the database, and the next one tells more.
    """

    def __init__(self) -> None:
        self._noted: dict[TopicPartition, int] = {}
        self._wanted = asyncio.Event()

    def note(self, marks: Mapping[TopicPartition, int]) -> None:
        """Marks that a transaction has committed, to be told soon."""
        self._noted.update(marks)
        self._wanted.set()

    def forget(self) -> None:
        """The partitions were taken away: another reader tells their offsets now."""
        self._noted.clear()

    async def run(self, consumer: AIOKafkaConsumer) -> None:
        """Tells what is noted as it comes, until cancelled."""
        while True:
            await self._wanted.wait()
            await self.flush(consumer)

    async def flush(self, consumer: AIOKafkaConsumer) -> None:
        """Tells what is noted now."""
        self._wanted.clear()
        noted, self._noted = self._noted, {}
        assigned = consumer.assignment()
        offsets = {each: offset for each, offset in noted.items() if each in assigned}
        if not offsets:
            return
        try:
            async with asyncio.timeout(_SECONDS):
                await consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            log.info("offsets were not committed to the broker", error=repr(error))
