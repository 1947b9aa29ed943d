"""What the reader does beside a batch that is in hand."""

import asyncio
from typing import Any

from aiokafka import TopicPartition

from services.kit.splitting import Batch
from services.kit.taking import Taken
from tests.unit.kit.test_reading import World, raw

FIRST, *OTHERS = (TopicPartition("orders", number) for number in range(4))


async def test_while_a_batch_is_in_hand_a_look_at_the_others_costs_no_more_than_there_are() -> None:
    """Each is asked for records alone; the positions, which guard the chain, once for all."""
    partitions = [TopicPartition("orders", number) for number in range(40)]
    world = World(*partitions)
    await world.poll()
    working, asked, looked = asyncio.Event(), [], 0
    begun = asyncio.Event()
    position = world.consumer.position

    async def take(batch: Batch) -> Taken:
        assert batch
        begun.set()
        await working.wait()
        return Taken()

    async def count(partition: TopicPartition) -> int:
        nonlocal looked
        looked += 1
        return await position(partition)

    async def getmany(*wanted: TopicPartition, **_: object) -> dict[TopicPartition, list[Any]]:
        asked.append(wanted)
        assert begun.is_set(), "what was taken in hand begins first"
        if len(asked) == len(partitions) - 1:
            world.consumer.at[wanted[0]] += 1
            return {wanted[0]: [raw(wanted[0], 0)]}
        return {}

    world.marks.take = take  # type: ignore[method-assign]
    world.consumer.position = count  # type: ignore[method-assign]
    first, *others = partitions
    await world.reader.take([world.arrives(first, 0)])
    polled = await world.reader.poll(getmany, timeout_ms=1, max_records=None)
    assert sorted(asked) == [(each,) for each in others]
    assert list(polled) == [asked[-1][0]]
    assert looked == 2 * len(partitions)
    working.set()
    await world.reader.idle()


async def beside_one_in_hand(
    there: dict[TopicPartition, int], max_records: int | None
) -> dict[TopicPartition, int]:
    """How many records of each the next batch gets, when so many of each are there."""
    world = World(FIRST, *OTHERS)
    await world.poll()
    working = asyncio.Event()

    async def take(batch: Batch) -> Taken:
        assert batch
        await working.wait()
        return Taken()

    async def getmany(
        *wanted: TopicPartition, max_records: int | None, **_: object
    ) -> dict[TopicPartition, list[Any]]:
        (partition,) = wanted
        count = there[partition] if max_records is None else min(there[partition], max_records)
        world.consumer.at[partition] += count
        return {partition: [raw(partition, at) for at in range(count)]} if count else {}

    world.marks.take = take  # type: ignore[method-assign]
    await world.reader.take([world.arrives(FIRST, 0)])
    polled = await world.reader.poll(getmany, timeout_ms=1, max_records=max_records)
    working.set()
    await world.reader.idle()
    return {partition: len(records) for partition, records in polled.items()}


async def test_a_few_records_of_several_partitions_make_one_batch() -> None:
    one, two, three = OTHERS
    few = {one: 1, two: 0, three: 2}
    assert await beside_one_in_hand(few, None) == {one: 1, three: 2}
    assert await beside_one_in_hand(few, 2) == {one: 1, three: 1}
    assert await beside_one_in_hand(few, 1) == {one: 1}


async def test_many_records_of_one_partition_are_a_batch_by_themselves() -> None:
    one, two, three = OTHERS
    assert await beside_one_in_hand({one: 500, two: 500, three: 1}, 500) == {one: 500}
    assert await beside_one_in_hand({one: 3, two: 500, three: 1}, 500) == {one: 3, two: 497}
