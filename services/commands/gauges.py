"""Tells the metrics what the database holds: gaps, waits, the oldest unsynced order, the books."""

from __future__ import annotations

import asyncio
from itertools import count

from services.kit.database import Pool, transaction, while_away
from services.records import accounting, gauges

ROUND_SECONDS = 10.0
# The books read every order there is: one round of many.
_ROUNDS_A_BOOK = 30


class Gauges:
    """Sets the gauges again and again; one process of a deployment is enough."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; while the database is away, the gauges stay as they were."""
        for number in count():
            async for attempt in while_away(stop):
                with attempt:
                    await self.tell(books=number % _ROUNDS_A_BOOK == 0)
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await stop.wait()
                return
            except TimeoutError:
                continue

    async def tell(self, *, books: bool) -> None:
        """Set every gauge once; with `books` what the accounting finds, too."""
        async with transaction(self._pool) as connection:
            # What happens between two statements would look like a fault.
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            await gauges.expose(connection)
            if books:
                accounting.expose(await accounting.violations(connection))
