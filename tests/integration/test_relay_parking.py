"""A topic that takes nothing holds back what belongs to it, and nothing else."""

import asyncio
from collections.abc import Sequence

import asyncpg
import orjson

from services.kit.ids import event_id
from services.kit.outbox import RowKind
from services.relay.at_least_once import AtLeastOnce
from services.relay.batching import MAX_RECORD_BYTES
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
    parked,
    put,
    read,
    relay,
    running,
    sync,
    two_orders,
    value_of,
)


async def test_one_tenants_missing_topic_holds_nobody_else(fresh_database: str, kafka: str) -> None:
    missing, there, results = name("sync"), name("sync"), name("results")
    await create_topics(kafka, there, results)
    held, free = a_cause(), a_cause()
    await put(fresh_database, two_orders(missing, there, results, held, free))
    async with relay(fresh_database, kafka):
        await parked(fresh_database, 3)
        assert ids(await read(kafka, there)) == ["order-a-1", "order-b-1"]
        assert ids(await read(kafka, results)) == [f"final-{free.hex()}"]
        # What comes later is not held either, and what belongs to the parked joins it.
        await put(fresh_database, [sync(missing, "order-a", 3), sync(there, "order-b", 2)])
        await parked(fresh_database, 4)
        await create_topics(kafka, missing)
        await emptied(fresh_database)
    assert ids(await read(kafka, missing)) == ["order-a-1", "order-a-2", "order-a-3"]
    assert ids(await read(kafka, results)) == [f"final-{free.hex()}", f"final-{held.hex()}"]


async def test_who_heard_nothing_is_told_that_the_delivery_is_parked(
    fresh_database: str, kafka: str
) -> None:
    missing, results = name("sync"), name("results")
    await create_topics(kafka, results)
    silent, spoken = a_cause(), a_cause()
    waiting_id = event_id(silent, "result", "acme", 0)
    _, parked_id, *_ = await put(
        fresh_database,
        [
            sync(missing, "order-a", 1, silent),
            final(results, "order-a", silent, told_before=False),
            sync(missing, "order-b", 1, spoken),
            final(results, "order-b", spoken, told_before=True),
        ],
    )
    async with relay(fresh_database, kafka):
        await parked(fresh_database, 4)
        told = await value_of(
            fresh_database, "SELECT told FROM outbox_parked WHERE id = $1", parked_id
        )
        assert await value_of(fresh_database, "SELECT count(told) FROM outbox_parked") == 1
        await create_topics(kafka, missing)
        await emptied(fresh_database)
    waiting, *finals = await read(kafka, results)
    assert waiting.value == told
    assert ids([waiting]) == [waiting_id]
    assert dict(waiting.headers)["ce_type"] == b"result"
    answer = orjson.loads(told)
    assert answer["outcome"] == "waiting"
    assert answer["code"] == "delivery.parked"
    assert answer["http_status"] == 200
    assert answer["body"]["status"] == "pending"
    assert "does not take records now" in answer["body"]["message"]
    assert ids(finals) == [f"final-{silent.hex()}", f"final-{spoken.hex()}"]


async def test_a_missing_results_topic_keeps_both_answers_in_order_and_lets_syncs_go(
    fresh_database: str, kafka: str
) -> None:
    syncs, missing, cause = name("sync"), name("results"), a_cause()
    waiting_id = event_id(cause, "result", "acme", 0)
    await create_topics(kafka, syncs)
    listener = await asyncpg.connect(fresh_database)
    heard = asyncio.Event()
    await listener.add_listener("crossroads_published", lambda *_: heard.set())
    await put(
        fresh_database,
        [sync(syncs, "order", 1, cause), final(missing, "order", cause, told_before=False)],
    )
    async with relay(fresh_database, kafka):
        await parked(fresh_database, 2)
        assert ids(await read(kafka, syncs)) == ["order-1"]
        # The gateway hears of the answer although its record cannot go out.
        await asyncio.wait_for(heard.wait(), 20)
        await create_topics(kafka, missing)
        await emptied(fresh_database)
    assert ids(await read(kafka, missing)) == [waiting_id, f"final-{cause.hex()}"]
    await listener.close()


async def test_a_record_refused_by_itself_parks_its_order_and_not_its_topic(
    fresh_database: str, kafka: str
) -> None:
    topic, results, cause = name("sync"), name("results"), a_cause()
    await create_topics(kafka, topic, results)
    large = sync(topic, "large", 1, cause)
    large.value = b"x" * (MAX_RECORD_BYTES + 1)
    await put(
        fresh_database,
        [large, final(results, "large", cause), sync(topic, "large", 2), sync(topic, "small", 1)],
    )
    async with relay(fresh_database, kafka):
        await parked(fresh_database, 3)
        await put(fresh_database, [sync(topic, "small", 2), sync(topic, "large", 3)])
        await parked(fresh_database, 4)
    assert ids(await read(kafka, topic)) == ["small-1", "small-2"]
    reasons = await value_of(fresh_database, "SELECT count(refused) FROM outbox_parked")
    assert reasons == 1


async def test_what_is_parked_outlives_the_relay_and_goes_on_in_order_with_the_next(
    fresh_database: str, kafka: str
) -> None:
    missing = name("sync")
    await put(fresh_database, [sync(missing, "order", n) for n in range(1, 4)])
    async with relay(fresh_database, kafka):
        await parked(fresh_database, 3, alone=False)
    await put(fresh_database, [sync(missing, "order", 4)])
    await create_topics(kafka, missing)
    async with relay(fresh_database, kafka):
        await emptied(fresh_database)
    assert ids(await read(kafka, missing)) == [f"order-{n}" for n in range(1, 5)]


async def test_many_parked_orders_resume_in_order_while_new_rows_arrive(
    fresh_database: str, kafka: str
) -> None:
    missing = name("sync")
    async with relay(fresh_database, kafka):
        for n in range(1, 9):
            await put(fresh_database, [sync(missing, f"o{number}", n) for number in range(300)])
        await parked(fresh_database, 2400, alone=False)
        await create_topics(kafka, missing, partitions=3)
        for n in range(9, 30):
            await put(fresh_database, [sync(missing, f"o{number}", n) for number in range(300)])
        await emptied(fresh_database)
    seen: dict[bytes | None, list[int]] = {}
    for record in await read(kafka, missing, partitions=3):
        seen.setdefault(record.key, []).append(int(dict(record.headers)["ce_sequence"]))
    assert len(seen) == 300
    assert all(numbers == list(range(1, 30)) for numbers in seen.values())


async def test_a_topic_that_refuses_while_it_is_there_is_asked_again_and_resumes_in_order(
    fresh_database: str, kafka: str
) -> None:
    shut, there = name("sync"), name("sync")
    await create_topics(kafka, shut, there)

    class Forbidden(AtLeastOnce):
        async def publish(self, rows: Sequence[Row]) -> Outcome:
            if not forbidden:
                return await super().publish(rows)
            outcome = await super().publish([row for row in rows if row.topic != shut])
            if any(row.topic == shut for row in rows):
                outcome.closed[shut] = "TopicAuthorizationFailedError"
                refusals.append(len(rows))
                if len(refusals) == 2:
                    forbidden.clear()
            return outcome

    forbidden, refusals = {shut}, list[int]()
    await put(fresh_database, [sync(shut, "order", n) for n in range(1, 4)])
    async with running(Relay(fresh_database, Forbidden({"bootstrap_servers": kafka}))):
        await put(fresh_database, [sync(there, "other", 1)])
        await emptied(fresh_database)
    assert len(refusals) == 2
    assert ids(await read(kafka, shut)) == ["order-1", "order-2", "order-3"]
    assert ids(await read(kafka, there)) == ["other-1"]


async def test_a_result_that_may_be_on_its_topic_already_is_not_said_to_wait(
    fresh_database: str, kafka: str
) -> None:
    """The contract: a waiting result comes before the final one, never after it."""
    results, there, cause = name("results"), name("sync"), a_cause()
    await create_topics(kafka, results, there)

    class Unheard(AtLeastOnce):
        async def publish(self, rows: Sequence[Row]) -> Outcome:
            outcome = await super().publish(rows)
            mine = {row.id for row in rows if row.topic == results}
            if mine and not unheard:
                # Stored, and the answer did not come in time.
                unheard.append(results)
                outcome.acknowledged -= mine
                outcome.closed[results] = "RequestTimedOutError"
                outcome.doubtful |= mine
            return outcome

    unheard = list[str]()
    await put(
        fresh_database,
        [
            sync(there, "order-a", 1, cause),
            final(results, "order-a", cause, told_before=False),
        ],
    )
    async with running(Relay(fresh_database, Unheard({"bootstrap_servers": kafka}))):
        await parked(fresh_database, 1, alone=False)
        await emptied(fresh_database)
    assert unheard == [results]
    assert set(ids(await read(kafka, results))) == {f"final-{cause.hex()}"}


async def test_dead_letters_go_out_though_their_neighbours_are_parked(
    fresh_database: str, kafka: str
) -> None:
    missing, dead, cause = name("sync"), name("dead"), a_cause()
    await create_topics(kafka, dead)
    letter = sync(dead, "key", 1, cause)
    letter.kind, letter.stream = RowKind.DEAD_LETTER, None
    letter.value, letter.headers = None, [*letter.headers, ("null", None)]
    await put(fresh_database, [sync(missing, "key", 1, cause), letter])
    async with relay(fresh_database, kafka):
        await parked(fresh_database, 1)
    (found,) = await read(kafka, dead)
    assert found.headers[-1] == ("null", None)
    assert found.value is None
