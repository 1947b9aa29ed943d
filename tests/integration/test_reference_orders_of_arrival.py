"""Reference data through the pipeline on PostgreSQL: any order, any batches, one end (X05, X10)."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.domain import reference
from services.kit.database import transaction
from services.records import reference_lists
from tests.integration.hub import Hub, hub, results
from tests.unit.domain.desk import mapping, product, site, tenant
from tests.unit.domain.test_reference import ITEMS


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with hub(fresh_database) as opened:
        yield opened


async def everything(world: Hub) -> dict[str, list[dict[str, Any]]]:
    async with transaction(world.pool) as connection:
        whole = await reference_lists.export(connection)
    for item in whole["tenants"]:
        del item["id"]
    return whole


async def final_outcomes(world: Hub) -> list[str]:
    rows = await world.pool.fetch("SELECT outcome FROM commands ORDER BY accepted_at")
    return [row["outcome"] for row in rows]


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_and_any_batches_end_in_the_same_state(world: Hub, seed: int) -> None:
    chance = random.Random(seed)
    shuffled = chance.sample(ITEMS, len(ITEMS))
    records = [world.record(operation, body) for operation, body in shuffled]
    while records:
        size = chance.randint(1, len(ITEMS)) if seed else len(ITEMS)
        await world.process(*records[:size])
        del records[:size]
        if chance.random() < 0.5:
            await world.drain()
    await world.drain()
    assert await world.pool.fetchval("SELECT count(*) FROM reference_waiting") == 0
    assert await final_outcomes(world) == ["done"] * len(ITEMS)
    found = await everything(world)
    assert {name: len(items) for name, items in found.items()} == {
        "tenants": 2,
        "pairs": 1,
        "records": 4,
        "mappings": 2,
    }
    blend = next(item for item in found["records"] if item["goid"] == "product_BLEND7")
    assert [part["ratio"] for part in blend["components"]] == [0.93, 0.07]


async def test_a_child_before_its_parent_in_one_batch_is_done_after_one_waiting_answer(
    world: Hub,
) -> None:
    told = results(
        await world.process(
            world.record(reference.RECORD, site(), command_id="site"),
            world.record(reference.RECORD, product(), command_id="product"),
        )
    )
    told += results(await world.drain())
    assert [(one["command_id"], one["outcome"]) for one in told] == [
        ("site", "waiting"),
        ("product", "done"),
        ("site", "done"),
    ]
    assert told[0]["code"] == "reference.parent_missing"
    assert told[2]["body"] == {"id": "site_STATION", "outcome": "done", "detail": "created"}


async def test_a_newer_upsert_ends_the_one_that_waits_in_one_batch_and_across_batches(
    world: Hub,
) -> None:
    told = results(
        await world.process(
            world.record(reference.RECORD, site(name="one"), command_id="one"),
            world.record(reference.RECORD, site(name="two"), command_id="two"),
        )
    )
    told += results(
        await world.process(world.record(reference.RECORD, site(name="three"), command_id="three"))
    )
    told += results(await world.process(world.record(reference.RECORD, product())))
    told += results(await world.drain())
    ends = {one["command_id"]: one for one in told if one["outcome"] == "done"}
    assert ends["one"]["body"]["detail"] == "superseded"
    assert ends["two"]["body"]["detail"] == "superseded"
    assert ends["three"]["body"]["detail"] == "created"
    assert await world.pool.fetchval("SELECT name FROM master_records WHERE goid LIKE 'site%'") == (
        "three"
    )
    assert await world.pool.fetchval("SELECT count(*) FROM reference_waiting") == 0


async def test_a_tenant_writes_its_mappings_on_its_own_topic_and_nothing_else(world: Hub) -> None:
    await world.reference("tenant", tenant("acme"), tenant("bolt"))
    await world.reference("record", product(), site())
    topic = "crossroads.reference.acme"

    async def told(operation: str, body: dict[str, Any]) -> dict[str, Any]:
        record = world.record(operation, body, origin=None, topic=topic)
        outgoing = await world.process(record)
        assert {one["topic"] for one in outgoing} == {"crossroads.results.acme"}
        return results(outgoing)[0]

    assert (await told(reference.MAPPING, mapping("acme")))["outcome"] == "done"
    refused = [
        await told(reference.MAPPING, mapping("bolt")),
        await told(reference.TENANT, tenant("acme", active=False)),
        await told(reference.PAIR, {"origin": "acme", "destination": "bolt"}),
        await told(reference.RECORD, product(name="mine")),
    ]
    for one in refused:
        assert (one["outcome"], one["http_status"]) == ("refused", 403)
        assert one["code"] == "request.not_allowed"
        assert set(one["body"]) == {"id", "outcome", "detail"}


async def test_a_name_or_an_id_given_away_in_another_batch_is_refused(world: Hub) -> None:
    await world.reference("tenant", tenant("acme", id="a" * 24))
    taken = [
        tenant("bolt", name="Acme Fuels"),
        tenant("bolt", name="acme"),
        tenant("bolt", id="a" * 24),
    ]
    outgoing = results(await world.reference("tenant", *taken))
    assert [one["outcome"] for one in outgoing] == ["refused"] * 3
    members = [one["body"]["detail"][0]["loc"][1] for one in outgoing]
    assert members == ["name", "name", "id"]
