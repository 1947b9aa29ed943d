"""Turns: woken commands go through the same pipeline, in the order of their lanes (protocol §3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeAlias, TypeVar

import asyncpg

from services.commands import unforeseen
from services.commands.batch import Batch, Identity, jobs_of, names_of
from services.commands.decode import Arrival, Dead, decode
from services.commands.pipeline import Numbers, Pipeline
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
from services.records import commands, directory, gaps, lanes, locks, waiting_upserts
from services.records.locks import LocksNeeded

ORDERS_A_TURN = 100
COMMANDS_A_LANE = 200
UPSERTS_A_TURN = 200
_ATTEMPTS = 8

# An order's id and the place of its lane's head, 0 where nothing stands in its lane.
Head: TypeAlias = tuple[str, int]
Key = TypeVar("Key", Head, Identity)
# A transaction over all that is runnable, or over one; it fills the list with what it claimed.
_Turn: TypeAlias = Callable[[Numbers, Key | None, list[Key]], Awaitable[int]]
_GiveUp: TypeAlias = Callable[[Connection, Key, Exception], Awaitable[None]]


class Turns:
    """Takes turns of whatever lane is runnable; any number of these work side by side."""

    def __init__(
        self, pool: Pool, pipeline: Pipeline, *, service: str, clock: Callable[[], datetime]
    ) -> None:
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

    async def _fail_upsert(
        self, connection: Connection, identity: Identity, error: Exception
    ) -> None:
        for upsert in await waiting_upserts.claim(connection, 1, identity):
            await unforeseen.fail_upsert(connection, self._service, upsert, error, self._clock())

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
                job.lane, job.lane_id = turn.order_id, turn.lane_id
            answers = await commands.known(connection, (job.identity for job in batch.firsts))
            emptied = await gaps.release(connection, ids)
            jobs = await self._pipeline.decide_and_store(connection, batch, answers, first)
            left = {job.lane for job in jobs if job.waits_in_lane}
            await lanes.leave(
                connection,
                [job.lane_id for job in jobs if job.lane_id and not job.waits_in_lane],
            )
            full = _full_lanes([turn.order_id for turn in turns], each)
            await lanes.settle(connection, ids, full - left)
            await gaps.forget(connection, emptied)
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
            jobs = await self._pipeline.decide_and_store(connection, batch, answers, first)
            await waiting_upserts.leave(
                connection, [job.identity for job in jobs if job.decided.parent is None]
            )
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
