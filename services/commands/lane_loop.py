"""The lane loop: every worker process runs one, so that no lane waits for a certain service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from services.commands.pipeline import Pipeline, now
from services.commands.turns import Turns
from services.kit.database import Pool, transaction, while_away
from services.kit.listening import Listener
from services.kit.metrics import LANES_REPAIRED_TOTAL
from services.records import gaps, lanes

log = structlog.get_logger()

# A notification comes first; this is what a lost one costs, in seconds.
POLL_SECONDS = 1.0
SWEEP_SECONDS = 30.0


class LaneLoop:
    """Wakes who waited for closed gaps, page by page, and takes turns of runnable lanes.

    It also ends what waited `wait_seconds` for an order number that nobody gave (K42).
    """

    def __init__(
        self,
        pool: Pool,
        dsn: str,
        *,
        service: str,
        wait_seconds: float = 900,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._pool = pool
        self._wait_seconds = wait_seconds
        self._listener = Listener(
            dsn, [lanes.CHANNEL], application_name=f"crossroads {service} lanes"
        )
        self._turns = Turns(pool, Pipeline(service, clock), service=service, clock=clock)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; while the database is away, back off."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listener.run(stop))
            group.create_task(self._wake_at(stop))
            group.create_task(self._sweep(stop))
            await self._work(stop)

    async def drain(self) -> int:
        """Work until nothing is runnable; how many pages and turns there were."""
        done = 0
        while await self._step():
            done += 1
        return done

    async def end_overdue(self) -> int:
        """End what waited too long for a number that nobody gave; how many."""
        ended = 0
        while found := await self._turns.overdue(self._wait_seconds):
            ended += found
        return ended

    async def sweep(self) -> int:
        """Repair what should not exist: work that nobody flagged. How much; it must stay 0."""
        async with transaction(self._pool) as connection:
            repaired = await lanes.repair(connection)
            repaired += await gaps.close_overlooked(connection)
            await gaps.forget_unheld(connection)
        repaired += await self._turns.overlooked()
        if repaired:
            LANES_REPAIRED_TOTAL.inc(repaired)
            log.error("runnable work had not been flagged", repaired=repaired)
        return repaired

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            async for attempt in while_away(stop):
                with attempt:
                    while not stop.is_set() and await self._step():
                        pass
                    await self.end_overdue()
            await self._listener.wait(POLL_SECONDS)

    async def _step(self) -> int:
        """One page and one turn of each kind; 0 when there was nothing to do."""
        async with transaction(self._pool) as connection:
            woken = await gaps.wake_page(connection)
            if woken:
                await lanes.wake_workers(connection)
        return (woken or 0) + await self._turns.upserts() + await self._turns.orders()

    async def _sweep(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with asyncio.timeout(SWEEP_SECONDS):
                    await stop.wait()
            except TimeoutError:
                async for attempt in while_away(stop):
                    with attempt:
                        await self.sweep()

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._listener.heard.set()
