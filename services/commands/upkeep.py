"""What a deployment needs done again and again: months made ahead, and what is old forgotten."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import asyncpg
import structlog

from services.kit.database import Session, open_session, while_away
from services.kit.settings import Settings
from services.records import blobs, months, retention

log = structlog.get_logger()

# Often, so that each time there is little to forget.
ROUND_SECONDS = 3600.0
# Forgetting works half of the time, and leaves the other half of its connection's to the traffic.
_REST_SHARE = 1.0


@dataclass(slots=True)
class Done:
    """What one round of upkeep did."""

    made: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    commands: int = 0
    faults: int = 0
    pictures: int = 0


class Upkeep:
    """Does the work of every hour; several processes may do it at once.

    `command_days` after their final answer commands are forgotten, and months of history older
    than the current one and the `history_months` before it are dropped.
    """

    def __init__(self, dsn: str, *, command_days: int = 30, history_months: int = 24) -> None:
        self._dsn = dsn
        self._command_days = command_days
        self._history_months = history_months

    @classmethod
    def of(cls, settings: Settings) -> Upkeep:
        """As the settings want it."""
        return cls(
            settings.database_url,
            command_days=settings.command_retention_days,
            history_months=settings.history_months,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set: at the start, and then once an hour."""
        while not stop.is_set():
            async for attempt in while_away(stop):
                with attempt:
                    await self.once(stop.is_set)
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def once(self, stopped: Callable[[], bool] = lambda: False) -> Done:
        """One round: make the months that are missing, then forget what is old.

        Ends between two steps when `stopped` says so; what is left is done the next time.
        """
        done = Done()
        session = await open_session(self._dsn, application_name="crossroads upkeep")
        try:
            done.made = await months.ensure(session)
            await self._forget_commands(session, stopped, done)
            done.faults = await retention.forget_faults(session)
            await self._forget_pictures(session, stopped, done)
            await self._drop_months(session, stopped, done)
        finally:
            await session.close()
        if done != Done():
            log.info(
                "upkeep",
                partitions_made=done.made,
                partitions_dropped=done.dropped,
                commands_forgotten=done.commands,
                faults_forgotten=done.faults,
                pictures_forgotten=done.pictures,
            )
        return done

    async def _forget_commands(
        self, session: Session, stopped: Callable[[], bool], done: Done
    ) -> None:
        place: retention.Place | None = retention.START
        while place is not None and not stopped():
            began = time.monotonic()
            page = await retention.forget_page(session, days=self._command_days, after=place)
            done.commands += page.forgotten
            place = page.last
            if place is not None:
                await asyncio.sleep((time.monotonic() - began) * _REST_SHARE)

    async def _forget_pictures(
        self, session: Session, stopped: Callable[[], bool], done: Done
    ) -> None:
        while not stopped():
            forgotten = await blobs.forget_page(session)
            done.pictures += forgotten
            if not forgotten:
                return

    async def _drop_months(self, session: Session, stopped: Callable[[], bool], done: Done) -> None:
        for name in await retention.old_months(session, keep=self._history_months):
            if stopped():
                return
            try:
                await retention.drop_month(session, name)
            except asyncpg.LockNotAvailableError:
                # Somebody reads in it for long, or a transaction stands open: `doctor` says who.
                log.warning("an old month is in use", partition=name)
                continue
            done.dropped.append(name)
