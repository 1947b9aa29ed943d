"""The relay's one loop over all the shards it owns: fetch, publish in waves, delete, park."""

import asyncio
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from operator import attrgetter

import structlog
import tenacity

from services.kit.errors import BrokerAway, DatabaseAway
from services.kit.metrics import (
    BATCH_DURATION_SECONDS,
    ORDER_END_TO_END_SECONDS,
    OUTBOX_OLDEST_AGE_SECONDS,
    OUTBOX_RECORDS,
)
from services.kit.outbox import RowKind
from services.relay import parking, rows
from services.relay.breakers import Breakers
from services.relay.delivery import Delivery, Outcome
from services.relay.rows import Fetched, Row
from services.relay.session import LockSession
from services.relay.settled import SettledMark
from services.relay.shards import Shards
from services.relay.waves import ready_finals, split

_MAX_ROWS = 2000
_MAX_BYTES = 8 * 1024 * 1024
_LOOK_SECONDS = 2.0
_POLL_SECONDS = 0.5
_HELD_SECONDS = 0.05
_RESUME_ROWS = 500
# A record refused by itself goes through only when somebody raised a limit.
_FORGIVE_SECONDS = 60.0
_FORGIVE_ROWS = 100
_BACK_OFF = tenacity.wait_random_exponential(multiplier=0.1, max=2.0)

log = structlog.get_logger()


class Relay:
    """Publishes the outbox of one database through one delivery, until it is told to stop."""

    def __init__(self, dsn: str, delivery: Delivery, *, application_name: str = "relay") -> None:
        self._dsn = dsn
        self._delivery = delivery
        self._application_name = application_name
        self._woken = asyncio.Event()
        self._publish_seconds = BATCH_DURATION_SECONDS.labels("relay", "publish")
        self._ready = self._worked = False
        self._why_not = "starting"
        self._begin()

    def _begin(self) -> None:
        """What is known of the outbox is worth nothing to the next session."""
        self._shards = Shards()
        self._mark = SettledMark()
        self._breakers = Breakers()
        self._any_parked = True
        self._resume_due = True
        self._next_look = 0.0
        self._next_forgiving = time.monotonic() + _FORGIVE_SECONDS

    @property
    def owned_shards(self) -> list[int]:
        """The shards this relay owns now."""
        return list(self._shards.owned)

    def ready(self) -> tuple[bool, str]:
        """Whether database and broker answer; a relay without a shard, on stand-by, is ready."""
        if self._ready:
            return True, f"owns {len(self._shards.owned)} shards"
        return False, self._why_not

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; after each loss of database or broker begin anew."""

        async def sleep(seconds: float) -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await stop.wait()

        retrying = tenacity.AsyncRetrying(
            sleep=sleep,
            retry=tenacity.retry_if_exception_type((DatabaseAway, BrokerAway)),
            stop=lambda _: stop.is_set(),
            wait=self._pause,
        )
        with suppress(tenacity.RetryError):
            await retrying(self._session, stop)

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Seconds until the next attempt; short again after a session that had worked."""
        if self._worked:
            state.attempt_number = 1
        self._why_not = str(state.outcome.exception()) if state.outcome else "starting"
        seconds = _BACK_OFF(state)
        log.warning("relay.away", error=self._why_not, pause_seconds=round(seconds, 2))
        return seconds

    async def _session(self, stop: asyncio.Event) -> None:
        """One session from its begin to its loss, or to the stop."""
        self._worked = False
        try:
            await self._delivery.start()
            async with LockSession(self._dsn, self._woken.set, self._application_name) as session:
                self._begin()
                await self._serve(session, stop)
        finally:
            self._ready = False
            self._shards.owned = []
            await self._delivery.stop()

    async def _serve(self, session: LockSession, stop: asyncio.Event) -> None:
        async with session.use() as connection:
            await self._shards.announce(connection)
        while not stop.is_set():
            if time.monotonic() >= self._next_look:
                await self._look_around(session)
            await self._ask_closed_topics()
            await self._resume(session)
            pause = await self._round(session) if self._shards.owned else _POLL_SECONDS
            if pause:
                await self._rest(pause, stop)

    async def _rest(self, pause: float, stop: asyncio.Event) -> None:
        """Until new rows are announced, but no longer than until something is due."""
        due = [self._next_look]
        next_question = self._breakers.next_due()
        if next_question is not None:
            due.append(next_question)
        pause = min(pause, max(0.0, min(due) - time.monotonic()))
        waits = [asyncio.ensure_future(event.wait()) for event in (self._woken, stop)]
        try:
            await asyncio.wait(waits, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _look_around(self, session: LockSession) -> None:
        """Every two seconds: shards, metrics, the broker, and records refused long ago."""
        async with session.use() as connection:
            moves = await self._shards.rebalance(connection)
            owned = self._shards.owned
            if moves.acquired:
                self._mark.restart()
                self._any_parked = self._resume_due = True
            now = time.monotonic()
            if now >= self._next_forgiving:
                await parking.forgive_refused(connection, owned, _FORGIVE_ROWS)
                self._next_forgiving = now + _FORGIVE_SECONDS
                self._resume_due = True
            records, age = await rows.backlog(connection, self._mark.value, owned)
        if moves.acquired:
            await self._delivery.take_over(session, moves.acquired)
        if moves.acquired or moves.released:
            log.info("relay.shards", owned=owned, acquired=moves.acquired, released=moves.released)
        OUTBOX_RECORDS.set(records)
        OUTBOX_OLDEST_AGE_SECONDS.set(age)
        self._breakers.forget_old(now)
        self._ready = await self._delivery.broker_there()
        self._worked = self._worked or self._ready
        self._why_not = "the broker does not answer"
        self._next_look = time.monotonic() + _LOOK_SECONDS

    async def _ask_closed_topics(self) -> None:
        for topic in self._breakers.due(time.monotonic()):
            if await self._delivery.answers(topic):
                self._breakers.close(topic, time.monotonic())
                self._resume_due = True
                log.info("relay.topic_answers", topic=topic)
            else:
                self._breakers.refused(topic, time.monotonic())

    async def _resume(self, session: LockSession) -> None:
        """Take one page of parked rows back; whatever is newer waits behind the rest."""
        if not (self._resume_due and self._shards.owned):
            return
        async with session.use() as connection:
            moved = await parking.resume_page(
                connection, self._shards.owned, self._breakers.topics(), _RESUME_ROWS
            )
            if moved:
                self._mark.lower(min(moved))
                return
            self._resume_due = False
            self._any_parked = await parking.any_parked(connection, self._shards.owned)

    async def _round(self, session: LockSession) -> float:
        """One fetch and what follows from it; how many seconds to rest before the next."""
        self._woken.clear()
        async with session.use() as connection:
            fetched = await rows.fetch(
                connection,
                self._mark.value,
                self._shards.owned,
                max_rows=_MAX_ROWS,
                max_bytes=_MAX_BYTES,
            )
            joining: set[int] = set()
            if self._any_parked and fetched.rows:
                joining = await parking.joining(connection, fetched.rows)
            if not fetched.rows and self._mark.asks:
                self._mark.writing(await rows.writers(connection))
        if not fetched.rows:
            self._mark.advance(fetched.xmin, fetched.reached, None)
            return _POLL_SECONDS
        outcome = await self._publish_waves(session, fetched, joining)
        parked = await self._park(session, fetched.rows, joining, outcome)
        gone = outcome.acknowledged | parked
        lowest_left = next((row.id for row in fetched.rows if row.id not in gone), None)
        self._mark.advance(fetched.xmin, fetched.reached, lowest_left)
        return 0.0 if gone else _HELD_SECONDS

    async def _publish_waves(
        self, session: LockSession, fetched: Fetched, joining: Collection[int]
    ) -> Outcome:
        """Publish what may go out, and delete what was acknowledged, wave by wave.

        Syncs are deleted before the results of their commands go out: who reads a result and then
        asks for the order finds it `synced` (K40). Where results ride along, theirs is the next
        round, which follows at once.
        """
        aside = parking.to_park(
            fetched.rows, closed_topics=self._breakers.topics(), joining=joining, refused=()
        )
        held = {row.id for row in aside}
        first, finals = split([row for row in fetched.rows if row.id not in held])
        ride_along = self._delivery.results_ride_along
        outcome = Outcome()
        if not ride_along:
            outcome = await self._publish(session, first, fetched.last_id)
        named = [row.after_id for row in finals if row.after_id is not None]
        waiting: set[int] = set()
        if named:
            async with session.use() as connection:
                waiting = await rows.still_there(connection, named)
        ready = ready_finals(finals, [*aside, *first], outcome.acknowledged, waiting)
        if ride_along:
            wave = sorted([*first, *ready], key=attrgetter("id"))
            return await self._publish(session, wave, fetched.last_id)
        last = await self._publish(session, ready, fetched.last_id)
        outcome.acknowledged |= last.acknowledged
        outcome.refused |= last.refused
        outcome.closed |= last.closed
        outcome.doubtful |= last.doubtful
        return outcome

    async def _publish(self, session: LockSession, wave: Sequence[Row], last_id: int) -> Outcome:
        if not wave:
            return Outcome()
        if not session.alive:
            raise DatabaseAway("The outbox's session was silent for too long.")
        with self._publish_seconds.time():
            outcome = await self._delivery.publish(wave)
        if not (outcome.acknowledged or outcome.refused or outcome.closed):
            raise BrokerAway("The broker acknowledged nothing.")
        now = time.time()
        for row in wave:
            if row.kind == RowKind.SYNC and row.id in outcome.acknowledged and row.accepted_ms:
                ORDER_END_TO_END_SECONDS.observe(max(0.0, now - row.accepted_ms / 1000))
        if outcome.acknowledged:
            async with session.use() as connection:
                xid = await rows.delete(connection, sorted(outcome.acknowledged))
                self._mark.deleted(last_id, xid)
                if self._mark.asks:
                    self._mark.writing(await rows.writers(connection))
        return outcome

    async def _park(
        self,
        session: LockSession,
        fetched: Sequence[Row],
        joining: Collection[int],
        outcome: Outcome,
    ) -> set[int]:
        """Open the breakers of topics that take nothing and set their rows aside; the ids set."""
        for topic, reason in outcome.closed.items():
            if self._breakers.open(topic, reason, time.monotonic()):
                log.warning("relay.topic_closed", topic=topic, reason=reason)
        aside = parking.to_park(
            [row for row in fetched if row.id not in outcome.acknowledged],
            closed_topics=self._breakers.topics(),
            joining=joining,
            refused=outcome.refused,
        )
        if aside:
            for row_id, reason in outcome.refused.items():
                log.warning("relay.record_refused", row_id=row_id, reason=reason)
            async with session.use() as connection:
                await parking.park(connection, aside, outcome.refused, outcome.doubtful)
            self._any_parked = True
        return {row.id for row in aside}
