"""Delivery exactly once on Apache Kafka: what a `read_committed` reader sees (guarantee 4)."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.kit.errors import ServiceMustStop
from services.kit.outbox import RowKind
from services.relay.delivery import Outcome
from services.relay.exactly_once import ExactlyOnce
from services.relay.loop import Relay
from services.relay.rows import Row
from tests.integration.forgetful import Forgetful, between
from tests.integration.relay_world import (
    a_cause,
    a_deployment,
    arguments,
    create_topics,
    emptied,
    exact_relay,
    final,
    ids,
    name,
    on_transactions,
    parked,
    put,
    read,
    relay,
    running,
    sync,
    two_orders,
    until,
    value_of,
    waiting,
)

pytestmark = on_transactions()

NUMBERS = "SELECT sum(batch_no)::bigint FROM relay_batches"
END_SESSIONS = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"


@pytest.fixture
async def deployment(kafka: str) -> str:
    return await a_deployment(kafka)


async def owns(one: Relay, count: int) -> None:
    async def so_many() -> bool:
        return len(one.owned_shards) == count and one.ready()[0]

    await until(so_many)


async def seen(kafka: str, topic: str, partitions: int = 1) -> list[str]:
    """The ids a `read_committed` reader sees."""
    return ids(await read(kafka, topic, partitions, committed=True))


async def test_records_arrive_in_order_and_once_with_their_results(
    fresh_database: str, kafka: str, deployment: str
) -> None:
    syncs, results = name("sync"), name("results")
    await create_topics(kafka, syncs, results, partitions=3)
    causes = {}
    for n in range(1, 6):
        for number in range(40):
            cause = causes[n, number] = a_cause()
            order = f"order-{number}"
            rows = [sync(syncs, order, n, cause), final(results, order, cause)]
            await put(fresh_database, rows)
    async with exact_relay(fresh_database, kafka, deployment):
        await emptied(fresh_database)
    by_order: dict[bytes | None, list[bytes]] = {}
    for record in await read(kafka, syncs, partitions=3, committed=True):
        by_order.setdefault(record.key, []).append(dict(record.headers)["ce_sequence"])
    assert len(by_order) == 40
    assert all(numbers == [b"1", b"2", b"3", b"4", b"5"] for numbers in by_order.values())
    told = await seen(kafka, results, partitions=3)
    assert sorted(told) == sorted(f"final-{cause.hex()}" for cause in causes.values())


async def test_a_final_result_rides_in_a_transaction_after_its_syncs_are_gone(
    fresh_database: str, kafka: str, deployment: str
) -> None:
    """K40: who reads `done` and asks finds the order `synced`."""
    syncs, results, cause = name("sync"), name("results"), a_cause()
    await create_topics(kafka, syncs, results)

    class Watching(ExactlyOnce):
        async def publish(self, rows: Sequence[Row]) -> Outcome:
            if any(row.kind == RowKind.FINAL for row in rows):
                there = await value_of(fresh_database, "SELECT count(*) FROM outbox WHERE kind = 0")
                found.append((there, await seen(kafka, syncs)))
            return await super().publish(rows)

    found: list[tuple[int, list[str]]] = []
    await put(fresh_database, [sync(syncs, "order", 1, cause), final(results, "order", cause)])
    delivery = Watching(arguments(kafka), deployment)
    async with running(Relay(fresh_database, delivery)):
        await emptied(fresh_database)
    assert found == [(0, ["order-1"])]
    assert await seen(kafka, results) == [f"final-{cause.hex()}"]


async def test_a_final_result_waits_for_its_waiting_row_in_another_shard(
    fresh_database: str, kafka: str, deployment: str
) -> None:
    results, cause = name("results"), a_cause()
    await create_topics(kafka, results)
    first, *_ = await put(fresh_database, [waiting(results, "key", cause, shard_key="a")])
    await put(fresh_database, [final(results, "key", cause, after_id=first)])
    async with exact_relay(fresh_database, kafka, deployment):
        await emptied(fresh_database)
    assert await seen(kafka, results) == [f"waiting-{cause.hex()}", f"final-{cause.hex()}"]


async def test_a_relay_without_rows_makes_no_transaction(
    fresh_database: str, kafka: str, deployment: str
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)
    async with exact_relay(fresh_database, kafka, deployment) as one:
        await owns(one, 4)
        assert await value_of(fresh_database, NUMBERS) is None
        for n in range(1, 4):
            await put(fresh_database, [sync(topic, "order", n)])
            await emptied(fresh_database)
        assert await value_of(fresh_database, NUMBERS) == 3
    async with exact_relay(fresh_database, kafka, deployment) as one:
        await owns(one, 4)
    assert await value_of(fresh_database, NUMBERS) == 3


async def test_two_relays_send_everything_once_while_shards_change_hands(
    fresh_database: str, kafka: str, deployment: str
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)
    n = 0
    async with exact_relay(fresh_database, kafka, deployment) as first:
        await owns(first, 4)
        async with exact_relay(fresh_database, kafka, deployment) as second:
            while len(second.owned_shards) < 2:
                n += 1
                await put(fresh_database, [sync(topic, f"o{order}", n) for order in range(20)])
            await owns(first, 2)
        n += 1
        await put(fresh_database, [sync(topic, f"o{order}", n) for order in range(20)])
        await owns(first, 4)
        await emptied(fresh_database)
    by_order: dict[bytes | None, list[int]] = {}
    for record in await read(kafka, topic, committed=True):
        by_order.setdefault(record.key, []).append(int(dict(record.headers)["ce_sequence"]))
    assert len(by_order) == 20
    assert all(each == list(range(1, n + 1)) for each in by_order.values())


class StandsStill(ExactlyOnce):
    """Stands still once, before or after it publishes."""

    after = False

    def __init__(self, arguments: dict[str, Any], deployment: str) -> None:
        super().__init__(arguments, deployment)
        self.frozen = asyncio.Event()
        self.thawed = asyncio.Event()

    async def publish(self, rows: Sequence[Row]) -> Outcome:
        if not self.after:
            await self._stand_still()
        outcome = await super().publish(rows)
        await self._stand_still()
        return outcome

    async def _stand_still(self) -> None:
        if not self.frozen.is_set():
            self.frozen.set()
            await self.thawed.wait()


@pytest.mark.parametrize("after", [False, True], ids=["before it stores", "after it committed"])
async def test_a_relay_that_stood_still_is_barred_and_begins_anew(
    fresh_database: str, kafka: str, deployment: str, *, after: bool
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)
    await put(fresh_database, [sync(topic, "order", n) for n in range(1, 4)])
    delivery = StandsStill(arguments(kafka), deployment)
    delivery.after = after
    async with running(Relay(fresh_database, delivery, application_name="frozen")) as frozen:
        await delivery.frozen.wait()
        # What idle_session_timeout does to a process that does not run.
        await value_of(fresh_database, f"{END_SESSIONS} WHERE application_name = 'frozen'")
        async with exact_relay(fresh_database, kafka, deployment) as other:
            await owns(other, 4)
            await emptied(fresh_database)
            await put(fresh_database, [sync(topic, "order", n) for n in range(4, 6)])
            await emptied(fresh_database)
            delivery.thawed.set()
            await owns(frozen, 2)
            await owns(other, 2)
            await put(fresh_database, [sync(topic, "order", 6), sync(topic, "another", 1)])
            await emptied(fresh_database)
    found = await seen(kafka, topic)
    assert [each for each in found if each != "another-1"] == [f"order-{n}" for n in range(1, 7)]
    assert found.count("another-1") == 1


async def test_an_epoch_that_another_took_is_left_and_begun_anew(
    fresh_database: str, kafka: str, deployment: str
) -> None:
    """Two hubs with one name bar each other: it is said, and nothing is published twice."""
    topic = name("sync")
    await create_topics(kafka, topic)
    async with exact_relay(fresh_database, kafka, deployment) as one:
        await owns(one, 4)
        stranger = ExactlyOnce(arguments(kafka), deployment)
        await stranger.start()
        for shard in range(4):
            await stranger._barred(shard)
        await stranger.stop()
        with capture_logs() as told:
            await put(fresh_database, [sync(topic, "order", n) for n in range(1, 4)])
            await emptied(fresh_database)
    assert await seen(kafka, topic) == ["order-1", "order-2", "order-3"]
    (line,) = [each for each in told if each["event"] == "relay.fenced"]
    assert "CROSSROADS_DEPLOYMENT" in line["meaning"]


@pytest.mark.parametrize(
    "key", [0, 24, 25, 26, 28], ids=["produce", "partitions", "group", "commit", "number"]
)
async def test_answers_lost_on_their_way_repeat_nothing(
    fresh_database: str, kafka: str, deployment: str, monkeypatch: pytest.MonkeyPatch, key: int
) -> None:
    syncs, results = name("sync"), name("results")
    await create_topics(kafka, syncs, results)
    causes = [a_cause() for _ in range(5)]
    network: Forgetful
    async with (
        between(kafka, monkeypatch) as network,
        exact_relay(fresh_database, kafka, deployment) as one,
    ):
        await owns(one, 4)
        network.key = key
        for n, cause in enumerate(causes, start=1):
            network.losses = 1
            rows = [sync(syncs, "order", n, cause), final(results, "order", cause)]
            await put(fresh_database, rows)
            await emptied(fresh_database)
        assert network.lost == 5
    assert await seen(kafka, syncs) == [f"order-{n}" for n in range(1, 6)]
    assert await seen(kafka, results) == [f"final-{cause.hex()}" for cause in causes]


async def test_sessions_that_end_between_commit_and_deletion_repeat_nothing(
    fresh_database: str, kafka: str, deployment: str
) -> None:
    syncs, results = name("sync"), name("results")
    await create_topics(kafka, syncs, results)

    class Losing(ExactlyOnce):
        async def publish(self, rows: Sequence[Row]) -> Outcome:
            outcome = await super().publish(rows)
            if len(lost) < 6:
                lost.append(len(rows))
                await value_of(fresh_database, f"{END_SESSIONS} WHERE application_name = 'losing'")
            return outcome

    lost = list[int]()
    causes = [a_cause() for _ in range(3)]
    for n, cause in enumerate(causes, start=1):
        rows = [sync(syncs, "order", n, cause), final(results, "order", cause)]
        await put(fresh_database, rows)
    delivery = Losing(arguments(kafka), deployment)
    async with running(Relay(fresh_database, delivery, application_name="losing")):
        await emptied(fresh_database)
        await put(fresh_database, [sync(syncs, "order", n) for n in range(4, 6)])
        await emptied(fresh_database)
    assert len(lost) >= 2
    assert await seen(kafka, syncs) == [f"order-{n}" for n in range(1, 6)]
    assert await seen(kafka, results) == [f"final-{cause.hex()}" for cause in causes]


async def test_one_missing_topic_holds_nobody_else_and_goes_out_once_when_it_is_made(
    fresh_database: str, kafka: str, deployment: str
) -> None:
    missing, there, results = name("sync"), name("sync"), name("results")
    await create_topics(kafka, there, results)
    held, free = a_cause(), a_cause()
    await put(fresh_database, two_orders(missing, there, results, held, free))
    async with exact_relay(fresh_database, kafka, deployment):
        await parked(fresh_database, 3)
        assert sorted(await seen(kafka, there)) == ["order-a-1", "order-b-1"]
        assert await seen(kafka, results) == [f"final-{free.hex()}"]
        await put(fresh_database, [sync(missing, "order-a", 3), sync(there, "order-b", 2)])
        await parked(fresh_database, 4)
        await create_topics(kafka, missing)
        await emptied(fresh_database)
    assert await seen(kafka, missing) == ["order-a-1", "order-a-2", "order-a-3"]
    assert sorted(await seen(kafka, there)) == ["order-a-1", "order-b-1", "order-b-2"]
    assert await seen(kafka, results) == [f"final-{free.hex()}", f"final-{held.hex()}"]


async def test_a_record_its_topic_refuses_parks_its_order_and_the_rest_goes_out_once(
    fresh_database: str, kafka: str, deployment: str
) -> None:
    """The broker alone knows the topic's limit: what it spoils is composed anew."""
    topic, results, cause = name("sync"), name("results"), a_cause()
    await create_topics(kafka, topic, configs={"max.message.bytes": "20000"})
    await create_topics(kafka, results)
    large = sync(topic, "large", 1, cause)
    large.value = b"x" * 30_000
    small = [sync(topic, f"small-{number}", 1) for number in range(8)]
    await put(
        fresh_database,
        [*small[:4], large, final(results, "large", cause), sync(topic, "large", 2), *small[4:]],
    )
    async with exact_relay(fresh_database, kafka, deployment):
        await parked(fresh_database, 3)
        await put(fresh_database, [sync(topic, "small-0", 2), sync(topic, "large", 3)])
        await parked(fresh_database, 4)
    found = await seen(kafka, topic)
    assert sorted(found) == sorted([*(f"small-{number}-1" for number in range(8)), "small-0-2"])
    assert await value_of(fresh_database, "SELECT count(refused) FROM outbox_parked") == 1


async def test_a_database_that_went_back_is_told_of_and_nothing_it_holds_is_lost(
    fresh_database: str, kafka: str, deployment: str
) -> None:
    """Protocol §5: Kafka ahead; its number is never taken for that of the batch that is left."""
    topic = name("sync")
    await create_topics(kafka, topic)
    async with exact_relay(fresh_database, kafka, deployment):
        for n in range(1, 4):
            await put(fresh_database, [sync(topic, "order", n)])
            await emptied(fresh_database)
    number = await value_of(fresh_database, "SELECT batch_no FROM relay_batches")
    rows = await put(fresh_database, [sync(topic, "order", n) for n in range(4, 6)])
    stored = "UPDATE relay_batches SET batch_no = 1, row_ids = $1 RETURNING shard"
    shard = await value_of(fresh_database, stored, rows)
    with capture_logs() as told:
        async with exact_relay(fresh_database, kafka, deployment):
            await emptied(fresh_database)
        async with exact_relay(fresh_database, kafka, deployment) as one:
            await owns(one, 4)
    assert await seen(kafka, topic) == [f"order-{n}" for n in range(1, 6)]
    (line,) = [each for each in told if each["event"] == "relay.database_went_back"]
    assert (line["shard"], line["committed"], line["stored"]) == (shard, number, 1)
    assert line["log_level"] == "error"
    assert await value_of(fresh_database, "SELECT batch_no FROM relay_batches") == number + 1


@pytest.mark.parametrize(
    ("cluster", "said"),
    [(None, "was published to this cluster"), ("gone", "the cluster gone; this one is")],
)
async def test_a_batch_nobody_can_tell_about_ends_the_relay_until_somebody_says_it(
    fresh_database: str, kafka: str, deployment: str, cluster: str | None, said: str
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)
    async with exact_relay(fresh_database, kafka, deployment):
        await put(fresh_database, [sync(topic, "order", 1)])
        await emptied(fresh_database)
    rows = await put(fresh_database, [sync(topic, "order", 2)])
    stored = "UPDATE relay_batches SET row_ids = $1, cluster_id = coalesce($2, cluster_id)"
    await value_of(fresh_database, stored, rows, cluster)
    # Another name has no number here, as one that the broker forgot has none.
    other = await a_deployment(kafka)
    with pytest.raises(ServiceMustStop, match=said):
        async with asyncio.timeout(30):
            await Relay(fresh_database, ExactlyOnce(arguments(kafka), other)).run(asyncio.Event())
    assert await seen(kafka, topic) == ["order-1"]
    await value_of(fresh_database, "UPDATE relay_batches SET row_ids = '{}'")
    async with exact_relay(fresh_database, kafka, other):
        await emptied(fresh_database)
    assert await seen(kafka, topic) == ["order-1", "order-2"]


async def test_a_relay_that_delivers_at_least_once_may_take_over_and_give_back(
    fresh_database: str, kafka: str, deployment: str
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)
    async with exact_relay(fresh_database, kafka, deployment):
        await put(fresh_database, [sync(topic, "order", 1)])
        await emptied(fresh_database)
    async with relay(fresh_database, kafka):
        await put(fresh_database, [sync(topic, "order", 2)])
        await emptied(fresh_database)
    async with exact_relay(fresh_database, kafka, deployment):
        await put(fresh_database, [sync(topic, "order", 3)])
        await emptied(fresh_database)
    assert await seen(kafka, topic) == ["order-1", "order-2", "order-3"]
