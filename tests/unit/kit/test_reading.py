"""The reader against a consumer made of paper: what a broker does seldom can be said at will."""

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import asyncpg
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, IllegalStateError

from services.kit.commits import Commits
from services.kit.errors import ServiceMustStop
from services.kit.placing import Place
from services.kit.reading import Reader
from services.kit.splitting import Batch
from services.kit.taking import Taken
from services.kit.tuning import Tuning

ZERO, ONE, TWO = (TopicPartition("orders", number) for number in range(3))


class Consumer:
    """Positions and pauses as aiokafka has them."""

    def __init__(self, *partitions: TopicPartition) -> None:
        self.at: dict[TopicPartition, int] = {}
        self.owned = set(partitions)
        self.paused: set[TopicPartition] = set()

    def assignment(self) -> set[TopicPartition]:
        return self.owned

    def pause(self, *partitions: TopicPartition) -> None:
        self.paused.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.paused.difference_update(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at[partition] = offset

    async def position(self, partition: TopicPartition) -> int:
        if partition not in self.owned:
            raise IllegalStateError
        return self.at[partition]

    async def committed(self, _: TopicPartition) -> None:
        return None


class Marks:
    """Placer and taker in one: marks in a dictionary."""

    def __init__(self) -> None:
        self.marks: dict[TopicPartition, int] = {}
        self.cluster_id = "c"
        self.taken: list[int] = []
        self.error: BaseException | None = None
        self.went_back: list[TopicPartition] = []

    async def place(
        self, partitions: Sequence[TopicPartition], _: Mapping[TopicPartition, int]
    ) -> list[Place]:
        return [Place(each, "c", 0, self.marks.get(each, 0), "go-on") for each in partitions]

    def tell_went_back(self, partition: TopicPartition, *_: object) -> None:
        self.went_back.append(partition)

    async def take(self, batch: Batch) -> Taken:
        if self.error is not None:
            raise self.error
        taken = Taken()
        for part in batch:
            mark = self.marks.get(part.partition, 0)
            if mark < part.begin:
                taken.refused[part.partition] = mark
                continue
            self.taken += [
                each.source.offset for each in part.records if each.source.offset >= mark
            ]
            self.marks[part.partition] = taken.marks[part.partition] = max(mark, part.end)
        return taken


class World:
    def __init__(self, *partitions: TopicPartition) -> None:
        self.consumer = Consumer(*partitions)
        self.marks = Marks()
        both: Any = self.marks
        self.reader = Reader(both, both, Commits(), Tuning(max_backoff=0.01))
        anyone: Any = self.consumer
        self.reader.assigned(anyone, partitions)

    async def poll(self, *records: tuple[TopicPartition, int], **moves: Any) -> None:
        """A poll that returns `records`, and moves positions to behind them or to `to`."""

        async def getmany(*_: object, **__: object) -> dict[TopicPartition, list[Any]]:
            if "error" in moves:
                raise moves["error"]
            polled: dict[TopicPartition, list[Any]] = {}
            for partition, offset in records:
                if partition in self.consumer.paused:
                    continue
                polled.setdefault(partition, []).append(raw(partition, offset))
                self.consumer.at[partition] = offset + 1
            self.consumer.at.update(moves.get("to", {}))
            return polled

        polled = await self.reader.poll(getmany, timeout_ms=1, max_records=None)
        await self.reader.take([each for part in polled.values() for each in part])
        await self.reader.idle()

    def arrives(self, partition: TopicPartition, offset: int) -> Any:
        """A record that a poll has just returned: the position and the chain are behind it."""
        before = dict(self.consumer.at)
        self.consumer.at[partition] = offset + 1
        self.reader._chain.polled(before, dict(self.consumer.at))
        return raw(partition, offset)


def raw(partition: TopicPartition, offset: int) -> Any:
    return SimpleNamespace(
        topic=partition.topic,
        partition=partition.partition,
        offset=offset,
        key=None,
        value=b"",
        headers=(),
        timestamp=0,
    )


async def test_an_assigned_partition_is_paused_and_set_before_anything_waits() -> None:
    consumer: Any = Consumer(ZERO)
    both: Any = Marks()
    reader = Reader(both, both, Commits(), Tuning())
    reader.assigned(consumer, [ZERO])
    assert consumer.paused == {ZERO}
    assert ZERO in consumer.at


async def test_reading_begins_at_the_mark() -> None:
    world = World(ZERO)
    world.marks.marks[ZERO] = 7
    await world.poll()
    assert world.consumer.at[ZERO] == 7
    assert world.consumer.paused == set()


async def test_records_behind_an_aborted_stretch_are_taken() -> None:
    world = World(ZERO)
    await world.poll(to={ZERO: 500})
    await world.poll((ZERO, 500), (ZERO, 502))
    assert world.marks.taken == [500, 502]
    assert world.marks.marks[ZERO] == 503
    assert ZERO not in world.reader.waiting


async def test_a_skipped_record_breaks_its_partition_alone_and_is_read_again() -> None:
    world = World(ZERO, ONE)
    await world.poll((ZERO, 0), (ONE, 0))
    world.consumer.at[ZERO] = 2
    await world.poll((ZERO, 2), (ONE, 1))
    assert world.marks.taken == [0, 0, 1]
    await world.poll()
    assert world.consumer.at == {ZERO: 1, ONE: 2}
    await world.poll((ZERO, 1), (ZERO, 2))
    assert world.marks.taken == [0, 0, 1, 1, 2]


async def test_a_poll_that_failed_may_have_swallowed_records_so_all_is_read_from_the_marks() -> (
    None
):
    world = World(ZERO)
    await world.poll((ZERO, 0))
    world.consumer.at[ZERO] = 3
    await world.poll(error=CorruptRecordException())
    await world.poll()
    assert world.consumer.at[ZERO] == 1


async def test_a_database_that_is_away_takes_nothing_and_sets_back_to_the_mark() -> None:
    world = World(ZERO)
    await world.poll()
    world.marks.error = asyncpg.ConnectionDoesNotExistError("connection was closed")
    await world.poll((ZERO, 0))
    assert world.reader.trouble is not None
    assert world.consumer.paused == {ZERO}
    world.marks.error = None
    await world.poll((ZERO, 0))
    assert world.marks.taken == [0]
    assert world.reader.trouble is None


async def test_a_mark_below_what_was_covered_is_told_and_read_from() -> None:
    world = World(ZERO)
    await world.poll((ZERO, 0), (ZERO, 1))
    world.marks.marks[ZERO] = 1
    await world.poll((ZERO, 2))
    assert world.marks.went_back == [ZERO]
    await world.poll()
    assert world.consumer.at[ZERO] == 1
    await world.poll((ZERO, 1), (ZERO, 2))
    assert world.marks.taken == [0, 1, 1, 2]


async def test_a_cancelled_batch_is_in_doubt_and_its_mark_is_read_again() -> None:
    world = World(ZERO)
    await world.poll()
    world.marks.error = asyncio.CancelledError()
    await world.poll((ZERO, 0))
    assert world.reader.waiting == {ZERO}


async def test_too_many_faults_end_the_service_and_take_nothing_more() -> None:
    world = World(ZERO)
    await world.poll()
    world.marks.error = ServiceMustStop("too many faults")
    await world.poll((ZERO, 0))
    assert isinstance(world.reader.failure.exception(), ServiceMustStop)
    world.marks.error = None
    await world.poll((ZERO, 0))
    assert world.marks.taken == []


async def test_a_batch_in_hand_when_its_partition_is_taken_away_is_guarded_by_the_mark_alone() -> (
    None
):
    world = World(ZERO)
    await world.poll()
    world.reader.revoked()
    await world.reader.take([raw(ZERO, 0)])
    await world.reader.idle()
    assert world.marks.taken == []


async def test_a_rebalance_while_marks_are_read_makes_them_void() -> None:
    world = World(ZERO)
    place = world.marks.place

    async def slowly(partitions: Any, committed: Any) -> Any:
        found = await place(partitions, committed)
        anyone: Any = world.consumer
        world.reader.revoked()
        world.reader.assigned(anyone, [ZERO])
        return found

    marks: Any = world.marks
    marks.place = slowly
    await world.poll()
    assert world.consumer.paused == {ZERO}
    assert world.reader.waiting == {ZERO}


async def test_marks_that_cannot_be_read_for_another_reason_end_the_service() -> None:
    world = World(ZERO)

    async def unknown(*_: object) -> list[Place]:
        raise asyncpg.UndefinedTableError("stream_positions is not there")

    marks: Any = world.marks
    marks.place = unknown
    await world.poll()
    assert isinstance(world.reader.failure.exception(), ServiceMustStop)


async def test_a_partition_in_hand_is_not_polled_and_others_are() -> None:
    world = World(ZERO, ONE)
    await world.poll()
    going_on = asyncio.Event()
    take = world.marks.take

    async def slowly(batch: Batch) -> Taken:
        if batch[0].partition == ZERO:
            await going_on.wait()
        return await take(batch)

    marks: Any = world.marks
    marks.take = slowly
    await world.reader.take([world.arrives(ZERO, 0)])
    asked: list[tuple[TopicPartition, ...]] = []

    async def getmany(*partitions: TopicPartition, **_: object) -> dict[TopicPartition, list[Any]]:
        asked.append(partitions)
        world.consumer.at[ONE] = 1
        return {ONE: [raw(ONE, 0)]} if len(asked) == 1 else {}

    polled = await world.reader.poll(getmany, timeout_ms=1, max_records=None)
    assert asked == [(ONE,)]
    await world.reader.take(polled[ONE])
    assert world.reader.processed(ZERO) == 0
    going_on.set()
    await world.reader.idle()
    assert world.marks.marks == {ZERO: 1, ONE: 1}
    await world.reader.poll(getmany, timeout_ms=1, max_records=None)
    assert asked[-1] == ()


async def test_who_was_in_hand_longest_ago_is_polled_first() -> None:
    world = World(ZERO, ONE, TWO)
    await world.poll()
    await world.poll((ZERO, 0))
    await world.poll((TWO, 0))
    going_on = asyncio.Event()
    take = world.marks.take

    async def slowly(batch: Batch) -> Taken:
        await going_on.wait()
        return await take(batch)

    marks: Any = world.marks
    marks.take = slowly
    await world.reader.take([world.arrives(ONE, 0)])
    asked: list[TopicPartition] = []

    async def getmany(*partitions: TopicPartition, **_: object) -> dict[TopicPartition, list[Any]]:
        asked.extend(partitions)
        if len(asked) == 2:
            going_on.set()
        return {}

    await world.reader.poll(getmany, timeout_ms=1, max_records=None)
    assert asked[:2] == [ZERO, TWO]


async def test_with_both_hands_full_nothing_more_is_polled_until_one_is_empty() -> None:
    world = World(ZERO, ONE)
    await world.poll()
    going_on = asyncio.Event()
    take = world.marks.take

    async def slowly(batch: Batch) -> Taken:
        await going_on.wait()
        return await take(batch)

    marks: Any = world.marks
    marks.take = slowly
    polls = 0

    async def getmany(*_: TopicPartition, **__: object) -> dict[TopicPartition, list[Any]]:
        nonlocal polls
        polls += 1
        return {}

    for partition in (ZERO, ONE):
        await world.reader.take([world.arrives(partition, 0)])
    polling = asyncio.create_task(world.reader.poll(getmany, timeout_ms=1, max_records=None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (polls, polling.done()) == (0, False)
    going_on.set()
    await polling
    assert world.marks.marks == {ZERO: 1, ONE: 1}


async def test_draining_cuts_off_what_does_not_end_and_leaves_it_to_the_mark() -> None:
    world = World(ZERO)
    await world.poll()

    async def forever(_: Batch) -> Taken:
        await asyncio.Event().wait()
        raise AssertionError

    marks: Any = world.marks
    marks.take = forever
    await world.reader.take([world.arrives(ZERO, 0)])
    await world.reader.drain(0.01)
    assert world.marks.taken == []
    assert world.reader.waiting == {ZERO}
