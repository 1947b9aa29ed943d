"""Rows over connections that lose requests and answers, to a broker that knows numbers."""

from collections import Counter
from typing import Any

import pytest
from aiokafka import errors as kafka_errors
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from services.kit.errors import BrokerAway
from services.relay import at_least_once
from services.relay.at_least_once import AtLeastOnce
from services.relay.numbering import Producer
from services.relay.wire import Answers, Batches, Wire
from tests.unit.relay.rows_world import row

# What becomes of a request: all is well, it is lost, its answer is, the answer comes too late.
FINE, LOST, UNANSWERED, LATE = "fine", "lost", "unanswered", "late"
FAULTS = st.sampled_from([FINE, LOST, UNANSWERED, LATE])


class NumberedBroker(Wire):
    """One node that stores batches as Apache Kafka does; what befalls each request is told."""

    def __init__(self, *befalls: str, gives_ids: bool = True) -> None:
        super().__init__({})
        self.befalls = list(befalls)
        self.gives_ids = gives_ids
        self.cluster = "cluster"
        self.ids = 0
        self.stored: list[bytes] = []
        self.numbers: dict[tuple[Any, ...], list[tuple[int, int]]] = {}

    async def start(self) -> None:
        return

    async def stop(self) -> None:
        return

    async def producer(self) -> tuple[str | None, Producer | None]:
        self.ids += 1
        return self.cluster, Producer(self.ids, 0) if self.gives_ids else None

    def partitions(self, topic: str) -> list[int]:
        return [0]

    def leader(self, topic: str, partition: int) -> int | None:
        return 1

    async def refresh(self) -> None:
        return

    async def ready(self, node: int) -> None:
        return

    async def produce(self, node: int, batches: Batches, cluster: str | None = None) -> Answers:
        if cluster not in (None, self.cluster):
            raise kafka_errors.NodeNotReadyError(node)
        befalls = self.befalls.pop(0) if self.befalls else FINE
        if befalls == LOST:
            raise kafka_errors.KafkaConnectionError("lost")
        answers: Answers = {place: self.take(place, raw) for place, raw in batches.items()}
        if befalls == UNANSWERED:
            raise kafka_errors.KafkaConnectionError("lost")
        if befalls == LATE:
            return dict.fromkeys(batches, kafka_errors.RequestTimedOutError)
        return answers

    def take(self, place: tuple[str, int], raw: bytes) -> Any:
        batch = MemoryRecords(raw).next_batch()
        values = [record.value for record in batch]
        if batch.producer_id != -1:
            known = self.numbers.setdefault((*place, batch.producer_id), [])
            numbers = batch.base_sequence, batch.base_sequence + len(values) - 1
            if numbers in known[-5:]:
                return kafka_errors.NoError
            if numbers[0] != (known[-1][1] + 1 if known else 0):
                return kafka_errors.OutOfOrderSequenceNumber
            known.append(numbers)
        self.stored += values
        return kafka_errors.NoError


@pytest.fixture(autouse=True, scope="module")
def no_pauses() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(at_least_once, "PASS_PAUSE_SECONDS", 0)
        yield


async def delivery(wire: Wire) -> AtLeastOnce:
    one = AtLeastOnce({})
    one._wire = wire
    await one.start()
    return one


def rows(*ids: int) -> list[Any]:
    return [row(row_id, value=b"%d" % row_id) for row_id in ids]


@pytest.mark.parametrize("befalls", [LOST, UNANSWERED, LATE])
async def test_a_batch_without_an_answer_is_sent_again_and_stored_once(befalls: str) -> None:
    wire = NumberedBroker(befalls)
    one = await delivery(wire)
    acknowledged = (await one.publish(rows(1, 2))).acknowledged
    left = {1, 2, 3} - acknowledged
    acknowledged |= (await one.publish(rows(*sorted(left)))).acknowledged
    assert acknowledged == {1, 2, 3}
    assert wire.stored == [b"1", b"2", b"3"]


async def test_a_broker_that_gives_out_no_ids_may_store_it_twice() -> None:
    wire = NumberedBroker(UNANSWERED, gives_ids=False)
    one = await delivery(wire)
    assert (await one.publish(rows(1))).acknowledged == {1}
    assert wire.stored == [b"1", b"1"]


async def test_a_new_connection_knows_what_the_old_one_had_under_way() -> None:
    wire = NumberedBroker(UNANSWERED, LOST)
    one = await delivery(wire)
    assert not (await one.publish(rows(1, 2))).acknowledged
    await one.stop()
    await one.start()
    assert (await one.publish(rows(1, 2, 3))).acknowledged == {1, 2, 3}
    assert (await one.publish(rows(4))).acknowledged == {4}
    assert wire.stored == [b"1", b"2", b"3", b"4"]


async def test_rows_whose_numbers_the_broker_lost_go_under_a_new_producer() -> None:
    wire = NumberedBroker()
    one = await delivery(wire)
    await one.publish(rows(1))
    wire.numbers = {key: [(7, 9)] for key in wire.numbers}
    assert (await one.publish(rows(2))).acknowledged == {2}
    assert wire.stored == [b"1", b"2"]
    assert wire.ids == 2


async def test_nothing_goes_to_another_cluster_under_the_numbers_of_the_first() -> None:
    wire = NumberedBroker(LATE)
    one = await delivery(wire)
    assert not (await one.publish(rows(1))).acknowledged
    wire.cluster, wire.stored, wire.numbers = "another", [], {}
    assert not (await one.publish(rows(1))).acknowledged
    assert wire.stored == []
    await one.stop()
    await one.start()
    assert (await one.publish(rows(1))).acknowledged == {1}
    assert wire.stored == [b"1"]


async def test_what_was_acknowledged_is_told_when_the_broker_then_goes() -> None:
    class Going(NumberedBroker):
        async def refresh(self) -> None:
            raise BrokerAway

    wire = Going(FINE, LOST)
    one = await delivery(wire)
    large = [row(n, value=b"%d" % n + b"x" * 400_000, topic="a") for n in (1, 2)]
    outcome = await one.publish([*large, row(3, topic="b", value=b"3")])
    assert outcome.acknowledged == {1, 3}
    assert not outcome.closed
    wire.befalls = [LOST]
    with pytest.raises(BrokerAway):
        await one.publish([large[1]])


@given(befalls=st.lists(FAULTS, max_size=12), sizes=st.lists(st.integers(1, 4), max_size=8))
async def test_waves_that_bring_everything_again_store_it_once(
    befalls: list[str], sizes: list[int]
) -> None:
    wire = NumberedBroker(*befalls)
    one = await delivery(wire)
    waiting, last = [1], 1
    for size in [*sizes, *[0] * 20]:
        waiting += range(last + 1, last + 1 + size)
        last += size
        outcome = await one.publish(rows(*waiting))
        waiting = [each for each in waiting if each not in outcome.acknowledged]
        if not outcome.acknowledged:
            await one.stop()
            await one.start()
    assert not waiting
    assert wire.stored == [b"%d" % n for n in range(1, last + 1)]


@given(
    befalls=st.lists(FAULTS, max_size=12),
    waves=st.lists(
        st.tuples(st.sets(st.integers(1, 8), min_size=1), st.booleans()), min_size=1, max_size=12
    ),
)
async def test_whatever_comes_together_what_was_acknowledged_is_stored(
    befalls: list[str], waves: list[tuple[set[int], bool]]
) -> None:
    wire = NumberedBroker(*befalls)
    one = await delivery(wire)
    gone: Counter[int] = Counter()
    for wave, begins_anew in waves:
        if begins_anew:
            await one.stop()
            await one.start()
        outcome = await one.publish(rows(*sorted(wave - set(gone))))
        gone.update(outcome.acknowledged)
        assert {b"%d" % each for each in gone} <= set(wire.stored)
    assert not gone or max(gone.values()) == 1
