"""Turns: woken commands go through the same pipeline, in the order of their lanes (protocol §3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import asyncpg

from services.commands import unforeseen
from services.commands.batch import Batch, jobs_of, names_of
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
        these: list[str] = []
        try:
            return await self._undisturbed(lambda first: self._orders(first, None, these))
        except Exception as error:
            # Before an order was claimed the fault is nobody's command: it must not pass unheard.
            if is_away(error) or is_retryable_conflict(error) or not these:
                raise
        # Something unforeseen: each order alone, so that it costs nobody else anything.
        for order_id in these:
            await self._alone(order_id)
        return len(these)

    async def upserts(self) -> int:
        """One turn of upserts whose parents may have come; how many had one."""
        return await self._undisturbed(self._upserts)

    async def _alone(self, order_id: str) -> None:
        try:
            await self._undisturbed(lambda first: self._orders(first, [order_id], []))
        except Exception as error:
            if is_away(error) or is_retryable_conflict(error):
                raise
            async with transaction(self._pool) as connection:
                if await lanes.claim(connection, 1, [order_id]):
                    head = (await lanes.turns(connection, [order_id], 1))[0]
                    await unforeseen.fail_turn(
                        connection, self._service, head, error, self._clock()
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

    async def _orders(self, first: Numbers, these: list[str] | None, claimed: list[str]) -> int:
        async with transaction(self._pool) as connection:
            await locks.take_exclusive(connection, first)
            ids = await lanes.claim(connection, ORDERS_A_TURN, these)
            claimed[:] = ids
            if not ids:
                return 0
            turns = await lanes.turns(connection, ids, COMMANDS_A_LANE)
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
            full = _full_lanes([turn.order_id for turn in turns])
            await lanes.settle(connection, ids, full - left)
            await gaps.forget(connection, emptied)
            return len(ids)

    async def _upserts(self, first: Numbers) -> int:
        async with transaction(self._pool) as connection:
            await locks.take_exclusive(connection, first)
            records = await waiting_upserts.claim(connection, UPSERTS_A_TURN)
            if not records:
                return 0
            batch = await _batch_of(connection, records)
            answers = await commands.known(connection, (job.identity for job in batch.firsts))
            jobs = await self._pipeline.decide_and_store(connection, batch, answers, first)
            await waiting_upserts.leave(
                connection, [job.identity for job in jobs if job.decided.parent is None]
            )
            return len(records)


async def _batch_of(connection: Connection, records: Sequence[Record]) -> Batch:
    """A batch of commands that were accepted before, decoded again as they were received."""
    decoded: list[Arrival | Dead] = [decode(record) for record in records]
    named = await directory.load(connection, names_of(decoded))
    jobs, dead = jobs_of(decoded, named, turn=True)
    if dead:
        raise AssertionError(f"a command that was accepted does not read: {dead[0].reason}")
    return Batch(firsts=jobs, directory=named)


def _full_lanes(order_ids: Sequence[str]) -> set[str]:
    """Orders whose lane may hold more than was taken."""
    counts: dict[str, int] = {}
    for order_id in order_ids:
        counts[order_id] = counts.get(order_id, 0) + 1
    return {order_id for order_id, count in counts.items() if count >= COMMANDS_A_LANE}
