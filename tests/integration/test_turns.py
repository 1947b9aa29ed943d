"""Turns that fail in a way nobody foresaw: one command is given up, its neighbours go on (§3)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from services.commands import turns
from services.commands.pipeline import now
from services.domain import reference
from services.domain.accounting import problems
from services.domain.command import Command
from services.domain.effects import Effects
from services.domain.operations import table
from services.domain.world import World
from services.kit.cloudevents import Record
from services.kit.database import transaction
from services.kit.errors import ServiceMustStop
from services.kit.faults import FaultBound
from services.records import accounting, lanes, stored
from services.records.lanes import Waiting
from tests.integration.hub import Hub, hub, mapping, order, results, two_companies

REGULAR_AGAIN = mapping("acme", "dispatch", "product", "late", "product_REGULAR", prefix="o")
PARENT = {"goid": "product_LATE01", "entity": "product", "name": "Late"}


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul")
        yield opened


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Makes the decision of one command of an operation raise, however often it has its turn."""

    def broken(operation: str, command_id: str) -> None:
        line = table.TABLE[operation]

        def decide(command: Command, known: World, moment: datetime) -> Effects:
            if command.id == command_id:
                raise RuntimeError("nobody foresaw this")
            return line.decide(command, known, moment)

        monkeypatch.setitem(table.TABLE, operation, line._replace(decide=decide))

    return broken


async def waiting_mappings(world: Hub, *words: str) -> None:
    """Upserts of mappings whose record is not there; each word is its command's id, too."""
    for word in words:
        item = mapping("acme", "dispatch", "product", word, PARENT["goid"], prefix="o")
        record = world.record(reference.MAPPING, item, origin="acme", command_id=word)
        [told] = results(await world.process(record))
        assert told["outcome"] == "waiting"


async def lane_of(world: Hub, *ids: str) -> None:
    """An order that waits on a gap, as the first of these commands, with the others behind it."""
    records = [late_order(world, command_id) for command_id in ids]
    await world.process(records[0])
    order_id = await world.pool.fetchval("SELECT id FROM orders")
    behind = [
        Waiting(
            order_id, *await accepted(world, record, id_), "order.create", "lane.behind", record
        )
        for id_, record in zip(ids[1:], records[1:], strict=True)
    ]
    async with transaction(world.pool) as connection:
        await lanes.park(connection, behind)
        await connection.execute("UPDATE orders SET waiting = $1", len(ids))


async def accepted(world: Hub, record: Record, command_id: str) -> tuple[str, str]:
    """Note a command as one that was told to wait; its tenant's id and its own."""
    tenant = await world.pool.fetchval("SELECT id FROM tenants WHERE slug = 'acme'")
    await world.pool.execute(
        "INSERT INTO commands (tenant_id, command_id, fingerprint, operation, outcome,"
        " http_status, code, body, accepted_at)"
        " VALUES ($1, $2, $3, 'order.create', 'waiting', 200, 'lane.behind', '{}', now())",
        tenant,
        command_id,
        record.value,
    )
    return tenant, command_id


def late_order(world: Hub, command_id: str) -> Record:
    wanted = order("T1")
    wanted["drops"][0]["product"] = {"source_id": "o-late"}
    return world.record(
        "order.create", wanted, origin="acme", partner="haul", command_id=command_id
    )


async def outcomes(world: Hub) -> dict[str, tuple[str, str | None]]:
    """What the commands of acme were told, by their ids: what was emitted and what is remembered.

    The two must agree.
    """
    rows = await world.pool.fetch(
        "SELECT command_id, outcome, code FROM commands"
        " WHERE tenant_id = (SELECT id FROM tenants WHERE slug = 'acme')"
    )
    kept = {row["command_id"]: (row["outcome"], row["code"]) for row in rows}
    told: dict[str, list[Any]] = {id_: [] for id_ in kept}
    for each in results(await world.outgoing()):
        if each["command_id"] in told and each["outcome"] != "waiting":
            told[each["command_id"]].append((each["outcome"], each["code"]))
    assert told == {id_: [answer] for id_, answer in kept.items()}
    return kept


async def books_balance(world: Hub) -> None:
    async with transaction(world.pool) as connection:
        assert problems(await accounting.count(connection)) == []
    assert await world.lanes.sweep() == 0


async def test_an_upsert_that_fails_at_its_turn_is_failed_and_its_neighbours_go_on(
    world: Hub, breaks: Callable[[str, str], None]
) -> None:
    """Guarantee 5: its row goes, so that no worker meets it again."""
    await waiting_mappings(world, "one", "bad", "two")
    breaks(reference.MAPPING, "bad")
    await world.reference("record", PARENT)
    await world.drain()
    assert await outcomes(world) == {
        "one": ("done", None),
        "bad": ("failed", "system.error"),
        "two": ("done", None),
    }
    assert await world.pool.fetchval("SELECT count(*) FROM reference_waiting") == 0
    mapped = await world.pool.fetch("SELECT source_id FROM mappings WHERE goid = 'product_LATE01'")
    assert sorted(row["source_id"] for row in mapped) == ["o-one", "o-two"]
    await books_balance(world)


def broken_release(monkeypatch: pytest.MonkeyPatch, *, but: str = "") -> None:
    """Every decision on a mapping raises, but of those whose ids begin so."""
    line = table.TABLE[reference.MAPPING]

    def decide(command: Command, known: World, moment: datetime) -> Effects:
        if but and command.id.startswith(but):
            return line.decide(command, known, moment)
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setitem(table.TABLE, reference.MAPPING, line._replace(decide=decide))


def bounded(world: Hub, bound: FaultBound) -> turns.Turns:
    return turns.Turns(world.pool, world.pipeline, service="reference-data", clock=now, bound=bound)


async def test_a_release_that_fails_every_woken_command_stops_and_does_not_fail_them_all(
    world: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protocol 2: the bound is counted in the database; a process that comes after goes on so."""
    await waiting_mappings(world, *"abcde")
    await world.reference("record", PARENT)
    with monkeypatch.context() as broken:
        broken_release(broken)
        for _ in range(2):
            with pytest.raises(ServiceMustStop, match="of 3 records failed"):
                await bounded(world, FaultBound(count=2, share=0.5)).upserts()
            ended = [each for each in (await outcomes_of(world)).values() if each == "failed"]
            assert len(ended) == 2
    await world.drain()
    assert sorted((await outcomes_of(world)).values()) == ["done"] * 3 + ["failed"] * 2
    await books_balance(world)


async def test_a_few_failures_among_many_turns_stop_nobody(
    world: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await waiting_mappings(world, "bad1", *(f"good{n}" for n in range(9)), "bad2", "bad3")
    await world.reference("record", PARENT)
    broken_release(monkeypatch, but="good")
    assert await bounded(world, FaultBound(count=2, share=0.5)).upserts() == 12
    assert sorted((await outcomes_of(world)).values()) == ["done"] * 9 + ["failed"] * 3


async def outcomes_of(world: Hub) -> dict[str, str]:
    rows = await world.pool.fetch(
        "SELECT command_id, outcome FROM commands"
        " WHERE tenant_id = (SELECT id FROM tenants WHERE slug = 'acme')"
    )
    return {row["command_id"]: row["outcome"] for row in rows}


async def test_a_further_copy_of_an_upsert_that_failed_at_its_turn_hears_the_same(
    world: Hub, breaks: Callable[[str, str], None]
) -> None:
    await waiting_mappings(world, "bad")
    breaks(reference.MAPPING, "bad")
    await world.reference("record", PARENT)
    [failed] = [each for each in results(await world.drain()) if each["command_id"] == "bad"]
    item = mapping("acme", "dispatch", "product", "bad", PARENT["goid"], prefix="o")
    copy = world.record(reference.MAPPING, item, origin="acme", command_id="bad")
    [again] = results(await world.process(copy))
    assert again == {**failed, "outcome": "duplicate"}


async def test_an_upsert_that_does_not_read_any_more_is_failed_all_the_same(world: Hub) -> None:
    await waiting_mappings(world, "bad", "good")
    row = await world.pool.fetchrow("SELECT * FROM reference_waiting WHERE command_id = 'bad'")
    assert row is not None
    spoilt = stored.dump(replace(stored.load(row["record"]), value=b"{"))
    await world.pool.execute(
        "UPDATE reference_waiting SET record = $1 WHERE command_id = 'bad'", spoilt
    )
    await world.reference("record", PARENT)
    await world.drain()
    assert await outcomes(world) == {"bad": ("failed", "system.error"), "good": ("done", None)}
    await books_balance(world)


async def test_a_command_that_fails_behind_the_head_of_its_lane_fails_and_not_the_head(
    world: Hub, breaks: Callable[[str, str], None]
) -> None:
    await lane_of(world, "head", "bad", "last")
    breaks("order.create", "bad")
    await world.reference("mapping", REGULAR_AGAIN)
    await world.drain()
    assert await outcomes(world) == {
        "head": ("done", None),
        "bad": ("failed", "system.error"),
        "last": ("refused", "request.order_already_exists"),
    }
    assert await world.pool.fetchval("SELECT count(*) FROM lane_commands") == 0


async def test_a_head_that_another_process_gave_up_meanwhile_costs_nobody_else_anything(
    world: Hub, breaks: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both see the head fail; the slower one finds the next command where the head stood."""
    await lane_of(world, "bad", "innocent")
    breaks("order.create", "bad")
    async with transaction(world.pool) as connection:
        await connection.execute("UPDATE orders SET lane_runnable = true")
    other = turns.Turns(world.pool, world.pipeline, service="order-intake", clock=now)
    claim, claims = lanes.claim, 0

    async def slow(*words: Any) -> list[str]:
        nonlocal claims
        claims += 1
        if claims == 3:
            # All of them, the order by itself; here it would be given up.
            await other.orders()
        return await claim(*words)

    monkeypatch.setattr("services.records.lanes.claim", slow)
    slower = turns.Turns(world.pool, world.pipeline, service="order-intake", clock=now)
    await slower.orders()
    assert claims == 6
    rows = await world.pool.fetch("SELECT command_id FROM lane_commands")
    assert [row["command_id"] for row in rows] == ["innocent"]
