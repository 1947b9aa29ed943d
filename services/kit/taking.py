"""Taking a batch: each record's effects and its mark in one transaction, the bad ones found alone.

Nothing here knows Kafka; a batch comes with the offsets it stands for, and goes with the marks it
left behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

import structlog
from aiokafka import TopicPartition

from services.kit import faults, positions
from services.kit.cloudevents import Record
from services.kit.database import (
    Pool,
    is_away,
    is_retryable_conflict,
    retry_conflicts,
    transaction,
)
from services.kit.errors import ServiceMustStop
from services.kit.faults import FaultBound
from services.kit.metrics import BATCH_SIZE, DUPLICATES_DROPPED_TOTAL
from services.kit.positions import Advance, DatabaseConnection, Mark
from services.kit.splitting import Batch, Slice, halves, size
from services.kit.stages import Stages

log = structlog.get_logger()


class Work(Protocol):
    """What a service does with records. Both run inside of the transaction that moves the marks."""

    async def process(self, connection: DatabaseConnection, records: Sequence[Record]) -> None:
        """Stores everything the records cause.

        They are at or above their marks, per partition in the order of their offsets. Called again
        with the same records, or with a part of them, after a rollback.
        """

    async def poisoned(
        self, connection: DatabaseConnection, record: Record, error: BaseException
    ) -> None:
        """Gives up one record that made `process` raise something unforeseen when it was alone."""


@dataclass(slots=True)
class Taken:
    """What became of a batch: the marks after it, and what was refused.

    `refused` maps a partition to the mark that did not allow to go on (None: its row is gone, or
    belongs to another lineage). Refused partitions must be placed anew.
    """

    marks: dict[TopicPartition, int] = field(default_factory=dict)
    refused: dict[TopicPartition, int | None] = field(default_factory=dict)


class Taker:
    """Takes batches for one consumer group into one database."""

    def __init__(
        self, pool: Pool, work: Work, *, service: str, group: str, bound: FaultBound
    ) -> None:
        self._pool = pool
        self._work = work
        self._group = group
        self._bound = bound
        self._stages = Stages(service)
        self._dropped = DUPLICATES_DROPPED_TOTAL.labels(service)

    async def take(self, batch: Batch) -> Taken:
        """Takes all records at or above their marks, each once.

        Raises what means that the database is away, and ServiceMustStop; the marks then say what
        was taken, and must be read before anything of the batch is offered again.
        """
        taken = Taken()
        waiting = [batch]
        while waiting:
            part = waiting.pop()
            try:
                await self._attempt(part, taken)
            except ServiceMustStop:
                raise
            except Exception as error:
                if is_away(error) or is_retryable_conflict(error):
                    raise
                if size(part) > 1:
                    waiting.extend(reversed(halves(part)))
                else:
                    await self._give_up(part[0], error, taken)
        return taken

    async def _attempt(self, batch: Batch, taken: Taken) -> None:
        async for attempt in retry_conflicts():
            with attempt:
                moved = await self._transact(batch, taken)
                taken.marks.update(moved)

    async def _transact(self, batch: Batch, taken: Taken) -> dict[TopicPartition, int]:
        moves: dict[TopicPartition, Advance] = {}
        dropped = 0
        async with transaction(self._pool) as connection:
            fresh: list[Record] = []
            marks = await self._lock(connection, batch)
            for part in batch:
                mark = marks.get(part.partition)
                if mark is None or not _reaches(part, mark):
                    taken.refused[part.partition] = _told(part, mark)
                    continue
                new = [each for each in part.records if each.source.offset >= mark.next_offset]
                fresh.extend(new)
                dropped += len(part.records) - len(new)
                if part.end > mark.next_offset:
                    moves[part.partition] = Advance(part.end, len(new))
            if fresh:
                await self._work.process(connection, fresh)
            if moves:
                await positions.advance(connection, batch[0].cluster_id, self._group, moves)
            began = perf_counter()
        self._stages.observe("commit", perf_counter() - began)
        BATCH_SIZE.observe(len(fresh))
        self._dropped.inc(dropped)
        return {partition: move.next_offset for partition, move in moves.items()}

    async def _lock(
        self, connection: DatabaseConnection, batch: Batch
    ) -> dict[TopicPartition, Mark]:
        partitions = [part.partition for part in batch]
        return await positions.lock(connection, batch[0].cluster_id, self._group, partitions)

    async def _give_up(self, part: Slice, error: Exception, taken: Taken) -> None:
        record = part.records[0]
        log.error(
            "a record failed in an unforeseen way and is given up",
            topic=record.source.topic,
            partition=record.source.partition,
            offset=record.source.offset,
            exc_info=error,
        )
        try:
            async for attempt in retry_conflicts():
                with attempt:
                    await self._store_given_up(part, record, error, taken)
        except ServiceMustStop:
            raise
        except Exception as second:
            if is_away(second) or is_retryable_conflict(second):
                raise
            raise ServiceMustStop(
                f"the record {record.source.topic}/{record.source.partition}/"
                f"{record.source.offset} could not be given up either: {second!r}"
            ) from second

    async def _store_given_up(
        self, part: Slice, record: Record, error: Exception, taken: Taken
    ) -> None:
        async with transaction(self._pool) as connection:
            mark = (await self._lock(connection, (part,))).get(part.partition)
            if mark is None or not _reaches(part, mark):
                taken.refused[part.partition] = _told(part, mark)
                return
            if mark.next_offset > record.source.offset:
                return
            await self._work.poisoned(connection, record, error)
            move = {part.partition: Advance(part.end, 1)}
            await positions.advance(connection, part.cluster_id, self._group, move)
            await faults.store(
                connection,
                self._bound,
                group=self._group,
                cluster_id=part.cluster_id,
                lineage=part.lineage,
                source=record.source,
                records=mark.records + 1,
                error=error,
            )
        taken.marks[part.partition] = part.end


def _reaches(part: Slice, mark: Mark) -> bool:
    """Whether what the slice stands for begins at or below the mark: nothing lies between."""
    return mark.lineage == part.lineage and mark.next_offset >= part.begin


def _told(part: Slice, mark: Mark | None) -> int | None:
    return None if mark is None or mark.lineage != part.lineage else mark.next_offset
