"""The board where callers wait for answers: one query for all of them, however many they are.

Published answers are announced by NOTIFY; a slow poll stays behind it, for notifications are lost
with their connection and silent network loss goes unnoticed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog

from services.gateway.problems import away
from services.kit.errors import DatabaseAway
from services.kit.listening import Listener
from services.records.answers import TellableAnswer, Wanted

log = structlog.get_logger()

Look = Callable[[Sequence[Wanted]], Awaitable[list[tuple[Wanted, TellableAnswer]]]]

POLL_SECONDS = 0.25
# Between two looks at least this, and twice as long as the last one took: with ten thousand
# callers a look takes tens of milliseconds, and every burst of answers asks for one.
BREATH_SECONDS = 0.003
_AWAY_PAUSE_SECONDS = 0.5
MOST_CALLERS = 12_000


@dataclass(slots=True, eq=False)
class _Place:
    """Where the callers with one and the same command wait; the last to leave takes it away."""

    future: asyncio.Future[TellableAnswer | None]
    callers: int = 0


class AnswerBoard:
    """Who waits for which answer. `look` is asked which of them may be told now."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._waiting: dict[Wanted, _Place] = {}
        self._fresh: set[Wanted] = set()
        self._published = False
        self._released = False
        self._wake = asyncio.Event()
        # Whoever does not wait is let go by the end of the next look.
        self._looked: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def published(self) -> None:
        """Something was published: everybody's answer is looked for again."""
        if self._waiting:
            self._published = True
            self._wake.set()

    def release(self) -> None:
        """Let everybody go without an answer, now and from now on: the process ends."""
        self._released = True
        for place in self._waiting.values():
            if not place.future.done():
                place.future.set_result(None)

    async def wait(self, wanted: Wanted, seconds: float) -> TellableAnswer | None:
        """The answer as soon as it may be told; None when `seconds` have passed before.

        With 0 seconds it is looked for once, so that an answer that is there already is told (K32).
        """
        if self._released:
            return None
        place = self._waiting.get(wanted)
        if place is None or place.future.done():
            place = self._waiting[wanted] = _Place(asyncio.get_running_loop().create_future())
        place.callers += 1
        self._fresh.add(wanted)
        self._wake.set()
        try:
            if seconds > 0:
                await asyncio.wait({place.future}, timeout=seconds)
            else:
                await self._one_look(place)
            return place.future.result() if place.future.done() else None
        finally:
            place.callers -= 1
            if place.callers == 0 and self._waiting.get(wanted) is place:
                del self._waiting[wanted]

    async def _one_look(self, place: _Place) -> None:
        if self._looked is None:
            self._looked = asyncio.get_running_loop().create_future()
        either: set[asyncio.Future[Any]] = {place.future, self._looked}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)

    async def run(self, stopping: asyncio.Event) -> None:
        """Look for answers until the process stops; then everybody is let go."""
        looking = asyncio.create_task(self._look_on(), name="answers")
        stopped = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({looking, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.release()
            looking.cancel()
            stopped.cancel()
        with suppress(asyncio.CancelledError):
            await looking

    async def announce(self, listener: Listener, stopping: asyncio.Event) -> None:
        """Pass on what the listener hears, and the poll behind it, until the process stops."""
        while not stopping.is_set():
            await listener.wait(POLL_SECONDS)
            self.published()

    async def _look_on(self) -> None:
        """Look whenever there is reason to. A database that is away only makes it wait."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            wanted = self._take_turn()
            if not wanted:
                continue
            began = loop.time()
            looked, self._looked = self._looked, None
            try:
                found = await self._look(wanted)
            except DatabaseAway as error:
                _end(looked)
                log.warning("answers cannot be looked for", error=str(error), waiting=len(self))
                await asyncio.sleep(_AWAY_PAUSE_SECONDS)
                self.published()
                continue
            for each, answer in found:
                place = self._waiting.get(each)
                if place is not None and not place.future.done():
                    place.future.set_result(answer)
            _end(looked)
            await asyncio.sleep(max(BREATH_SECONDS, 2 * (loop.time() - began)))

    def _take_turn(self) -> list[Wanted]:
        everybody, self._published = self._published, False
        fresh, self._fresh = self._fresh, set()
        return list(self._waiting) if everybody else [one for one in fresh if one in self._waiting]


def _end(looked: asyncio.Future[None] | None) -> None:
    if looked is not None:
        looked.set_result(None)


class Room:
    """How much the gateway holds for callers at once; beyond it, it answers 503 before it acts.

    `callers` and `size` (bytes of bodies) are upper bounds, so that memory has one.
    """

    def __init__(self, *, callers: int = MOST_CALLERS, size: int = 256 * 1024 * 1024) -> None:
        self._callers = callers
        self._size = size
        self.callers = 0
        self.size = 0

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Room for one caller with a body of `size` bytes. Raises Problem 503 without it."""
        if self.callers >= self._callers or self.size + size > self._size:
            raise away("gateway", retry_after=1)
        self.callers += 1
        self.size += size
        try:
            yield
        finally:
            self.callers -= 1
            self.size -= size
