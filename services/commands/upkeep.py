"""What a deployment needs done once a day: partitions of months to come."""

from __future__ import annotations

import asyncio

import structlog

from services.kit.database import open_session, while_away
from services.records import months

log = structlog.get_logger()

DAY_SECONDS = 24 * 3600.0


class Upkeep:
    """Does the daily work; several processes may do it at once."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set: at the start, and then once a day."""
        while not stop.is_set():
            async for attempt in while_away(stop):
                with attempt:
                    await self.once()
            try:
                async with asyncio.timeout(DAY_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def once(self) -> list[str]:
        """Make what is missing; the names of the new partitions."""
        session = await open_session(self._dsn, application_name="crossroads upkeep")
        try:
            made = await months.ensure(session)
        finally:
            await session.close()
        if made:
            log.info("partitions made ahead", partitions=made)
        return made
