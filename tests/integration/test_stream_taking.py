"""Taking batches by hand, without a broker: protocol §1 and §2 against a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiokafka import TopicPartition

from services.kit import positions
from services.kit.database import Pool, open_pool, transaction
from services.kit.errors import ServiceMustStop
from services.kit.faults import FaultBound
from services.kit.positions import DatabaseConnection
from services.kit.taking import Taker
from tests.integration.stream_world import TABLE, Noting, slice_of

ZERO, ONE = TopicPartition("orders", 0), TopicPartition("orders", 1)


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(fresh_database, application_name="test")
    await pool.execute(TABLE)
    async with transaction(pool) as connection:
        await positions.insert_missing(connection, "c", "g", {ZERO: 0, ONE: 0})
    yield pool
    await pool.close()


def taker(pool: Pool, work: Noting, bound: FaultBound | None = None) -> Taker:
    return Taker(pool, work, service="test", group="g", bound=bound or FaultBound())


async def seen(pool: Pool, *, poisoned: bool = False) -> list[tuple[int, int]]:
    rows = await pool.fetch(
        "select partition, record_offset from seen where poisoned = $1 order by 1, 2", poisoned
    )
    return [tuple(row) for row in rows]


async def mark(pool: Pool, partition: TopicPartition = ZERO) -> int:
    async with transaction(pool) as connection:
        return (await positions.read(connection, "c", "g"))[partition].next_offset


async def set_mark(pool: Pool, next_offset: int) -> None:
    await pool.execute(
        "update stream_positions set next_offset = $1 where partition = 0", next_offset
    )


async def test_records_and_marks_of_all_partitions_go_in_one_transaction(pool: Pool) -> None:
    work = Noting()
    batch = (slice_of([b"a", b"b"]), slice_of([b"c"], partition=1))
    taken = await taker(pool, work).take(batch)
    assert taken.marks == {ZERO: 2, ONE: 1}
    assert await seen(pool) == [(0, 0), (0, 1), (1, 0)]
    assert len(work.batches) == 1
    assert await pool.fetchval("select count(distinct xmin::text) from seen") == 1


async def test_records_below_the_mark_are_dropped(pool: Pool) -> None:
    await set_mark(pool, 2)
    taken = await taker(pool, Noting()).take((slice_of([b"a", b"b", b"c"]),))
    assert await seen(pool) == [(0, 2)]
    assert taken.marks == {ZERO: 3}


async def test_a_batch_that_lies_wholly_below_the_mark_changes_nothing(pool: Pool) -> None:
    await set_mark(pool, 9)
    await taker(pool, Noting()).take((slice_of([b"a", b"b"]),))
    assert await seen(pool) == []
    assert await mark(pool) == 9


async def test_a_mark_below_what_the_batch_stands_for_refuses_its_partition_alone(
    pool: Pool,
) -> None:
    batch = (slice_of([b"a"], begin=5), slice_of([b"b"], partition=1))
    taken = await taker(pool, Noting()).take(batch)
    assert taken.refused == {ZERO: 0}
    assert await seen(pool) == [(1, 0)]
    assert await mark(pool) == 0


async def test_a_batch_of_another_lineage_is_refused(pool: Pool) -> None:
    async with transaction(pool) as connection:
        assert await positions.restart(connection, "c", "g", ZERO, 0) == 1
    taken = await taker(pool, Noting()).take((slice_of([b"a"]),))
    assert taken.refused == {ZERO: None}
    assert await seen(pool) == []


async def test_a_poisoned_record_is_given_up_and_its_neighbours_take_effect_once(
    pool: Pool,
) -> None:
    values = [b"x"] * 10 + [b"bad"] + [b"x"] * 10
    batch = (slice_of(values), slice_of([b"y", b"bad"], partition=1))
    taken = await taker(pool, Noting()).take(batch)
    assert taken.marks == {ZERO: 21, ONE: 2}
    assert await seen(pool, poisoned=True) == [(0, 10), (1, 1)]
    assert await seen(pool) == [(0, each) for each in range(21) if each != 10] + [(1, 0)]
    assert await pool.fetchval("select count(*) from stream_faults") == 2


async def test_too_many_faults_stop_the_service_before_the_next_one_is_given_up(
    pool: Pool,
) -> None:
    bound = FaultBound(count=3, share=0.5)
    with pytest.raises(ServiceMustStop, match="4 of 4 records failed"):
        await taker(pool, Noting(), bound).take((slice_of([b"bad"] * 10),))
    assert await mark(pool) == 3
    assert len(await seen(pool, poisoned=True)) == 3
    # Started again, it goes on counting where it was.
    with pytest.raises(ServiceMustStop):
        await taker(pool, Noting(), bound).take((slice_of([b"bad"] * 7, begin=3),))
    assert await mark(pool) == 3


async def test_the_same_number_of_faults_among_many_good_records_stops_nothing(pool: Pool) -> None:
    values = ([b"bad"] + [b"x"] * 20) * 5
    await taker(pool, Noting(), FaultBound(count=3, share=0.5)).take((slice_of(values),))
    assert await mark(pool) == 105
    assert len(await seen(pool, poisoned=True)) == 5


async def test_a_database_that_is_away_is_never_split_into_failed_records(pool: Pool) -> None:
    work = Noting()

    async def full(_: DatabaseConnection) -> None:
        raise asyncpg.DiskFullError("no space left on device")

    work.before = full
    with pytest.raises(asyncpg.DiskFullError):
        await taker(pool, work).take((slice_of([b"a", b"b", b"c"]),))
    assert work.batches == [[0, 1, 2]]
    assert await mark(pool) == 0


async def test_a_deadlock_is_retried_with_the_whole_batch(pool: Pool) -> None:
    work = Noting()

    async def once(_: DatabaseConnection) -> None:
        work.before = None
        raise asyncpg.DeadlockDetectedError("deadlock detected")

    work.before = once
    await taker(pool, work).take((slice_of([b"a", b"b"]),))
    assert work.batches == [[0, 1], [0, 1]]
    assert await seen(pool) == [(0, 0), (0, 1)]


async def test_a_second_reader_meets_the_row_lock_and_then_the_mark(pool: Pool) -> None:
    slow, late = Noting(), Noting()
    holding, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_: DatabaseConnection) -> None:
        holding.set()
        await go_on.wait()

    slow.before = hold
    first = asyncio.create_task(taker(pool, slow).take((slice_of([b"a", b"b"]),)))
    await holding.wait()
    second = asyncio.create_task(taker(pool, late).take((slice_of([b"a", b"b", b"c"]),)))
    async with asyncio.timeout(4):
        while not await pool.fetchval("select count(*) from pg_locks where not granted"):
            await asyncio.sleep(0.01)
    assert not second.done()
    go_on.set()
    await asyncio.gather(first, second)
    assert late.batches == [[2]]
    assert await seen(pool) == [(0, 0), (0, 1), (0, 2)]


async def test_a_cancelled_batch_moves_no_mark(pool: Pool) -> None:
    work, holding = Noting(), asyncio.Event()

    async def hold(_: DatabaseConnection) -> None:
        holding.set()
        await asyncio.Event().wait()

    work.before = hold
    task = asyncio.create_task(taker(pool, work).take((slice_of([b"a"]),)))
    await holding.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await mark(pool) == 0
    await taker(pool, Noting()).take((slice_of([b"a"]),))
    assert await seen(pool) == [(0, 0)]


async def test_a_record_that_cannot_be_given_up_stops_the_service_and_stays(pool: Pool) -> None:
    class Helpless(Noting):
        async def poisoned(self, *_: object) -> None:
            raise ValueError("no dead letter either")

    with pytest.raises(ServiceMustStop, match="could not be given up"):
        await taker(pool, Helpless()).take((slice_of([b"bad"]),))
    assert await mark(pool) == 0


async def test_loss_is_accepted_only_upwards(pool: Pool) -> None:
    async with transaction(pool) as connection:
        accept = positions.accept_loss
        assert await accept(connection, "c", "g", "orders", 0, log_start=40)
        assert not await accept(connection, "c", "g", "orders", 0, log_start=30)
        assert not await accept(connection, "c", "g", "unknown", 0, log_start=30)
    assert await mark(pool) == 40
