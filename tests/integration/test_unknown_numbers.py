"""Commands for a number that nobody knows: the waiter's side of race a, and the deadline (K42)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from services.commands import turns
from services.commands.pipeline import now
from services.domain.accounting import problems
from services.domain.command import Command
from services.domain.effects import Answer, Effects, UnknownNumber
from services.domain.operations import table
from services.domain.world import World
from services.kit.database import transaction
from services.records import accounting, lanes, locks, numbers, stored
from tests.integration.hub import (
    BY_HAUL,
    LATE_PRODUCT,
    WAIT_SECONDS,
    Hub,
    all_well,
    bol,
    held_open,
    late_drops,
    mapping,
    results,
    started,
    syncs,
    trading,
    waits_for_a_lock,
)


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with trading(fresh_database) as opened:
        # Looked at to the last: the clock runs by `kept_up` alone.
        await opened.pool.execute("UPDATE intake_clock SET looked_at = now() + interval '1 hour'")
        yield opened


def told(out: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str | None]]:
    return [(each["command_id"], each["outcome"], each["code"]) for each in results(out)]


@pytest.mark.parametrize("gap", [False, True])
async def test_race_a_a_status_waits_out_the_creation_of_its_order(world: Hub, gap: bool) -> None:
    """The order is written and not committed: the status must see it, not sleep on its number."""
    changes = {"drops": late_drops()} if gap else {}
    async with held_open(world, world.create("R1", "create", **changes)) as commit:
        waiting = started(world.process(world.status("R1", "1")))
        await waits_for_a_lock(world, waiting)
        commit()
        await waiting
    asleep = "SELECT count(*) FROM lane_commands WHERE order_id IS NULL"
    assert await world.pool.fetchval(asleep) == 0
    outcome = ("waiting", "lane.behind") if gap else ("done", None)
    assert ("1", *outcome) in told(await world.outgoing())
    await all_well(world)


async def test_race_a_a_creation_waits_out_the_status_that_is_about_to_wait(world: Hub) -> None:
    """The wait is written and not committed: the creation must find it and take it over."""
    async with held_open(world, world.status("R1", "1")) as commit:
        creating = started(world.process(world.create("R1", "create")))
        await waits_for_a_lock(world, creating)
        commit()
        await creating
    assert await world.pool.fetchval("SELECT waiting FROM orders") == 1
    assert told(await world.drain()) == [("1", "done", None)]
    await all_well(world)


async def test_race_a_two_batches_that_wait_and_create_crosswise_both_go_through(
    world: Hub,
) -> None:
    """Each creates what the other waits for, in one transaction each, again and again."""
    for round_ in range(10):
        a, b = f"A{round_}", f"B{round_}"
        await asyncio.gather(
            world.process(world.create(a), world.status(b, f"s-{b}")),
            world.process(world.create(b), world.status(a, f"s-{a}")),
        )
    await world.drain()
    assert await world.pool.fetchval("SELECT count(*) FROM lane_commands") == 0
    firsts = [each["headers"]["ce_sequence"] for each in syncs(await world.outgoing())]
    assert firsts == ["1"] * 40
    await all_well(world)


async def kept_up(world: Hub, seconds: float) -> None:
    """order-intake kept up with its input for so long."""
    await world.pool.execute("UPDATE intake_clock SET counted = counted + $1", seconds)


async def test_a_number_nobody_gave_ends_as_not_found_after_its_time(world: Hub) -> None:
    """K42: each by its own time; the text is fixed, and nothing else is in the body."""
    await world.process(world.status("N1", "first"))
    await kept_up(world, WAIT_SECONDS / 2)
    await world.process(world.status("N1", "second"))
    await kept_up(world, WAIT_SECONDS / 2 - 1)
    assert await world.lanes.end_overdue() == 0
    await kept_up(world, 1)
    before = await world.pool.fetchval("SELECT max(id) FROM outbox")
    assert await world.lanes.end_overdue() == 1
    [ended] = results(await world.outgoing(before))
    assert (ended["command_id"], ended["outcome"], ended["http_status"], ended["code"]) == (
        "first", "refused", 404, "request.order_not_found",
    )  # fmt: skip
    assert ended["body"] == {"detail": "Order not found for number: N1"}
    assert told(await world.process(world.create("N1", "create"))) == [("create", "done", None)]
    assert told(await world.drain()) == [("second", "done", None)]
    await all_well(world)


async def test_a_creation_that_has_taken_a_command_over_is_not_ended_by_its_deadline(
    world: Hub,
) -> None:
    """The order is written and not committed: its command is no longer anybody's to end."""
    await world.process(world.status("N1", "1"))
    await kept_up(world, WAIT_SECONDS)
    async with held_open(world, world.create("N1", "create")) as commit:
        assert await world.lanes.end_overdue() == 0
        commit()
    await world.drain()
    assert ("1", "done", None) in told(await world.outgoing())
    await all_well(world)


async def test_the_deadline_holds_a_creation_up_until_the_command_is_ended(
    world: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Race a from the side of whoever ends the wait: the end is written and not committed."""
    await world.process(world.status("N1", "1"))
    await kept_up(world, WAIT_SECONDS)
    ended, release = asyncio.Event(), asyncio.Event()
    leave = lanes.leave

    async def slow(connection: Any, lane_ids: Any) -> None:
        await leave(connection, lane_ids)
        ended.set()
        await release.wait()

    monkeypatch.setattr(lanes, "leave", slow)
    ending = started(world.lanes.end_overdue())
    await ended.wait()
    creating = started(world.process(world.create("N1", "create")))
    await waits_for_a_lock(world, creating)
    release.set()
    await asyncio.gather(ending, creating)
    assert ("1", "refused", "request.order_not_found") in told(await world.outgoing())
    assert await world.pool.fetchval("SELECT waiting FROM orders") == 0
    await all_well(world)


async def test_an_overdue_command_whose_order_is_there_goes_on_with_it(world: Hub) -> None:
    """Overlooked by hand: the sweeper takes it on and says so, and so does the deadline."""
    await world.process(world.create("N1", "create"), world.create("N2", drops=late_drops()))
    for number, id_ in (("N1", "done"), ("N2", "behind"), ("N1", "overdue")):
        await world.process(world.status("N9", id_))
        row = "UPDATE lane_commands SET wait_number = $1, record = $2 WHERE command_id = $3"
        kept = await world.pool.fetchval(
            "SELECT record FROM lane_commands WHERE command_id = $1", id_
        )
        named = stored.load(kept)
        value = (named.value or b"").replace(b"N9", number.encode())
        await world.pool.execute(row, number, stored.dump(replace(named, value=value)), id_)
        if id_ == "overdue":
            await kept_up(world, WAIT_SECONDS)
            assert await world.lanes.end_overdue() == 1
        else:
            assert await world.lanes.sweep() == 1
    out = told(await world.outgoing())
    assert ("done", "done", None) in out
    assert ("overdue", "done", None) in out
    [left] = await world.pool.fetch("SELECT * FROM lane_commands WHERE NOT goes_first")
    assert (left["command_id"], left["reason"]) == ("behind", "lane.behind")
    assert left["order_id"] is not None
    async with transaction(world.pool) as connection:
        found = problems(await accounting.count(connection))
    assert found == []


async def test_a_wait_that_fails_unforeseen_is_given_up_alone(
    world: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.process(world.status("N1", "one"), world.status("N2", "bad"))
    line = table.TABLE["order.update-status"]

    def decide(command: Command, known: World, moment: Any) -> Effects:
        if command.id == "bad":
            raise RuntimeError("nobody foresaw this")
        return line.decide(command, known, moment)

    monkeypatch.setitem(table.TABLE, "order.update-status", line._replace(decide=decide))
    await kept_up(world, WAIT_SECONDS)
    await world.lanes.end_overdue()
    finals = [each for each in told(await world.outgoing()) if each[1] not in ("waiting", "done")]
    assert sorted(finals) == [
        ("bad", "failed", "system.error"),
        ("one", "refused", "request.order_not_found"),
    ]
    await all_well(world)


async def test_whoever_ends_waits_skips_what_another_process_works_on(world: Hub) -> None:
    await world.process(world.status("N1", "1"))
    await kept_up(world, WAIT_SECONDS)
    async with transaction(world.pool) as connection:
        assert len(await numbers.claim_overdue(connection, WAIT_SECONDS, 10)) == 1
        assert await world.lanes.end_overdue() == 0
    other = turns.Turns(world.pool, world.pipeline, service="status-update", clock=now)
    assert sum(await asyncio.gather(other.overdue(WAIT_SECONDS), world.lanes.end_overdue())) >= 1
    assert told(await world.outgoing())[-1] == ("1", "refused", "request.order_not_found")
    assert len([each for each in told(await world.outgoing()) if each[0] == "1"]) == 2


async def test_a_waiter_does_not_hold_up_a_batch_that_creates_other_numbers(world: Hub) -> None:
    """The numbers are hashed: only what falls on the same one waits."""
    haul = await world.pool.fetchval("SELECT id FROM tenants WHERE slug = 'haul'")
    acme = await world.pool.fetchval("SELECT id FROM tenants WHERE slug = 'acme'")
    held = numbers.locks_of([UnknownNumber(haul, acme, "X")])
    free = next(
        f"F{n}"
        for n in range(1000)
        if not held & numbers.locks_of([UnknownNumber(haul, acme, f"F{n}")])
    )
    async with transaction(world.pool) as connection:
        await locks.take_exclusive(connection, held)
        async with asyncio.timeout(5):
            assert told(await world.process(world.create(free, "c"))) == [("c", "done", None)]


async def test_a_number_that_only_the_decision_gives_takes_over_what_waits_for_it(
    world: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K42: as a receipt does. The decision is taken again under the number's locks."""
    line = table.TABLE["order.save-bol"]

    def decide(command: Command, known: World, moment: Any) -> Effects:
        [found] = known.orders_called(command.caller.id, "N1")
        numbered = found.copied()
        numbered.destination_number = "H9"
        return Effects(Answer("done", 200, None, {}), order=numbered)

    monkeypatch.setitem(table.TABLE, "order.save-bol", line._replace(decide=decide))
    await world.process(world.create("N1", "create"), world.status("H9", "early"))
    assert ("early", "waiting", "lane.order_unknown") in told(await world.outgoing())
    naming = world.record("order.save-bol", bol("N1"), command_id="naming", **BY_HAUL)
    async with held_open(world, world.status("H9", "late")) as commit:
        numbering = started(world.process(naming))
        await waits_for_a_lock(world, numbering)
        commit()
        await numbering
    assert await world.pool.fetchval("SELECT waiting FROM orders") == 2
    assert told(await world.drain()) == [("early", "done", None), ("late", "done", None)]
    await all_well(world)


async def test_a_number_given_at_a_turn_lets_what_waited_for_it_have_its_turn_too(
    world: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = table.TABLE["order.save-bol"]

    def decide(command: Command, known: World, moment: Any) -> Effects:
        [found] = known.orders_called(command.caller.id, "N1")
        if found.delivery != "sent":
            return line.decide(command, known, moment)
        numbered = found.copied()
        numbered.destination_number = "H9"
        return Effects(Answer("done", 200, None, {}), order=numbered)

    monkeypatch.setitem(table.TABLE, "order.save-bol", line._replace(decide=decide))
    await world.process(
        world.create("N1", "create", drops=late_drops()),
        world.record("order.save-bol", bol("N1"), command_id="naming", **BY_HAUL),
        world.status("H9", "early"),
    )
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    finals = [each for each in told(await world.drain()) if each[1] == "done"]
    assert finals == [("create", "done", None), ("naming", "done", None), ("early", "done", None)]
    await all_well(world)


async def test_race_a_an_order_that_came_between_the_look_and_the_lock_is_seen(
    world: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status saw no order, and nobody holds its number any more: it looks again."""
    take, came = locks.try_exclusive, False

    async def late(connection: Any, wanted: Any) -> None:
        nonlocal came
        if not came and any(race is locks.Race.ORDER_UNKNOWN for race, _ in wanted):
            came = True
            await world.process(world.create("R1", "create"))
        await take(connection, wanted)

    monkeypatch.setattr(locks, "try_exclusive", late)
    await world.process(world.status("R1", "1"))
    assert came
    assert ("1", "done", None) in told(await world.outgoing())
    assert await world.pool.fetchval("SELECT count(*) FROM lane_commands") == 0
    await all_well(world)
