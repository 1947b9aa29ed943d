"""Cancel, topic to outbox: at every stage, at once, each answer once (X08, K26, K33, K42)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, cast

import pytest

from services.domain.command import Command
from services.domain.effects import Effects
from services.domain.operations import table
from services.domain.world import World
from services.kit.database import transaction
from tests.integration.hub import (
    BY_HAUL,
    LATE_PRODUCT,
    Hub,
    held_open,
    hub,
    late_drops,
    mapping,
    results,
    started,
    syncs,
    two_companies,
    waits_for_a_lock,
)
from tests.integration.test_progress import in_order, in_order_of_numbers, sent, told

CANCELED = "crossroads.order.canceled.v1"


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul")
        yield opened


@pytest.fixture
async def manual(fresh_database: str) -> AsyncIterator[Hub]:
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul", acceptance="manual")
        yield opened


async def test_a_sent_order_is_canceled_at_the_other_side_whoever_cancels(world: Hub) -> None:
    await world.process(world.create("A1", "create"), world.create("A2"))
    out = await world.process(
        world.cancel("A1", "mine", reason_code="weather"), world.cancel("A2", "theirs", **BY_HAUL)
    )
    assert told(out) == [("mine", "done", None), ("theirs", "done", None)]
    assert sent(out) == [("haul", "mine", "2"), ("acme", "theirs", "1")]
    first, _ = syncs(out)
    assert first["headers"]["ce_type"] == CANCELED
    assert first["value"]["cancellation"]["reason_code"] == "weather"
    mine, theirs = results(out)
    assert (mine["body"]["status"], theirs["body"]["status"]) == ("canceled", "canceled")
    assert mine["body"]["order"]["drops"][0]["site"]["source_id"] == "o-main"
    assert theirs["body"]["order"]["drops"][0]["site"]["source_id"] == "d-main"
    out = await world.process(
        world.status("A1", "late"),
        world.cancel("A1", "again", reason_code="weather"),
        world.cancel("A1", "other", reason_code="price"),
        world.receipt("A1", "receipt", "received"),
        world.create("A1", "anew"),
    )
    assert told(out) == [
        ("late", "refused", "request.order_canceled"),
        ("again", "done", None),
        ("other", "refused", "request.order_canceled"),
        ("receipt", "refused", "request.order_canceled"),
        ("anew", "refused", "request.order_already_exists"),
    ]
    assert syncs(out) == []
    await in_order(world)


async def test_an_order_that_waits_on_a_gap_is_canceled_at_once_with_all_that_waits(
    world: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X08: the create in the same transaction, the lane behind it by turns; nothing is sent."""
    monkeypatch.setattr("services.commands.turns.COMMANDS_A_LANE", 2)
    await world.process(
        world.create("A1", "create", drops=late_drops()),
        world.create("A2", "other", drops=late_drops()),
        *(world.status("A1", str(number)) for number in range(5)),
    )
    out = await world.process(world.cancel("A1", "cancel", reason_code="weather"))
    assert told(out) == [("create", "refused", "order.canceled"), ("cancel", "done", None)]
    refused = results(out)[0]["body"]
    assert refused["log"]["detail"]["error"] == refused["code"] == "order.canceled"
    assert refused["detail"].endswith("Reason: weather")
    assert await world.pool.fetchval("SELECT count(*) FROM gap_waiters") == 1, "the other order's"
    assert await world.pool.fetchval("SELECT count(*) FROM gaps") == 1
    out = await world.drain()
    assert told(out) == [(str(number), "refused", "order.canceled") for number in range(5)]
    assert syncs(out) == []
    await in_order(world, waiting=1)
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    assert told(await world.drain()) == [("other", "done", None)]
    row = await world.pool.fetchrow("SELECT * FROM orders WHERE origin_number = 'A1'")
    assert row is not None
    assert (row["delivery"], row["failed_at_step"], row["message"]) == ("canceled", None, None)
    await in_order(world)


async def test_the_last_order_on_a_gap_takes_the_gap_along(world: Hub) -> None:
    await world.process(world.create("A1", "create", drops=late_drops()))
    out = await world.process(world.cancel("A1", "cancel", **BY_HAUL))
    assert told(out) == [("create", "refused", "order.canceled"), ("cancel", "done", None)]
    assert results(out)[1]["body"]["order"] is None, "it was never in its destination's words"
    assert await world.pool.fetchval("SELECT count(*) FROM gaps") == 0
    await in_order(world)


async def test_an_order_and_its_cancel_in_one_batch_leave_nothing_behind(world: Hub) -> None:
    out = await world.process(
        world.create("A1", "create", drops=late_drops()),
        world.status("A1", "status"),
        world.cancel("A1", "cancel"),
        world.create("A1", "create", drops=late_drops()),
    )
    assert told(out) == [
        ("create", "waiting", "mapping.gap"),
        ("status", "waiting", "lane.behind"),
        ("create", "refused", "order.canceled"),
        ("cancel", "done", None),
        ("create", "duplicate", "order.canceled"),
    ]
    assert told(await world.drain()) == [("status", "refused", "order.canceled")]
    assert await world.pool.fetchval("SELECT count(*) FROM gaps") == 0
    await in_order(world)


async def test_a_requested_order_is_canceled_at_its_destination(manual: Hub) -> None:
    await manual.process(manual.create("A1", "create"), manual.create("A2", "second"))
    await manual.process(manual.status("A1", "status"))
    out = await manual.process(
        manual.cancel("A1", "cancel"), manual.cancel("A2", "theirs", **BY_HAUL)
    )
    assert told(out) == [
        ("create", "refused", "order.canceled"),
        ("cancel", "done", None),
        ("second", "refused", "order.canceled"),
        ("theirs", "done", None),
    ]
    assert sent(out) == [("haul", "cancel", "2"), ("haul", "theirs", "2")]
    causes = "SELECT cause FROM outbox WHERE id = ANY($1::bigint[]) ORDER BY id"
    rows = await manual.pool.fetch(causes, [each["id"] for each in out[:3]])
    assert rows[0] != rows[1] == rows[2], "its refusal does not wait for the destination's topic"
    assert syncs(out)[1]["value"]["routing"]["origin_tenant_name"] == "ACME Fuels"
    assert told(await manual.drain()) == [("status", "refused", "order.canceled")]
    assert await manual.pool.fetchval("SELECT count(*) FROM requested_creates") == 0
    await in_order(manual)


async def test_a_complete_or_rejected_order_is_not_canceled(world: Hub) -> None:
    await world.process(world.create("A1"), world.create("A2"))
    out = await world.process(
        world.status("A1", "1", progress_status="complete", location=...),
        world.receipt("A2", "2", "rejected"),
        world.cancel("A1", "3"),
        world.cancel("A2", "4"),
    )
    assert told(out)[2:] == [
        ("3", "refused", "request.order_already_complete"),
        ("4", "refused", "request.order_rejected"),
    ]
    await in_order(world)


async def test_an_order_whose_create_failed_is_canceled_and_nobody_is_told(world: Hub) -> None:
    await world.process(world.create("A1", "create", drops=late_drops()))
    await world.pool.execute("UPDATE orders SET delivery = 'failed', waiting = 0")
    await world.pool.execute("DELETE FROM lane_commands")
    out = await world.process(world.cancel("A1", "cancel"))
    assert told(out) == [("cancel", "done", None)]
    assert syncs(out) == []
    assert await world.pool.fetchval("SELECT delivery FROM orders") == "canceled"


async def test_a_cancel_ends_a_lane_that_waits_for_a_mapping_of_its_own(world: Hub) -> None:
    """A sent order: a status waits on a gap, more wait behind it; the cancel goes before them."""
    await world.process(world.create("A1", "create"))
    await world.process(
        world.status("A1", "1", location={"source_id": "d-late"}), world.status("A1", "2")
    )
    out = await world.process(world.cancel("A1", "cancel"))
    assert sent(out) == [("haul", "cancel", "2")]
    out = await world.drain()
    assert told(out) == [("1", "refused", "order.canceled"), ("2", "refused", "order.canceled")]
    assert await world.pool.fetchval("SELECT count(*) FROM gaps") == 0
    await in_order(world)


@pytest.mark.parametrize("batch", [True, False])
async def test_a_cancel_that_waited_for_its_order_acts_when_that_waits_for_a_mapping(
    world: Hub, *, batch: bool
) -> None:
    """K42, protocol §3: taken over behind a create that sleeps, it does not sleep there."""
    cancel, create = world.cancel("A1", "cancel"), world.create("A1", "c", drops=late_drops())
    status = world.status("A1", "status")
    if batch:
        out = await world.process(status, cancel, create)
    else:
        out = await world.process(status, cancel)
        await in_order_of_numbers(world, 2)
        out += await world.process(create)
    assert [each[1] for each in told(out)] == ["waiting"] * 3
    out = await world.drain()
    assert told(out) == [
        ("c", "refused", "order.canceled"),
        ("cancel", "done", None),
        ("status", "refused", "order.canceled"),
    ]
    assert syncs(out) == []
    assert await world.pool.fetchval("SELECT count(*) FROM gaps") == 0
    await in_order(world)


async def test_a_cancel_that_waited_for_a_requested_order_acts_at_once(manual: Hub) -> None:
    await manual.process(manual.status("A1", "status"), manual.cancel("A1", "cancel"))
    await manual.process(manual.create("A1", "create"))
    out = await manual.drain()
    assert told(out) == [
        ("create", "refused", "order.canceled"),
        ("cancel", "done", None),
        ("status", "refused", "order.canceled"),
    ]
    assert sent(out) == [("haul", "cancel", "2")]
    await in_order(manual)


async def test_a_forgotten_cancel_in_a_sleeping_lane_is_found_by_the_sweeper(world: Hub) -> None:
    await world.process(world.cancel("A1", "cancel"))
    await world.process(world.create("A1", "create", drops=late_drops()))
    await world.pool.execute("UPDATE orders SET lane_runnable = false")
    assert await world.lanes.sweep() == 1
    assert told(await world.drain())[-1] == ("cancel", "done", None)


async def test_a_cancel_of_a_number_nobody_gives_is_not_found_in_the_end(world: Hub) -> None:
    await world.process(world.cancel("A1", "cancel"))
    await world.pool.execute("UPDATE intake_clock SET counted = counted + 911")
    assert await world.lanes.end_overdue() == 1
    [_, last] = results(await world.outgoing())[-2:]
    assert last["body"] == {"detail": "Order not found for number: A1"}


async def test_a_copy_of_a_create_that_was_canceled_hears_the_final_answer(world: Hub) -> None:
    """K32: the first answer is the final one if there is one by then."""
    await world.process(world.create("A1", "create", drops=late_drops()))
    out = await world.process(world.cancel("A1", "cancel"))
    final = results(out)[0]
    [copy] = results(await world.process(world.create("A1", "create", drops=late_drops())))
    assert copy == {**final, "outcome": "duplicate"}


async def test_another_tenant_cannot_cancel_nor_learn_of_an_order(world: Hub) -> None:
    """Guarantee 6."""
    await world.reference(
        "tenant", {"slug": "rival", "name": "Rival", "systems": [{"name": "tms"}]}
    )
    await world.reference("pair", {"origin": "acme", "destination": "rival"})
    await world.process(world.create("A1", "create"))
    order_id = await world.pool.fetchval("SELECT id FROM orders")
    out = await world.process(
        world.record(
            "order.cancel",
            {"order": {"order_id": order_id}},
            origin="rival",
            partner="acme",
            command_id="1",
        ),
        world.record(
            "order.cancel",
            {"order": {"order_id": "0" * 24}},
            origin="rival",
            partner="acme",
            command_id="2",
        ),
        world.cancel("A1", "3", origin="rival", partner="haul"),
    )
    assert told(out) == [
        ("1", "refused", "request.order_not_found"),
        ("2", "refused", "request.order_not_found"),
        ("3", "refused", "request.no_such_pair"),
    ]
    assert await world.pool.fetchval("SELECT delivery FROM orders") == "sent"


async def test_a_gap_that_loses_its_order_keeps_one_that_comes_meanwhile(world: Hub) -> None:
    """Who begins to wait has not committed while the gap's last order is canceled."""
    await world.process(world.create("A1", "create", drops=late_drops()))
    async with held_open(world, world.create("A2", "second", drops=late_drops())) as commit:
        task = started(world.process(world.cancel("A1", "cancel")))
        await waits_for_a_lock(world, task)
        commit()
        await task
    await in_order(world, waiting=1)
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    assert told(await world.drain()) == [("second", "done", None)]


async def test_race_a_a_cancel_waits_out_the_creation_of_its_order(world: Hub) -> None:
    """The order is written and not committed: the cancel acts on it and sleeps on no number."""
    async with held_open(world, world.create("A1", "create", drops=late_drops())) as commit:
        task = asyncio.ensure_future(world.process(world.cancel("A1", "cancel")))
        await waits_for_a_lock(world, task)
        commit()
        out = await task
    assert told(out)[-2:] == [("create", "refused", "order.canceled"), ("cancel", "done", None)]
    await in_order(world)


@pytest.mark.parametrize(
    ("first", "code"),
    [("complete", "request.order_already_complete"), ("cancel", "request.order_canceled")],
)
async def test_of_a_cancel_and_a_complete_at_the_same_moment_the_first_counts(
    world: Hub, first: str, code: str
) -> None:
    await world.process(world.create("A1", "create"))
    records = [
        world.status("A1", "complete", progress_status="complete", location=...),
        world.cancel("A1", "cancel"),
    ]
    if first == "cancel":
        records.reverse()
    async with held_open(world, records[0]) as commit:
        task = asyncio.ensure_future(world.process(records[1]))
        await waits_for_a_lock(world, task)
        commit()
        out = await task
    assert told(out)[-1][1:] == ("refused", code)
    await in_order(world)


async def test_a_cancel_that_fails_unforeseen_at_its_turn_leaves_the_order_as_it_was(
    world: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guarantee 5: it costs nobody else anything; a second one does what the first should have."""
    operation = table.TABLE["order.cancel"]

    def decide(command: Command, known: World, now: datetime) -> Effects:
        if command.lane is not None:
            raise ZeroDivisionError
        return operation.decide(command, known, now)

    monkeypatch.setitem(
        cast("dict[str, Any]", table.TABLE), "order.cancel", operation._replace(decide=decide)
    )
    await world.process(world.status("A1", "status"), world.cancel("A1", "cancel"))
    await world.process(world.create("A1", "create", drops=late_drops()))
    assert told(await world.drain()) == [("cancel", "failed", "system.error")]
    await in_order(world, waiting=2)
    out = await world.process(world.cancel("A1", "second"))
    assert told(out) == [("create", "refused", "order.canceled"), ("second", "done", None)]
    assert told(await world.drain()) == [("status", "refused", "order.canceled")]
    await in_order(world)


async def test_race_a_a_creation_waits_out_a_cancel_that_begins_to_wait(world: Hub) -> None:
    async with held_open(world, world.cancel("A1", "cancel")) as commit:
        task = started(world.process(world.create("A1", "create", drops=late_drops())))
        await waits_for_a_lock(world, task)
        commit()
        await task
    out = await world.drain()
    assert told(out) == [("create", "refused", "order.canceled"), ("cancel", "done", None)]
    await in_order(world)


async def test_the_lane_loop_and_a_cancel_do_not_both_end_a_create(world: Hub) -> None:
    """The order's row decides: the mapping arrives and the cancel waits for the turn, or before."""
    await world.process(world.create("A1", "create", drops=late_drops()))
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    out = await world.process(world.cancel("A1", "cancel"))
    assert told(out) == [("create", "refused", "order.canceled"), ("cancel", "done", None)]
    assert await world.drain() == []
    async with transaction(world.pool) as connection:
        assert await connection.fetchval("SELECT count(*) FROM gaps") == 0
    await in_order(world)
