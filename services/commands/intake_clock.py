"""The clock of those who wait for an unknown number: it runs while order-intake keeps up (K42).

Every order-intake process notes how far it has read its partitions; whichever looks next counts the
time since the last look, if every partition of the input is read up to a few seconds ago. While an
order may stand unread on its topic, nobody is told that it does not exist.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from contextlib import suppress

import structlog
from aiokafka import TopicPartition

from services.kit.database import Pool, transaction, while_away
from services.kit.errors import BrokerAway
from services.kit.kafka import BrokerView
from services.kit.settings import Settings
from services.kit.stream import Stream
from services.records import intake

log = structlog.get_logger()

LOOK_SECONDS = 2.0
# Partitions come with tenants: this is how late a new one may be noticed.
_LIST_SECONDS = 10.0


class IntakeClock:
    """Runs in every order-intake process; as long as one of them lives, the clock may run."""

    def __init__(self, pool: Pool, stream: Stream, settings: Settings, pattern: str) -> None:
        self._pool = pool
        self._stream = stream
        self._view = BrokerView(settings)
        self._pattern = re.compile(pattern)
        self._partitions: Collection[TopicPartition] = ()
        self._cluster_id = ""
        self._listed_at = float("-inf")

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; without database or broker the clock stands still."""
        try:
            while not stop.is_set():
                async for attempt in while_away(stop):
                    with attempt:
                        await self.look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await stop.wait()
        finally:
            await self._view.close()

    async def look(self) -> None:
        """Note how far this process has read, and count the time that went by."""
        try:
            await self._list()
        except BrokerAway as error:
            log.warning("the input cannot be listed: the intake clock stands", error=repr(error))
            return
        await count(self._pool, self._cluster_id, self._partitions, self._stream.behind())

    async def _list(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._listed_at < _LIST_SECONDS:
            return
        self._cluster_id = await self._view.cluster_id()
        self._partitions = await self._view.partitions(self._pattern)
        self._listed_at = now


async def count(
    pool: Pool,
    cluster_id: str,
    partitions: Collection[TopicPartition],
    behind: Mapping[TopicPartition, float],
) -> None:
    """Store what was seen, and count.

    `behind` maps partitions to seconds: what had arrived so long ago is processed. `partitions` are
    all of the input.
    """
    async with transaction(pool) as connection:
        await intake.note(connection, cluster_id, behind)
        await intake.count(connection, cluster_id, partitions)
