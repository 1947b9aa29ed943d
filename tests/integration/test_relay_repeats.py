"""The relay when acknowledgements are lost on their way back, through a network that loses them."""

import os
import signal
from collections.abc import AsyncIterator

import pytest

from services.relay.loop import Relay
from tests.integration.forgetful import Forgetful, between
from tests.integration.relay_world import (
    a_cause,
    a_deployment,
    create_topics,
    emptied,
    exact_relay,
    final,
    ids,
    left,
    name,
    put,
    read,
    relay,
    sync,
    until,
)
from tests.integration.test_gateway_sending import own_broker
from tests.servers import APACHE, no_archives


@pytest.fixture
def is_apache(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.callspec.params["kafka"] == APACHE)


@pytest.fixture
async def network(kafka: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Forgetful]:
    async with between(kafka, monkeypatch) as proxy:
        yield proxy


async def idle(one: Relay) -> None:
    """Wait until the relay owns all shards and has nothing to do."""

    async def owns_all() -> bool:
        return len(one.owned_shards) == 4 and one.ready()[0]

    await until(owns_all)


async def test_a_record_whose_acknowledgement_was_lost_is_there_once_where_the_broker_knows_repeats(
    fresh_database: str, kafka: str, is_apache: bool, network: Forgetful
) -> None:
    syncs, results = name("sync"), name("results")
    await create_topics(kafka, syncs, results)
    expected = []
    async with relay(fresh_database, kafka) as one:
        await idle(one)
        for n in range(1, 6):
            network.losses = 1
            cause = a_cause()
            await put(
                fresh_database,
                [sync(syncs, "order", n, cause), final(results, "order", cause)],
            )
            await emptied(fresh_database)
            expected.append(f"final-{cause.hex()}")
        assert network.lost == 5
    found, told = ids(await read(kafka, syncs)), ids(await read(kafka, results))
    assert list(dict.fromkeys(found)) == [f"order-{n}" for n in range(1, 6)]
    assert list(dict.fromkeys(told)) == expected
    repeats = len(found) + len(told) - 10
    assert repeats == (0 if is_apache else 5)


async def test_a_record_stays_once_when_the_network_is_gone_and_more_comes_meanwhile(
    fresh_database: str, kafka: str, is_apache: bool, network: Forgetful
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)
    async with relay(fresh_database, kafka) as one:
        await idle(one)
        network.losses, network.stays_cut = 1, True
        await put(fresh_database, [sync(topic, "order", n) for n in range(1, 4)])

        async def is_away() -> bool:
            return not one.ready()[0]

        await until(is_away)
        assert network.lost == 1
        await put(fresh_database, [sync(topic, "order", n) for n in range(4, 7)])
        await network.mend()
        await emptied(fresh_database)
    found = ids(await read(kafka, topic))
    assert list(dict.fromkeys(found)) == [f"order-{n}" for n in range(1, 7)]
    assert len(found) == (6 if is_apache else 9)


@pytest.mark.parametrize("exact", [False, True], ids=["at least once", "exactly once"])
@pytest.mark.skipif(no_archives() is not None, reason=str(no_archives()))
async def test_a_killed_apache_kafka_has_every_record_once_and_in_order(
    fresh_database: str, *, exact: bool
) -> None:
    async with own_broker("kafka") as (settings, supervisor):
        kafka, topic, last = settings.kafka_bootstrap_servers, name("sync"), 20_000
        await create_topics(kafka, topic)
        for start in range(0, last, 2000):
            rows = [sync(topic, "order", start + n) for n in range(1, 2001)]
            await put(fresh_database, rows)

        async def some_are_gone() -> bool:
            return await left(fresh_database) < last

        deployment = await a_deployment(kafka)
        async with (
            exact_relay(fresh_database, kafka, deployment)
            if exact
            else relay(fresh_database, kafka)
        ):
            await until(some_are_gone)
            (broker,) = supervisor.processes
            os.kill(broker.pid, signal.SIGKILL)
            assert await left(fresh_database) > 0
            await emptied(fresh_database)
        found = ids(await read(kafka, topic, committed=exact))
        assert found == [f"order-{n}" for n in range(1, last + 1)]
