"""Delivery exactly once against a model of the broker, with a network that loses what it likes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kit.errors import BrokerAway
from services.relay import batches, exactly_once, sending, transactions
from services.relay.batches import Left
from services.relay.exactly_once import ExactlyOnce
from services.relay.rows import Row
from services.relay.session import LockSession
from services.relay.transactions import Fenced
from tests.unit.relay.model_broker import LOST, UNHEARD, ModelBroker
from tests.unit.relay.rows_world import row

SHARDS = (0, 1)
TOPICS = ("a", "b")


class Database:
    """The rows and the stored batches, in the place of the session and its SQL."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = list(rows)
        self.left: dict[int, tuple[int, list[int]]] = {}
        self.parked: list[Row] = []

    @asynccontextmanager
    async def use(self) -> AsyncIterator["Database"]:
        yield self

    async def execute(self, statement: str) -> None:
        assert statement == "SELECT 1"

    def patch(self, patch: pytest.MonkeyPatch) -> None:
        async def store(_: Any, given: dict[int, Any], __: str) -> None:
            for shard, (number, ids) in given.items():
                assert number > self.left.get(shard, (-1, []))[0]
                self.left[shard] = number, list(ids)

        async def left_behind(_: Any, shards: Sequence[int]) -> dict[int, Left]:
            there = {each.id for each in self.rows}
            return {
                shard: Left(number, "cluster", tuple(there.intersection(ids)))
                for shard, (number, ids) in self.left.items()
                if shard in shards
            }

        async def drop(_: Any, shards: Sequence[int]) -> None:
            self.left.update({shard: (self.left[shard][0], []) for shard in shards})

        async def finish(_: Any, ids: Sequence[int]) -> None:
            self.delete(ids)

        for each in (store, left_behind, drop, finish):
            patch.setattr(batches, each.__name__, each)
        for module in (sending, transactions):
            patch.setattr(module, "PASS_PAUSE_SECONDS", 0)

    def delete(self, ids: Sequence[int] | set[int]) -> None:
        self.rows = [each for each in self.rows if each.id not in ids]

    def park(self, topics: Sequence[str], ids: Sequence[int]) -> None:
        gone = [each for each in self.rows if each.topic in topics or each.id in ids]
        self.parked += gone
        self.delete([each.id for each in gone])


def rows(count: int, **given: Any) -> list[Row]:
    """Rows of two topics and two shards, each with its id for its value."""
    return [
        row(n, shard=n % 2, topic=TOPICS[n // 2 % 2], value=b"%d" % n, stream=f"s{n % 4}", **given)
        for n in range(count)
    ]


async def opened(broker: ModelBroker, database: Database) -> ExactlyOnce:
    """A delivery that has taken both shards over."""
    one = ExactlyOnce({}, "hub")
    one._wire = broker
    await one.start()
    await one.take_over(cast("LockSession", database), SHARDS)
    return one


async def work(broker: ModelBroker, database: Database) -> int:
    """What the loop does until nothing is left; how many sessions it took."""
    for sessions in range(1, 60):
        try:
            one = await opened(broker, database)
            while database.rows:
                outcome = await one.publish(database.rows[:6])
                database.delete(outcome.acknowledged)
                database.park([*outcome.closed], [*outcome.refused])
                if not (outcome.acknowledged or outcome.closed or outcome.refused):
                    break
        except BrokerAway:
            continue
        if not database.rows:
            return sessions
    raise AssertionError("It never ends.")


def seen(broker: ModelBroker) -> list[int]:
    return [int(value) for _, value in broker.committed]


def in_order(found: list[int]) -> bool:
    return all([n for n in found if n % 4 == k] == sorted(n for n in found if n % 4 == k)
               for k in range(4))  # fmt: skip


# How many requests go well, and then what happens to one.
FAULTS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from([LOST, UNHEARD, UNHEARD])), max_size=10
)


@settings(max_examples=300, deadline=None)
@given(faults=FAULTS)
def test_whatever_the_network_loses_every_row_is_committed_once_and_in_order(
    faults: list[tuple[int, str]],
) -> None:
    broker, database = ModelBroker(TOPICS), Database(rows(20))
    plan = [each for well, fault in faults for each in (*[None] * well, fault)]
    plan.reverse()
    broker.fault = lambda _: plan.pop() if plan else None
    with pytest.MonkeyPatch.context() as patch:
        database.patch(patch)
        asyncio.run(work(broker, database))
    assert sorted(seen(broker)) == list(range(20))
    assert in_order(seen(broker))


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    found = Database(rows(12))
    found.patch(monkeypatch)
    return found


async def test_without_a_fault_a_batch_is_five_requests_and_there_are_no_others(
    database: Database,
) -> None:
    broker = ModelBroker(TOPICS)
    one = await opened(broker, database)
    broker.requests.clear()
    outcome = await one.publish([each for each in database.rows if each.shard == 0])
    assert len(outcome.acknowledged) == 6
    assert sorted(broker.requests) == [
        *("AddOffsetsToTxnRequest", "AddPartitionsToTxnRequest", "EndTxnRequest"),
        *("Produce", "TxnOffsetCommitRequest"),
    ]
    assert broker.numbers == {"hub.relay.0": 1, "hub.relay.1": 0}


async def test_the_first_number_is_there_before_the_first_batch_is_stored(
    database: Database,
) -> None:
    broker = ModelBroker(TOPICS)
    await opened(broker, database)
    assert broker.numbers == {"hub.relay.0": 0, "hub.relay.1": 0}
    assert database.left == {}


async def test_a_topic_that_is_forbidden_is_closed_and_the_others_go_out(
    database: Database,
) -> None:
    broker = ModelBroker(TOPICS)
    broker.forbidden = {"a"}
    await work(broker, database)
    assert {each.topic for each in database.parked} == {"a"}
    assert sorted(seen(broker)) == [n for n in range(12) if n // 2 % 2]


async def test_the_records_a_topic_refuses_are_found_all_at_once(database: Database) -> None:
    broker = ModelBroker(TOPICS)
    broker.limit = 400
    database.rows[3].value = database.rows[8].value = b"x" * 400
    one = await opened(broker, database)
    outcome = await one.publish(database.rows)
    assert set(outcome.refused) == {3, 8}
    assert outcome.acknowledged == set()
    assert broker.committed == []
    assert database.left[0][1] == database.left[1][1] == []


async def test_a_topic_whose_records_were_under_way_when_the_time_was_up_is_closed_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protocol §5: a transaction's timeout opens the breakers of what it waited for."""
    monkeypatch.setattr(exactly_once, "TRANSACTION_SECONDS", 0.05)

    class Slow(ModelBroker):
        async def produce_within(self, *arguments: Any) -> Any:
            _, _, given, *_ = arguments
            answers = await super().produce_within(*arguments)
            if ("a", 0) in given:
                await asyncio.Event().wait()
            return answers

        def leader(self, topic: str, partition: int) -> int | None:
            return {"a": 2, "b": 1}.get(topic)

    broker = Slow(TOPICS)
    one = await opened(broker, database)
    outcome = await one.publish(database.rows)
    assert outcome.closed == {"a": "RequestTimedOutError"}
    assert outcome.acknowledged == set()
    assert broker.committed == []
    database.park(["a"], [])
    outcome = await one.publish(database.rows)
    assert outcome.acknowledged == {each.id for each in database.rows}


async def test_who_is_barred_says_so_and_touches_nothing(database: Database) -> None:
    broker = ModelBroker(TOPICS)
    first = await opened(broker, database)
    second = await opened(broker, database)
    with pytest.raises(Fenced):
        await first.publish(database.rows)
    assert broker.committed == []
    # The first one's batch was stored: the second one would find out at its next take-over.
    await second.take_over(cast("LockSession", database), SHARDS)
    outcome = await second.publish(database.rows)
    assert outcome.acknowledged == set(range(12))


async def test_a_number_that_was_found_is_committed_again_before_rows_go_out(
    database: Database,
) -> None:
    """Nobody knows how old it is; what is forgotten beside a stored batch ends the relay."""
    broker = ModelBroker(TOPICS)
    await opened(broker, database)
    one = await opened(broker, database)
    broker.requests.clear()
    await one.publish(database.rows[:2])
    assert broker.requests.count("EndTxnRequest") == 4
    await one.publish(database.rows[2:4])
    assert broker.requests.count("EndTxnRequest") == 6


async def test_a_number_that_was_not_committed_for_an_hour_is_before_rows_go_out(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brokers forget a group's offset after a week without a commit."""
    broker = ModelBroker(TOPICS)
    one = await opened(broker, database)
    monkeypatch.setattr(exactly_once, "NUMBER_SECONDS", -1.0)
    broker.requests.clear()
    marked: list[dict[str, int]] = []
    broker.fault = lambda kind: marked.append(dict(broker.numbers)) if kind == "Produce" else None
    del broker.numbers["hub.relay.0"]
    await one.publish([each for each in database.rows if each.shard == 0])
    assert broker.requests.count("EndTxnRequest") == 2
    assert marked[0]["hub.relay.0"] == 0
