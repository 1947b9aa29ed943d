"""The client of the acceptance tests sees what is in a topic, on each broker."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.acceptance.kill_points_steps import BatchSteps
from tests.acceptance.kill_points_wire import FETCH
from tests.acceptance.stack import until
from tests.acceptance.wire import Seen, partitions_of, reading, sender


async def make(kafka: str, topic: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()


async def test_all_that_was_sent_to_a_topic_of_several_partitions_is_read(
    kafka: str, slug: str
) -> None:
    await make(kafka, slug, 3)
    values = {str(number).encode() for number in range(20)}
    seen: list[Seen] = []
    async with sender(kafka) as own:
        for value in values:
            await own.send(slug, value, value, [])
        async with reading(kafka, [slug], seen.append):
            await until(lambda: len(seen) >= len(values), "the records", 20)
    assert {each.value for each in seen} == values
    assert {each.partition for each in seen} == {0, 1, 2}


async def test_a_topic_that_is_made_later_is_waited_for(kafka: str, slug: str) -> None:
    asking = asyncio.create_task(partitions_of(kafka, [slug], seconds=20))
    await asyncio.sleep(0)
    await make(kafka, slug, 2)
    assert [each.partition for each in await asking] == [0, 1]


async def test_a_topic_that_never_comes_is_named(kafka: str, slug: str) -> None:
    with pytest.raises(AssertionError, match=slug):
        await partitions_of(kafka, [slug], seconds=0.5)


def test_an_answer_that_only_names_the_topic_is_not_the_fetch_of_a_batch() -> None:
    """Apache Kafka names every partition, also of those that have nothing new."""
    steps = BatchSteps("ab12")
    topic = b"crossroads.orders.o-ab12\x00\x00\x00\x00"
    assert not steps.answer(FETCH, topic)
    assert steps.answer(FETCH, topic + b'{"origin_order_number":"ab12-00001"}')
