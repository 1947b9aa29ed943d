"""The three races of waiting, and two processes on one id or number: driven by hand, step by step.

Each test holds one side's transaction open, starts the other side, sees it wait, and lets go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.domain.operations import create, table
from services.kit.cloudevents import Record
from services.kit.database import Connection, transaction
from services.records import lanes, stored
from services.records.locks import Race, numbers_of, take_exclusive
from services.records.numbers import number_token
from tests.integration.hub import (
    Hub,
    held_open,
    mapping,
    order,
    results,
    started,
    syncs,
    trading,
    waits_for_a_lock,
)

REGULAR_AGAIN = mapping("acme", "dispatch", "product", "late", "product_REGULAR", prefix="o")


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with trading(fresh_database) as opened:
        yield opened


def late_order(world: Hub, number: str = "R1") -> Record:
    wanted = order(number)
    wanted["drops"][0]["product"] = {"source_id": "o-late"}
    return world.record("order.create", wanted, origin="acme", partner="haul")


async def test_race_b_an_order_waits_out_the_upsert_that_brings_its_mapping(world: Hub) -> None:
    """The mapping is written and not committed: the order must see it, not sleep on its gap."""
    async with held_open(world, world.record("reference.upsert-mapping", REGULAR_AGAIN)) as commit:
        creating = started(world.process(late_order(world)))
        await waits_for_a_lock(world, creating)
        commit()
        await creating
    assert await world.pool.fetchval("SELECT count(*) FROM gaps") == 0
    assert len(syncs(await world.outgoing())) == 1


async def test_race_b_an_upsert_waits_out_the_order_that_is_about_to_wait(world: Hub) -> None:
    """The gap is written and not committed: the upsert must find it and wake the order."""
    async with held_open(world, late_order(world)) as commit:
        upserting = started(world.reference("mapping", REGULAR_AGAIN))
        await waits_for_a_lock(world, upserting)
        commit()
        await upserting
    assert len(syncs(await world.drain())) == 1
    assert await world.lanes.sweep() == 0


async def test_race_c_a_child_waits_out_its_parent(world: Hub) -> None:
    parent = {"goid": "product_LATE01", "entity": "product", "name": "Late"}
    child = mapping("acme", "dispatch", "product", "late", "product_LATE01", prefix="o")
    async with held_open(world, world.record("reference.upsert-record", parent)) as commit:
        upserting = started(world.reference("mapping", child))
        await waits_for_a_lock(world, upserting)
        commit()
        await upserting
    assert await world.pool.fetchval("SELECT count(*) FROM reference_waiting") == 0
    assert (
        await world.pool.fetchval("SELECT count(*) FROM mappings WHERE source_id = 'o-late'") == 1
    )


async def test_race_c_a_parent_waits_out_the_child_that_is_about_to_wait(world: Hub) -> None:
    parent = {"goid": "product_LATE01", "entity": "product", "name": "Late"}
    child = mapping("acme", "dispatch", "product", "late", "product_LATE01", prefix="o")
    async with held_open(world, world.record("reference.upsert-mapping", child)) as commit:
        upserting = started(world.reference("record", parent))
        await waits_for_a_lock(world, upserting)
        commit()
        await upserting
    await world.drain()
    assert await world.pool.fetchval("SELECT count(*) FROM reference_waiting") == 0
    assert (
        await world.pool.fetchval("SELECT count(*) FROM mappings WHERE source_id = 'o-late'") == 1
    )


async def test_race_a_a_creation_waits_out_whoever_is_about_to_wait_for_its_number(
    world: Hub,
) -> None:
    """A command for a number nobody knows is written and not committed: the creation takes it."""
    tenant = await world.pool.fetchval("SELECT id FROM tenants WHERE slug = 'haul'")
    waiting, release = asyncio.Event(), asyncio.Event()

    async def wait_for_number() -> None:
        async with transaction(world.pool) as connection:
            token = number_token(tenant, "R9")
            await take_exclusive(connection, numbers_of(Race.ORDER_UNKNOWN, [token]))
            await park_for_number(connection, tenant, "R9", late_order(world, "other"))
            waiting.set()
            await release.wait()

    waiter = asyncio.create_task(wait_for_number())
    await waiting.wait()
    creating = started(
        world.process(world.record("order.create", order("R9"), origin="acme", partner="haul"))
    )
    await waits_for_a_lock(world, creating)
    release.set()
    await asyncio.gather(waiter, creating)
    [row] = await world.pool.fetch("SELECT order_id, wait_number FROM lane_commands")
    assert row["order_id"] == await world.pool.fetchval("SELECT id FROM orders")
    assert row["wait_number"] is None


async def park_for_number(connection: Connection, tenant: str, number: str, record: Record) -> None:
    await connection.execute(
        "INSERT INTO lane_commands (wait_tenant, wait_partner, wait_number, tenant_id, command_id,"
        " operation, reason, record)"
        " SELECT $1, id, $2, $1, 'w', 'order.update-status', 'x', $3 FROM tenants"
        " WHERE slug = 'acme'",
        tenant,
        number,
        stored.dump(record),
    )


async def test_one_id_in_two_processes_at_once_is_one_command(world: Hub) -> None:
    first = world.record("order.create", order("S1"), origin="acme", partner="haul", command_id="s")
    second = world.record(
        "order.create", order("S1"), origin="acme", partner="haul", command_id="s"
    )
    async with held_open(world, first) as commit:
        creating = started(world.process(second))
        await waits_for_a_lock(world, creating)
        commit()
        await creating
    told = results(await world.outgoing())
    assert sorted(each["outcome"] for each in told if each["command_id"] == "s") == [
        "done",
        "duplicate",
    ]
    assert await world.pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_one_number_in_two_processes_at_once_is_one_order(world: Hub) -> None:
    """K36."""
    first = world.record("order.create", order("S2"), origin="acme", partner="haul")
    second = world.record("order.create", order("S2"), origin="acme", partner="haul")
    async with held_open(world, first) as commit:
        creating = started(world.process(second))
        await waits_for_a_lock(world, creating)
        commit()
        await creating
    told = [each for each in results(await world.outgoing()) if each["operation"] == "order.create"]
    assert [each["code"] for each in told] == [None, "request.order_already_exists"]


async def test_two_gaps_closed_at_once_leave_nobody_asleep(world: Hub) -> None:
    """Each closing wakes every order that waits on it, whatever else that order misses."""
    wanted = order("T1", supply_owner={"source_id": "o-owner"})
    wanted["drops"][0]["product"] = {"source_id": "o-late"}
    await world.process(world.record("order.create", wanted, origin="acme", partner="haul"))
    owner = mapping("acme", "dispatch", "company", "owner", "company_SUPPLY", prefix="o")
    async with held_open(world, world.record("reference.upsert-mapping", REGULAR_AGAIN)) as commit:
        other = started(world.reference("mapping", owner))
        await asyncio.sleep(0)
        commit()
        await other
    assert len(syncs(await world.drain())) == 1


async def test_every_order_behind_a_gap_is_woken_page_by_page(
    world: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X05: many waiters, several pages and turns, each order once."""
    monkeypatch.setattr("services.records.gaps.PAGE", 10)
    monkeypatch.setattr("services.commands.turns.ORDERS_A_TURN", 7)
    await world.process(*(late_order(world, f"P{number}") for number in range(35)))
    assert await world.pool.fetchval("SELECT count(*) FROM gap_waiters") == 35
    await world.reference("mapping", REGULAR_AGAIN)
    out = await world.drain()
    assert len(syncs(out)) == 35
    assert [each["outcome"] for each in results(out)] == ["done"] * 35
    assert await world.pool.fetchval("SELECT count(*) FROM gaps") == 0


async def test_a_command_that_fails_at_its_turn_leaves_its_lane_and_its_neighbours_go_on(
    world: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.process(late_order(world, "F1"), late_order(world, "F2"))

    def broken(command, known, now):
        if command.body["origin_order_number"] == "F1":
            raise RuntimeError("nobody foresaw this")
        return create.decide(command, known, now)

    line = table.TABLE["order.create"]._replace(decide=broken)
    monkeypatch.setitem(table.TABLE, "order.create", line)
    await world.reference("mapping", REGULAR_AGAIN)
    out = await world.drain()
    assert {(each["outcome"], each["code"]) for each in results(out)} == {
        ("done", None),
        ("failed", "system.error"),
    }
    assert len(syncs(out)) == 1
    assert await world.pool.fetchval("SELECT count(*) FROM lane_commands") == 0
    assert await world.lanes.sweep() == 0


async def test_the_sweeper_finds_what_nobody_flagged_and_counts_it(world: Hub) -> None:
    await world.process(late_order(world, "W1"))
    await world.pool.execute("DELETE FROM gap_waiters")
    assert await world.lanes.sweep() == 1
    assert await world.pool.fetchval("SELECT lane_runnable FROM orders") is True
    assert lanes.CHANNEL == "crossroads_lanes"


@pytest.mark.parametrize("side", ["acme", "haul"])
async def test_the_sweeper_closes_a_gap_whose_mapping_is_there(world: Hub, side: str) -> None:
    if side == "acme":
        await world.process(late_order(world, "W2"))
        row = ("acme", "dispatch", "o-late")
    else:
        await world.reference(
            "record", {"goid": "product_LATE01", "entity": "product", "name": "Late"}
        )
        item = mapping("acme", "dispatch", "product", "late", "product_LATE01", prefix="o")
        await world.reference("mapping", item)
        await world.process(late_order(world, "W2"))
        row = ("haul", "tms", "d-late")
    assert await world.lanes.sweep() == 0
    goid = "product_LATE01" if side == "haul" else "product_REGULAR"
    await world.pool.execute(
        "INSERT INTO mappings (id, tenant_id, system, entity, source_id, source_name, goid)"
        " SELECT 'm', id, $2, 'product', $3, 'x', $4 FROM tenants WHERE slug = $1",
        *row,
        goid,
    )
    assert await world.lanes.sweep() == 1
    assert len(syncs(await world.drain())) == 1
