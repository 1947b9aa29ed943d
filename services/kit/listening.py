"""LISTEN with a session of its own that comes back when it is lost.

A notification may be lost with its session, and silent network loss goes unnoticed: whoever
listens polls behind it. It says only that there may be something to do, never what.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import structlog

from services.kit.database import is_away, open_session

log = structlog.get_logger()

_PROBE_SECONDS = 5.0


class Listener:
    """Sets `heard` whenever one of the channels is notified, and after every reconnection."""

    def __init__(self, dsn: str, channels: Sequence[str], *, application_name: str) -> None:
        self._dsn = dsn
        self._channels = tuple(channels)
        self._application_name = application_name
        self.heard = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Return when something was heard, or after `seconds` at the latest; clears `heard`."""
        try:
            async with asyncio.timeout(seconds):
                await self.heard.wait()
        except TimeoutError:
            return
        finally:
            self.heard.clear()

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set; reconnects for as long as the database is away."""
        while not stop.is_set():
            try:
                await self._listen(stop)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                if not is_away(error):
                    raise
                log.info("the listening session was lost", error=type(error).__name__)
                await _pause(stop, 1.0)

    async def _listen(self, stop: asyncio.Event) -> None:
        session = await open_session(
            self._dsn, application_name=self._application_name, limits={"jit": "off"}
        )
        try:
            for channel in self._channels:
                await session.add_listener(channel, self._hear)
            self.heard.set()
            while not stop.is_set():
                await _pause(stop, _PROBE_SECONDS)
                await session.execute("SELECT")
        finally:
            session.terminate()

    def _hear(self, *_: Any) -> None:
        self.heard.set()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
