"""The pipeline: the one way from records to stored effects (protocol §2-§4).

A batch is one transaction. Nothing is cached between batches, so nothing is stale: the world is
loaded for the needs of the whole batch, every command is decided on it in turn, and all effects
are stored at once. The stream feeds it batches, the lane loop feeds it woken commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from services.commands import unforeseen
from services.commands.batch import Batch, Identity, Job, jobs_of, names_of
from services.commands.deciding import decide_all
from services.commands.decode import Arrival, Dead, decode
from services.commands.loading import Loaded
from services.commands.storing import Storing
from services.commands.waits import Waits
from services.kit.cloudevents import Record
from services.kit.database import Connection
from services.kit.errors import DatabaseAway
from services.kit.stages import Stages
from services.records import commands, directory, locks, numbers
from services.records.commands import StoredAnswer
from services.records.locks import LocksNeeded, Race, numbers_of

Numbers = frozenset[tuple[Race, int]]

# More often than this a batch meets somebody else's locks or rows only when something is wrong.
_ATTEMPTS = 8


def now() -> datetime:
    """The time effects are stamped with."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Decided:
    """The jobs that were decided, and the orders whose lanes got what had waited for a number."""

    jobs: list[Job]
    taken_over: set[str]


class Pipeline:
    """Takes records through the transaction of the caller; one of these per service process."""

    def __init__(self, service: str, clock: Callable[[], datetime] = now) -> None:
        self._service = service
        self._clock = clock
        self._stages = Stages(service)

    async def process(self, connection: Connection, records: Sequence[Record]) -> None:
        """Store all that these records cause.

        They are new to the marks, per partition in the order of their offsets. Raises what the
        database raises, and whatever nobody foresaw: nothing is stored then.
        """
        with self._stages.stage("decode"):
            decoded = [decode(record) for record in records]
        await self._until_undisturbed(connection, decoded)

    async def poisoned(self, connection: Connection, record: Record, error: BaseException) -> None:
        """Give up one record: a failed result, a log entry and a dead letter."""
        await unforeseen.give_up(connection, self._service, record, error, self._clock())

    async def _until_undisturbed(
        self, connection: Connection, decoded: Sequence[Arrival | Dead]
    ) -> None:
        """Run the batch in a savepoint until nobody else's commit or lock came between."""
        first: Numbers = frozenset()
        shared: Numbers = frozenset()
        for left in reversed(range(_ATTEMPTS)):
            try:
                async with connection.transaction():
                    await locks.take_both(connection, first, shared)
                    await self._run(connection, decoded, first)
                return
            except LocksNeeded as needed:
                first |= needed.numbers
                shared |= needed.shared
                if not left:
                    # Nobody's record is at fault: the stream backs off instead of blaming one.
                    raise DatabaseAway(
                        "Others hold the advisory numbers of this batch."
                    ) from needed
            except asyncpg.UniqueViolationError:
                # Somebody else gave the same number, id or row away and has committed: decided
                # again, this batch sees it.
                if not left:
                    raise

    async def _run(
        self, connection: Connection, decoded: Sequence[Arrival | Dead], taken: Numbers
    ) -> None:
        with self._stages.stage("load"):
            batch, answers = await self._sort_out(connection, decoded)
        await self.decide_and_store(connection, batch, answers, taken)

    async def _sort_out(
        self, connection: Connection, decoded: Sequence[Arrival | Dead]
    ) -> tuple[Batch, dict[Identity, StoredAnswer]]:
        """Who is who, and which commands are first copies of their id."""
        named = await directory.load(connection, names_of(decoded))
        jobs, dead = jobs_of(decoded, named)
        answers = await commands.known(connection, (job.identity for job in jobs))
        batch = Batch(dead=dead, directory=named)
        seen = set(answers)
        for job in jobs:
            (batch.copies if job.identity in seen else batch.firsts).append(job)
            seen.add(job.identity)
        return batch, answers

    async def decide_and_store(
        self,
        connection: Connection,
        batch: Batch,
        answers: dict[Identity, StoredAnswer],
        taken: Numbers,
    ) -> Decided:
        """Decide the batch's first copies and store everything.

        `answers` are those already told to the batch's ids, `taken` the advisory numbers already
        held exclusively. Raises LocksNeeded where more of them are needed than can be had.
        """
        moment = self._clock()
        loaded = Loaded(taken)
        with self._stages.stage("load"):
            await loaded.lock(connection, batch)
        while True:
            with self._stages.stage("load"):
                world = await loaded.world(connection, batch)
            with self._stages.stage("decide"):
                waits = Waits(world, loaded.states, loaded.waiters)
                jobs = decide_all(batch.firsts, world, waits, moment, loaded.creates)
            lacking, given = _waited_for(jobs) - loaded.taken, waits.given - loaded.given
            if not lacking and not given:
                break
            # Races a, b and c: whoever might have made progress possible is waited out, and what
            # it wrote is looked for again, in later statements.
            await loaded.take(connection, lacking)
            await loaded.give(connection, given)
            await loaded.look_again(connection, batch, lacking)
        with self._stages.stage("store"):
            batch.firsts = jobs
            ended = [job.identity for job in jobs if job.by is not None]
            answers = {**(await commands.known(connection, ended)), **answers}
            storing = Storing(
                self._service,
                moment,
                waits,
                answers=answers,
                waiting={(row.tenant_id, row.command_id): row for row in loaded.waiting.values()},
            )
            await storing.store(connection, batch)
        return Decided(jobs, waits.taken_over)


def _waited_for(jobs: Sequence[Job]) -> Numbers:
    """The numbers of everything these commands are about to wait for."""
    gaps: set[str] = set()
    parents: set[str] = set()
    unknown = []
    for job in jobs:
        for gap in job.decided.gaps:
            gaps.update(gap.wake_on)
        if job.decided.parent is not None:
            parents.update(job.decided.parent.wake_on)
        if job.decided.number is not None and job.parked is None:
            unknown.append(job.decided.number)
    return (
        numbers.locks_of(unknown)
        | numbers_of(Race.MAPPING_MISSING, gaps)
        | numbers_of(Race.PARENT_MISSING, parents)
    )
