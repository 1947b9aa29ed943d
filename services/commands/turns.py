"""Turns: woken commands go through the same pipeline, in the order of their lanes (protocol §3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias, TypeVar

import asyncpg

from schemas.codes import Code
from services.commands import unforeseen
from services.commands.batch import Batch, Identity, jobs_of, names_of
from services.commands.decode import Arrival, Dead, decode
from services.commands.pipeline import Numbers, Pipeline
from services.kit import faults
from services.kit.cloudevents import Record
from services.kit.database import (
    Connection,
    Pool,
    is_away,
    is_retryable_conflict,
    retry_conflicts,
    transaction,
)
from services.kit.errors import DatabaseAway
from services.kit.faults import FaultBound
from services.records import (
    commands,
    directory,
    gaps,
    lanes,
    locks,
    numbers,
    tallies,
    waiting_upserts,
)
from services.records.locks import LocksNeeded
from services.records.numbers import NumberTurn

ORDERS_A_TURN = 100
COMMANDS_A_LANE = 200
UPSERTS_A_TURN = 200
NUMBERS_A_TURN = 200
_ATTEMPTS = 8

# An order's id and the place of its lane's head, 0 where nothing stands in its lane.
Head: TypeAlias = tuple[str, int]
Key = TypeVar("Key", Head, Identity, int)
_Claim: TypeAlias = Callable[[Connection, int | None], Awaitable[list[NumberTurn]]]
# A transaction over all that is runnable, or over one; it fills the list with what it claimed.
_Turn: TypeAlias = Callable[[Numbers, Key | None, list[Key]], Awaitable[int]]
_GiveUp: TypeAlias = Callable[[Connection, Key, Exception], Awaitable[None]]


class Turns:
    """Takes turns of whatever lane is runnable; any number of these work side by side.

    More unforeseen failures than `bound` raise ServiceMustStop: a broken release must not fail
    every command that is woken. What it did not fail waits for a better one.
    """

    def __init__(
        self,
        pool: Pool,
        pipeline: Pipeline,
        *,
        service: str,
        clock: Callable[[], datetime],
        bound: FaultBound | None = None,
    ) -> None:
        self._bound = bound or FaultBound()
        self._pool = pool
        self._pipeline = pipeline
        self._service = service
        self._clock = clock

    async def orders(self) -> int:
        """One turn of up to ORDERS_A_TURN runnable orders; how many had one."""
        return await self._apart(self._orders, self._fail_head)

    async def upserts(self) -> int:
        """One turn of upserts whose parents may have come; how many had one."""
        return await self._apart(self._upserts, self._fail_upsert)

    async def overdue(self, seconds: float) -> int:
        """End commands that waited `seconds` for a number nobody gave; how many (K42).

        By the intake's clock: only time in which order-intake kept up with its input counts. An
        order that is there all the same is not missed: the command goes on with it.
        """

        async def claim(connection: Connection, only: int | None) -> list[NumberTurn]:
            return await numbers.claim_overdue(connection, seconds, NUMBERS_A_TURN, only)

        return await self._numbers(claim, overdue=True)

    async def overlooked(self) -> int:
        """Take commands on whose number an order has all the same; how many. It must stay 0."""

        async def claim(connection: Connection, only: int | None) -> list[NumberTurn]:
            return await numbers.claim_known(connection, NUMBERS_A_TURN, only)

        return await self._numbers(claim, overdue=False)

    async def _numbers(self, claim: _Claim, *, overdue: bool) -> int:
        async def turn(first: Numbers, only: int | None, claimed: list[int]) -> int:
            async with transaction(self._pool) as connection:
                await locks.take_exclusive(connection, first)
                waiters = await claim(connection, only)
                claimed[:] = [waiter.lane_id for waiter in waiters]
                if waiters:
                    await self._look_again(connection, waiters, first, overdue=overdue)
                return len(waiters)

        async def give_up(connection: Connection, lane_id: int, error: Exception) -> None:
            for waiter in await claim(connection, lane_id):
                try:
                    await locks.try_exclusive(connection, numbers.locks_of([waiter.number]))
                except LocksNeeded:
                    return  # somebody may be giving its number: it is met again
                moment = self._clock()
                await unforeseen.fail_waiter(connection, self._service, waiter, error, moment)
                await self._count_fault(connection, waiter.record, error)

        return await self._apart(turn, give_up)

    async def _look_again(
        self,
        connection: Connection,
        waiters: Sequence[NumberTurn],
        first: Numbers,
        *,
        overdue: bool,
    ) -> None:
        """Decide commands again under the locks of race a: nobody gives their numbers meanwhile."""
        wanted = numbers.locks_of(waiter.number for waiter in waiters)
        await locks.try_exclusive(connection, wanted - first)
        batch = await _batch_of(connection, [waiter.record for waiter in waiters])
        for job, waiter in zip(batch.firsts, waiters, strict=True):
            job.command = replace(job.command, overdue=overdue)
            job.lane_id, job.reason = waiter.lane_id, Code.LANE_ORDER_UNKNOWN
        answers = await commands.known(connection, (job.identity for job in batch.firsts))
        await self._pipeline.decide_and_store(connection, batch, answers, first | wanted)
        await self._count_turns(connection, len(waiters))

    async def _apart(self, turn: _Turn[Key], give_up: _GiveUp[Key]) -> int:
        """A turn of all that is runnable; where it fails unforeseen, of each by itself.

        What fails by itself is given up, so that it costs nobody else anything (guarantee 5).
        """
        these: list[Key] = []
        try:
            return await self._undisturbed(lambda first: turn(first, None, these))
        except Exception as error:
            # Before anything was claimed the fault is nobody's command: it must not pass unheard.
            if _is_nobodys(error) or not these:
                raise
        for key in these:
            await self._alone(turn, give_up, key)
        return len(these)

    async def _alone(self, turn: _Turn[Key], give_up: _GiveUp[Key], key: Key) -> None:
        try:
            await self._undisturbed(lambda first: turn(first, key, []))
        except Exception as error:
            if _is_nobodys(error):
                raise
            async with transaction(self._pool) as connection:
                await give_up(connection, key, error)

    async def _fail_head(self, connection: Connection, tried: Head, error: Exception) -> None:
        order_id, lane_id = tried
        if not lane_id:
            raise error
        if not await lanes.claim(connection, 1, [order_id]):
            return
        for head in await lanes.turns(connection, [order_id], 1):
            # Another process may have given it up meanwhile: then the head is somebody innocent.
            if head.lane_id == lane_id:
                moment = self._clock()
                await unforeseen.fail_turn(connection, self._service, head, error, moment)
                await self._count_fault(connection, head.record, error)

    async def _fail_upsert(
        self, connection: Connection, identity: Identity, error: Exception
    ) -> None:
        for upsert in await waiting_upserts.claim(connection, 1, identity):
            await unforeseen.fail_upsert(connection, self._service, upsert, error, self._clock())
            await self._count_fault(connection, upsert.record, error)

    async def _count_turns(self, connection: Connection, turns: int) -> None:
        """Last in its transaction, as tallies want it."""
        await tallies.add(connection, self._service, {tallies.TURN: turns})

    async def _count_fault(self, connection: Connection, record: Record, error: Exception) -> None:
        await self._count_turns(connection, 1)
        await faults.store_apart(
            connection,
            self._bound,
            group=f"{self._service} lanes",
            source=record.source,
            records=await tallies.one(connection, self._service, tallies.TURN),
            error=error,
        )

    async def _undisturbed(self, work: Callable[[Numbers], Awaitable[int]]) -> int:
        """Run a transaction again for as long as others' locks and rows come between."""
        first: Numbers = frozenset()
        for left in reversed(range(_ATTEMPTS)):
            try:
                async for attempt in retry_conflicts():
                    with attempt:
                        return await work(first)
            except LocksNeeded as needed:
                first |= needed.numbers
                if not left:
                    raise DatabaseAway("Others hold the advisory numbers of this turn.") from needed
            except asyncpg.UniqueViolationError:
                if not left:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _orders(self, first: Numbers, only: Head | None, claimed: list[Head]) -> int:
        # Of an order by itself one command: what fails then is the head, and nothing behind it.
        each = COMMANDS_A_LANE if only is None else 1
        async with transaction(self._pool) as connection:
            await locks.take_exclusive(connection, first)
            these = None if only is None else [only[0]]
            ids = await lanes.claim(connection, ORDERS_A_TURN, these)
            if not ids:
                return 0
            turns = await lanes.turns(connection, ids, each)
            claimed[:] = _heads(ids, turns)
            if only not in (None, *claimed):
                return 0
            batch = await _batch_of(connection, [turn.record for turn in turns])
            for job, turn in zip(batch.firsts, turns, strict=True):
                job.command = replace(job.command, lane=turn.order_id)
                job.lane, job.lane_id, job.reason = turn.order_id, turn.lane_id, turn.reason
            answers = await commands.known(connection, (job.identity for job in batch.firsts))
            emptied = await gaps.release(connection, ids)
            decided = await self._pipeline.decide_and_store(connection, batch, answers, first)
            left = {job.lane for job in decided.jobs if job.waits}
            full = _full_lanes([turn.order_id for turn in turns], each)
            await lanes.settle(connection, ids, (full - left) | decided.taken_over)
            await gaps.forget(connection, emptied)
            await self._count_turns(connection, len(turns))
            return len(ids)

    async def _upserts(self, first: Numbers, only: Identity | None, claimed: list[Identity]) -> int:
        async with transaction(self._pool) as connection:
            await locks.take_exclusive(connection, first)
            upserts = await waiting_upserts.claim(connection, UPSERTS_A_TURN, only)
            claimed[:] = [(upsert.tenant_id, upsert.command_id) for upsert in upserts]
            if not upserts:
                return 0
            batch = await _batch_of(connection, [upsert.record for upsert in upserts])
            answers = await commands.known(connection, (job.identity for job in batch.firsts))
            decided = await self._pipeline.decide_and_store(connection, batch, answers, first)
            await waiting_upserts.leave(
                connection, [job.identity for job in decided.jobs if job.decided.parent is None]
            )
            await self._count_turns(connection, len(upserts))
            return len(upserts)


def _is_nobodys(error: Exception) -> bool:
    """Whether the fault is the database's or a conflict with others: no command is to blame."""
    return is_away(error) or is_retryable_conflict(error)


async def _batch_of(connection: Connection, records: Sequence[Record]) -> Batch:
    """A batch of commands that were accepted before, decoded again as they were received."""
    decoded: list[Arrival | Dead] = [decode(record) for record in records]
    named = await directory.load(connection, names_of(decoded))
    jobs, dead = jobs_of(decoded, named, turn=True)
    if dead:
        raise AssertionError(f"a command that was accepted does not read: {dead[0].reason}")
    return Batch(firsts=jobs, directory=named)


def _heads(order_ids: Sequence[str], turns: Sequence[lanes.Turn]) -> list[Head]:
    heads = dict.fromkeys(order_ids, 0)
    for turn in turns:
        heads[turn.order_id] = heads[turn.order_id] or turn.lane_id
    return list(heads.items())


def _full_lanes(order_ids: Sequence[str], each: int) -> set[str]:
    """Orders whose lane may hold more than was taken."""
    counts: dict[str, int] = {}
    for order_id in order_ids:
        counts[order_id] = counts.get(order_id, 0) + 1
    return {order_id for order_id, count in counts.items() if count >= each}
