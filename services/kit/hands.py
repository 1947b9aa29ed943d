"""Batches in hand: a few at a time, and of each partition one.

While the database works on one batch, the next one, of other partitions, is decided. Batches of one
partition follow one another, so the order of its records and the chain of its marks are as if there
was one hand only.
"""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

from aiokafka import TopicPartition

# More of them find no second processor core, and hold their locks for longer.
HANDS = 2


class Hands:
    """What is being done now. Failures are the work's own: it must not raise."""

    def __init__(self) -> None:
        self._work: dict[asyncio.Task[None], frozenset[TopicPartition]] = {}

    def __len__(self) -> int:
        """How many hands are full."""
        return len(self._work)

    @property
    def held(self) -> set[TopicPartition]:
        """The partitions in some hand."""
        return set().union(*self._work.values())

    def take(self, partitions: Collection[TopicPartition], work: Coroutine[Any, Any, None]) -> None:
        """Begin `work` on these partitions, none of which is held."""
        task = asyncio.create_task(work)
        self._work[task] = frozenset(partitions)
        task.add_done_callback(self._work.pop)

    async def free(self) -> None:
        """Wait until a hand is empty."""
        while len(self._work) >= HANDS:
            await asyncio.wait(self._work, return_when=asyncio.FIRST_COMPLETED)

    async def moved(self, seconds: float) -> None:
        """Wait until some work ends, but no longer than that."""
        if self._work:
            await asyncio.wait(self._work, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def empty(self) -> None:
        """Wait until all work has ended."""
        while self._work:
            await asyncio.wait(self._work)

    async def drop(self) -> None:
        """Cut off what has not ended."""
        for task in self._work:
            task.cancel()
        await self.empty()
