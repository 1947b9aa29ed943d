"""The relay against a real broker and database: order, waves, repeats."""

import asyncio
from collections.abc import Sequence

import asyncpg

from services.kit.errors import BrokerAway
from services.kit.outbox import RowKind, store
from services.relay.at_least_once import AtLeastOnce
from services.relay.delivery import Outcome
from services.relay.loop import Relay
from services.relay.rows import Row
from tests.integration.relay_world import (
    a_cause,
    create_topics,
    emptied,
    final,
    ids,
    name,
    put,
    read,
    relay,
    running,
    sync,
    until,
    value_of,
    waiting,
)


async def test_records_arrive_in_the_order_stored_with_key_value_and_headers(
    fresh_database: str, kafka: str
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic, partitions=3)
    for n in range(1, 6):
        await put(fresh_database, [sync(topic, f"order-{number}", n) for number in range(40)])
    async with relay(fresh_database, kafka):
        await emptied(fresh_database)
    found = await read(kafka, topic, partitions=3)
    assert len(found) == 200
    by_order: dict[bytes, list[bytes]] = {}
    for record in found:
        assert record.key is not None
        by_order.setdefault(record.key, []).append(dict(record.headers)["ce_sequence"])
    assert all(numbers == [b"1", b"2", b"3", b"4", b"5"] for numbers in by_order.values())
    assert len(by_order) == 40


async def test_new_rows_wake_an_idle_relay(fresh_database: str, kafka: str) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)
    async with relay(fresh_database, kafka) as one:

        async def owns_all() -> bool:
            return len(one.owned_shards) == 4 and one.ready()[0]

        await until(owns_all)
        for n in range(1, 4):
            await put(fresh_database, [sync(topic, "order", n)])
            await emptied(fresh_database)
    assert ids(await read(kafka, topic)) == ["order-1", "order-2", "order-3"]


async def test_a_final_result_is_published_after_the_syncs_of_its_command_are_gone(
    fresh_database: str, kafka: str
) -> None:
    syncs, results, cause = name("sync"), name("results"), a_cause()
    await create_topics(kafka, syncs, results)

    class Watching(AtLeastOnce):
        async def publish(self, rows: Sequence[Row]) -> Outcome:
            for row in rows:
                if row.kind == RowKind.FINAL:
                    query = "SELECT count(*) FROM outbox WHERE kind = 0"
                    seen.append(await value_of(fresh_database, query))
            return await super().publish(rows)

    seen: list[int] = []
    await put(fresh_database, [sync(syncs, "order", 1, cause), final(results, "order", cause)])
    async with running(Relay(fresh_database, Watching({"bootstrap_servers": kafka}))):
        await emptied(fresh_database)
    assert seen == [0]


async def test_a_final_result_waits_for_its_waiting_row_in_another_shard(
    fresh_database: str, kafka: str
) -> None:
    results, cause = name("results"), a_cause()
    await create_topics(kafka, results)
    first, *_ = await put(fresh_database, [waiting(results, "key", cause, shard_key="a")])
    rows = [final(results, "key", cause, after_id=first, told_before=True)]
    await put(fresh_database, rows)
    async with relay(fresh_database, kafka):
        await emptied(fresh_database)
    found = await read(kafka, results)
    assert ids(found) == [f"waiting-{cause.hex()}", f"final-{cause.hex()}"]


async def test_results_are_announced_to_the_gateway_when_they_are_gone(
    fresh_database: str, kafka: str
) -> None:
    results, cause = name("results"), a_cause()
    await create_topics(kafka, results)
    listener = await asyncpg.connect(fresh_database)
    heard = asyncio.Event()
    await listener.add_listener("crossroads_published", lambda *_: heard.set())
    await put(fresh_database, [final(results, "order", cause)])
    async with relay(fresh_database, kafka), asyncio.timeout(20):
        await heard.wait()
        assert await value_of(fresh_database, "SELECT count(*) FROM outbox") == 0
    await listener.close()


async def test_dying_between_publish_and_delete_repeats_the_same_bytes_and_keeps_the_order(
    fresh_database: str, kafka: str
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)

    class Dying(AtLeastOnce):
        async def publish(self, rows: Sequence[Row]) -> Outcome:
            outcome = await super().publish(rows)
            if not died:
                died.append(True)
                raise BrokerAway("dead after the acknowledgement")
            return outcome

    died: list[bool] = []
    await put(fresh_database, [sync(topic, "order", n) for n in range(1, 6)])
    async with running(Relay(fresh_database, Dying({"bootstrap_servers": kafka}))):
        await emptied(fresh_database)
    found = await read(kafka, topic)
    assert len(found) == 10
    assert list(dict.fromkeys(ids(found))) == [f"order-{n}" for n in range(1, 6)]
    contents = {(record.key, record.value, tuple(record.headers)) for record in found}
    assert len(contents) == 5


async def test_a_writer_that_drew_a_low_id_and_commits_late_is_not_lost(
    fresh_database: str, kafka: str
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)
    late = await asyncpg.connect(fresh_database)
    transaction = late.transaction()
    await transaction.start()
    (low,) = await store(late, [sync(topic, "late", 1)])
    async with relay(fresh_database, kafka) as one:
        for n in range(1, 30):
            (high,) = await put(fresh_database, [sync(topic, "early", n)])
            assert high > low
            await emptied(fresh_database)
        assert one._mark.value < low
        await transaction.commit()
        await emptied(fresh_database)

        async def risen() -> bool:
            await put(fresh_database, [sync(topic, "more", 1)])
            return one._mark.value >= high

        # And once nobody who drew a low id is left, the mark does rise.
        await until(risen)
        await emptied(fresh_database)
    assert ids(await read(kafka, topic)).count("late-1") == 1
    await late.close()


async def test_a_savepoint_that_drew_ids_holds_the_mark_too(
    fresh_database: str, kafka: str
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)
    late = await asyncpg.connect(fresh_database)
    outer = late.transaction()
    await outer.start()
    async with late.transaction():
        (low,) = await store(late, [sync(topic, "late", 1)])
    async with relay(fresh_database, kafka) as one:
        for n in range(1, 5):
            await put(fresh_database, [sync(topic, "early", n)])
            await emptied(fresh_database)
        assert one._mark.value < low
        await outer.commit()
        await emptied(fresh_database)
    assert "late-1" in ids(await read(kafka, topic))
    await late.close()


async def test_a_backlog_larger_than_one_fetch_goes_out_whole_and_in_order(
    fresh_database: str, kafka: str
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)
    for start in range(0, 5000, 1000):
        rows = [sync(topic, "order", start + n + 1) for n in range(1000)]
        await put(fresh_database, rows)
    async with relay(fresh_database, kafka):
        await emptied(fresh_database)
    assert ids(await read(kafka, topic)) == [f"order-{n}" for n in range(1, 5001)]
