"""Looking at the broker from beside: what was asked is answered, and the look ends."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from services.kit.kafka import BrokerView, TopicAdmin, TopicSpec
from services.kit.settings import Settings


@pytest.mark.parametrize("steps", range(8))
async def test_a_look_that_fetched_ends_whenever_it_is_told_to(
    kafka: str, slug: str, steps: int
) -> None:
    """aiokafka's fetcher swallows the cancellation that meets it in the middle of unsubscribing."""
    settings = Settings(database_url="postgresql://nobody/nothing", kafka_bootstrap_servers=kafka)
    topic = f"view.{slug}"
    async with TopicAdmin(settings) as admin:
        await admin.create_missing([TopicSpec(topic, 3, {})])
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    await asyncio.gather(
        *(producer.send_and_wait(topic, b"x", partition=each) for each in range(3))
    )
    await producer.stop()
    view = BrokerView(settings)
    listed = await view.log_ends([TopicPartition(topic, each) for each in range(3)])
    fetched = await view.fetched_ends(listed)
    assert {each.end for each in fetched.values()} == {1}
    for _ in range(steps):
        await asyncio.sleep(0)
    closing = asyncio.create_task(view.close())
    done, _ = await asyncio.wait([closing], timeout=15)
    closing.cancel()
    assert done, "the view is still closing"
    await closing


async def test_a_look_at_no_log_at_all_ends_as_any(kafka: str) -> None:
    """aiokafka hands on that a task of its own never began: `doctor` ended with it."""
    settings = Settings(database_url="postgresql://nobody/nothing", kafka_bootstrap_servers=kafka)
    view = BrokerView(settings)
    assert await view.fetched_ends({}) == {}
    await view.close()
