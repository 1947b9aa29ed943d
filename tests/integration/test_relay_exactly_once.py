"""Delivery exactly once on Apache Kafka: what a `read_committed` reader sees (guarantee 4)."""

import pytest

from tests.integration.relay_world import (
    a_cause,
    a_deployment,
    create_topics,
    emptied,
    exact_relay,
    final,
    ids,
    name,
    put,
    read,
    sync,
)
from tests.servers import TANSU, brokers, no_apache

# Only a broker with transactions.
pytestmark = [
    pytest.mark.one_broker,
    pytest.mark.parametrize(
        "kafka",
        [
            pytest.param(
                brokers()[-1],
                marks=pytest.mark.skipif(brokers()[-1] == TANSU, reason=str(no_apache())),
            )
        ],
        indirect=True,
        scope="session",
    ),
]


async def test_records_arrive_in_order_and_once_and_results_after_their_syncs(
    fresh_database: str, kafka: str
) -> None:
    syncs, results = name("sync"), name("results")
    await create_topics(kafka, syncs, results, partitions=3)
    causes = []
    for n in range(1, 6):
        for number in range(40):
            causes.append(a_cause())
            order = f"order-{number}"
            await put(
                fresh_database,
                [sync(syncs, order, n, causes[-1]), final(results, order, causes[-1])],
            )
    async with exact_relay(fresh_database, kafka, await a_deployment(kafka)):
        await emptied(fresh_database)
        found = await read(kafka, syncs, partitions=3, committed=True)
        told = await read(kafka, results, partitions=3, committed=True)
    by_order: dict[bytes | None, list[bytes]] = {}
    for record in found:
        by_order.setdefault(record.key, []).append(dict(record.headers)["ce_sequence"])
    assert len(by_order) == 40
    assert all(numbers == [b"1", b"2", b"3", b"4", b"5"] for numbers in by_order.values())
    assert sorted(ids(told)) == sorted(f"final-{cause.hex()}" for cause in causes)
