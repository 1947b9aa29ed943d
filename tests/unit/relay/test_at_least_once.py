"""Lanes: batches, refusals and errors, against brokers that answer as told."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import errors as kafka_errors
from aiokafka.record.memory_records import MemoryRecords

from services.kit.errors import BrokerAway
from services.relay import at_least_once
from services.relay.at_least_once import AtLeastOnce
from services.relay.batching import MAX_RECORD_BYTES
from services.relay.wire import Answers, Batches, Wire
from tests.unit.relay.rows_world import row

Answering = Callable[[str, list[bytes]], Any]


class FakeWire(Wire):
    """One node, one partition a topic; `answering` decides by topic and values."""

    def __init__(self, answering: Answering, topics: set[str]) -> None:
        super().__init__({})
        self.answering, self.topics = answering, topics
        self.stored: list[tuple[str, bytes]] = []
        self.requests = 0

    def partitions(self, topic: str) -> list[int]:
        return [0] if topic in self.topics else []

    def leader(self, topic: str, partition: int) -> int | None:
        return 1 if topic in self.topics else None

    async def refresh(self) -> None:
        return

    async def ready(self, node: int) -> None:
        return

    async def produce(self, node: int, batches: Batches, cluster: str | None = None) -> Answers:
        self.requests += 1
        answers: Answers = {}
        for (topic, partition), raw in batches.items():
            batch = MemoryRecords(raw).next_batch()
            values = [record.value for record in batch]
            answers[topic, partition] = kind = self.answering(topic, values)
            if kind is kafka_errors.NoError:
                self.stored.extend((topic, value) for value in values)
        return answers


def fine(*_: object) -> Any:
    return kafka_errors.NoError


def delivery(answering: Answering, *topics: str) -> tuple[AtLeastOnce, FakeWire]:
    one = AtLeastOnce({})
    wire = FakeWire(answering, set(topics or ("topic",)))
    one._wire = wire
    return one, wire


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_least_once, "PASS_PAUSE_SECONDS", 0)


async def test_what_is_acknowledged_is_told_and_stored_in_order() -> None:
    one, wire = delivery(fine)
    outcome = await one.publish([row(n, value=b"%d" % n) for n in range(1, 6)])
    assert outcome.acknowledged == {1, 2, 3, 4, 5}
    assert [value for _, value in wire.stored] == [b"1", b"2", b"3", b"4", b"5"]
    assert wire.requests == 1


async def test_a_missing_topic_is_closed_and_never_sent_to() -> None:
    one, wire = delivery(fine, "there")
    outcome = await one.publish([row(1, topic="missing"), row(2, topic="there")])
    assert set(outcome.closed) == {"missing"}
    assert outcome.acknowledged == {2}
    assert wire.stored == [("there", b"{}")]


async def test_a_batch_refused_for_its_size_goes_record_by_record() -> None:
    def small_ones(_: str, values: list[bytes]) -> Any:
        fits = len(values) == 1 and values[0] != b"large"
        return kafka_errors.NoError if fits else kafka_errors.MessageSizeTooLargeError

    one, wire = delivery(small_ones)
    outcome = await one.publish(
        [
            row(1, stream="a", value=b"1"),
            row(2, stream="b", value=b"large"),
            row(3, stream="b", value=b"3"),
            row(4, stream="a", value=b"4"),
        ]
    )
    assert outcome.acknowledged == {1, 4}
    assert outcome.refused == {2: "MessageSizeTooLargeError"}
    assert [value for _, value in wire.stored] == [b"1", b"4"]


async def test_a_record_above_the_limit_is_refused_without_being_sent() -> None:
    one, wire = delivery(fine)
    outcome = await one.publish([row(1, value=b"x" * (MAX_RECORD_BYTES + 1))])
    assert set(outcome.refused) == {1}
    assert wire.requests == 0


async def test_nothing_follows_a_batch_that_was_not_acknowledged() -> None:
    def never_the_second(_: str, values: list[bytes]) -> Any:
        if values[0][:1] == b"2":
            return kafka_errors.RequestTimedOutError
        return kafka_errors.NoError

    one, _ = delivery(never_the_second)
    rows = [row(n, value=b"%d" % n + b"x" * 600_000) for n in range(1, 4)]
    outcome = await one.publish(rows)
    assert outcome.acknowledged == {1}
    assert not outcome.refused
    assert not outcome.closed


async def test_a_forbidden_topic_closes_alone() -> None:
    def by_topic(topic: str, _: list[bytes]) -> Any:
        forbidden = topic == "shut"
        return kafka_errors.TopicAuthorizationFailedError if forbidden else kafka_errors.NoError

    one, _ = delivery(by_topic, "shut", "open")
    outcome = await one.publish([row(1, topic="shut"), row(2, topic="open")])
    assert outcome.closed == {"shut": "TopicAuthorizationFailedError"}
    assert outcome.acknowledged == {2}


async def test_a_topic_that_alone_is_silent_closes_and_a_silent_broker_closes_nothing() -> None:
    def silent(topic: str, _: list[bytes]) -> Any:
        return kafka_errors.RequestTimedOutError if topic == "shut" else kafka_errors.NoError

    one, _ = delivery(silent, "shut", "open")
    outcome = await one.publish([row(1, topic="shut"), row(2, topic="open")])
    assert set(outcome.closed) == {"shut"}
    outcome = await one.publish([row(1, topic="shut")])
    assert not outcome.closed
    assert not outcome.acknowledged


async def test_a_moving_leader_is_followed() -> None:
    answers = iter([kafka_errors.NotLeaderForPartitionError, kafka_errors.NoError])
    one, wire = delivery(lambda *_: next(answers))
    outcome = await one.publish([row(1)])
    assert outcome.acknowledged == {1}
    assert wire.requests == 2


async def test_a_lost_connection_says_nothing_of_the_rows() -> None:
    class Lost(FakeWire):
        async def produce(self, node: int, batches: Batches, cluster: str | None = None) -> Answers:
            raise kafka_errors.KafkaConnectionError("gone")

    one = AtLeastOnce({})
    one._wire = Lost(fine, {"topic"})
    outcome = await one.publish([row(1)])
    assert (outcome.acknowledged, outcome.refused, outcome.closed) == (set(), {}, {})
    assert outcome.doubtful == {1}


async def test_what_was_sent_and_not_answered_is_doubtful_until_it_is_acknowledged() -> None:
    """Who parks a result that may be on its topic already must not tell that it waits."""
    kinds = iter([kafka_errors.RequestTimedOutError, kafka_errors.NoError])

    def by_topic(topic: str, _: list[bytes]) -> Any:
        return next(kinds) if topic == "slow" else kafka_errors.NoError

    one, _ = delivery(by_topic, "slow", "open")
    outcome = await one.publish([row(1, topic="slow"), row(2, topic="open")])
    assert (set(outcome.closed), outcome.doubtful) == ({"slow"}, {1})
    outcome = await one.publish([row(1, topic="slow")])
    assert (outcome.acknowledged, outcome.doubtful) == ({1}, set())


async def test_what_the_broker_said_it_does_not_have_is_not_doubtful() -> None:
    def by_topic(topic: str, _: list[bytes]) -> Any:
        forbidden = topic == "shut"
        return kafka_errors.TopicAuthorizationFailedError if forbidden else kafka_errors.NoError

    one, _ = delivery(by_topic, "shut", "open")
    outcome = await one.publish([row(1, topic="shut"), row(2, topic="open")])
    assert (set(outcome.closed), outcome.doubtful) == ({"shut"}, set())


async def test_without_a_connection_the_broker_is_away() -> None:
    one = AtLeastOnce({})
    with pytest.raises(BrokerAway):
        await one.publish([row(1)])
    assert not await one.broker_there()
    assert asyncio.all_tasks() == {asyncio.current_task()}
