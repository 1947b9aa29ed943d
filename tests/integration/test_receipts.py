"""Receipts, topic to outbox: what a destination's system says of what it was sent (X07, K39)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.domain import status
from services.records import orders
from tests.integration.hub import (
    BY_ACME,
    Hub,
    held_open,
    hub,
    late_drops,
    results,
    started,
    syncs,
    two_companies,
    waits_for_a_lock,
)
from tests.integration.test_progress import in_order, sent, told


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul")
        yield opened


async def test_a_received_order_has_the_destinations_number_from_then_on(world: Hub) -> None:
    await world.process(world.create("A1", "create"), world.status("H-1", "waits"))
    out = await world.process(
        world.receipt("A1", "receipt", "received", destination_order_number="H-1")
    )
    assert told(out) == [("receipt", "done", None)]
    assert sent(out) == [("acme", "receipt", "1")]
    [received] = syncs(out)
    assert received["headers"]["ce_type"] == "crossroads.order.received.v1"
    [answer] = results(out)
    assert answer["body"]["receipt"] == received["value"]["receipt"]
    assert answer["body"]["status"] == "synced"
    assert told(await world.drain()) == [("waits", "done", None)]
    again = world.receipt("H-1", "again", "received", destination_order_number="H-1")
    [repeated] = results(await world.process(again))
    assert repeated["outcome"] == "done"
    assert repeated["body"]["receipt"] == answer["body"]["receipt"], "as it was said first"
    row = await world.pool.fetchrow("SELECT destination_number, origin_sequence FROM orders")
    assert row is not None
    assert tuple(row) == ("H-1", 2)
    await in_order(world)


@pytest.mark.parametrize(
    ("said", "state", "step"), [("rejected", "rejected", None), ("failed", "error", "synced")]
)
async def test_a_rejected_or_failed_order_is_said_to_be_so(
    world: Hub, said: str, state: str, step: str | None
) -> None:
    """R071, R072, K39."""
    await world.process(world.create("A1", "create"))
    out = await world.process(
        world.receipt("A1", "receipt", said, reason_code="E17", message="No such customer")
    )
    [sync] = syncs(out)
    assert sync["headers"]["ce_type"] == f"crossroads.order.{said}.v1"
    assert sync["value"]["receipt"]["message"] == "No such customer"
    [answer] = results(out)
    assert answer["body"]["status"] == state
    assert answer["body"]["message"].endswith("Reason: E17 No such customer")
    async with world.pool.acquire() as connection:
        acme = await connection.fetchval("SELECT id FROM tenants WHERE slug = 'acme'")
        [order] = await orders.find(connection, [acme], number="A1")
    assert (status.of(order), status.failed_at_step(order)) == (state, step)
    assert order.message == answer["body"]["message"]
    await in_order(world)


async def test_an_order_that_failed_may_be_received_after_all(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    out = await world.process(
        world.receipt("A1", "1", "failed", message="down"),
        world.receipt("A1", "2", "failed", message="down"),
        world.receipt("A1", "3", "received"),
        world.receipt("A1", "4", "failed", message="down"),
        world.status("A1", "5"),
    )
    assert [each[1] for each in told(out)] == ["done"] * 5
    assert sent(out) == [
        ("acme", "1", "1"), ("acme", "3", "2"), ("acme", "4", "3"), ("acme", "5", "4"),
    ]  # fmt: skip
    await in_order(world)


async def test_a_rejected_order_takes_nothing_more_and_its_lane_is_refused(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    await world.process(
        world.status("A1", "1", location={"source_id": "d-late"}), world.status("A1", "2")
    )
    await world.process(world.receipt("A1", "receipt", "rejected", reason_code="E17"))
    out = await world.drain()
    assert told(out) == [("1", "refused", "order.rejected"), ("2", "refused", "order.rejected")]
    out = await world.process(
        world.status("A1", "3"),
        world.receipt("A1", "same", "rejected", reason_code="E17"),
        world.receipt("A1", "other", "received"),
    )
    assert told(out) == [
        ("3", "refused", "request.order_rejected"),
        ("same", "done", None),
        ("other", "refused", "request.order_rejected"),
    ]
    assert syncs(out) == []
    await in_order(world)


async def test_what_a_receipt_may_not_say_is_refused(world: Hub) -> None:
    await world.process(
        world.create("A1"), world.create("A2"), world.create("A3", drops=late_drops())
    )
    await world.process(
        world.receipt("A2", "first", "received", destination_order_number="H-2"),
        world.status("A2", "over", progress_status="complete", location=...),
    )
    out = await world.process(
        world.receipt("A1", "origin", "received", **BY_ACME),
        world.receipt("A1", "taken", "received", destination_order_number="H-2"),
        world.receipt("A2", "renumbered", "received", destination_order_number="H-3"),
        world.receipt("A1", "number", "failed", destination_order_number="H-1"),
        world.receipt("A3", "unsent", "received"),
        world.receipt("A2", "complete", "rejected"),
        world.receipt("A1", "word", "eaten"),
        world.receipt("A1", "long", "failed", message="x" * 1001, reason_code="y" * 31),
    )
    assert told(out) == [
        ("origin", "refused", "request.not_allowed"),
        ("taken", "refused", "request.order_number_taken"),
        ("renumbered", "refused", "request.invalid"),
        ("number", "refused", "request.invalid"),
        ("unsent", "refused", "request.order_not_sent"),
        ("complete", "refused", "request.order_already_complete"),
        ("word", "refused", "request.invalid"),
        ("long", "refused", "request.invalid"),
    ]
    details = [each["body"]["detail"] for each in results(out)]
    assert [(each["loc"], each["type"]) for each in details[2] + details[3]] == [
        (["body", "destination_order_number"], "number_given"),
        (["body", "destination_order_number"], "not_received"),
    ]
    assert [each["loc"] for each in details[7]] == [["body", "message"], ["body", "reason_code"]]
    assert syncs(out) == []
    await in_order(world, waiting=1)


async def test_a_receipt_of_a_requested_order_is_not_of_a_sent_one(fresh_database: str) -> None:
    async with hub(fresh_database) as world:
        await two_companies(world, "acme", "haul", acceptance="manual")
        await world.process(world.create("A1"))
        out = await world.process(world.receipt("A1", "early", "received"))
        assert told(out) == [("early", "refused", "request.order_not_sent")]
        out = await world.process(
            world.accept("A1", "accept", "H-1"),
            world.receipt("H-1", "taken in", "received"),
        )
        assert told(out)[1:] == [("accept", "done", None), ("taken in", "done", None)]
        assert syncs(out)[-1]["value"]["receipt"]["destination_order_number"] == "H-1"
        await in_order(world)


async def test_a_receipt_that_came_before_its_order_follows_it(world: Hub) -> None:
    out = await world.process(world.receipt("A1", "receipt", "received"))
    [waiting] = results(out)
    assert (waiting["code"], waiting["body"]["status"]) == ("lane.order_unknown", "pending")
    assert waiting["body"]["receipt"] is None
    await world.process(world.create("A1", "create"))
    out = await world.drain()
    assert sent(out) == [("acme", "receipt", "1")]
    await in_order(world)


async def test_two_orders_received_under_one_number_at_once_do_not_both_get_it(world: Hub) -> None:
    await world.process(world.create("A1"), world.create("A2"))
    before = await world.pool.fetchval("SELECT max(id) FROM outbox")
    first = world.receipt("A1", "one", "received", destination_order_number="H-1")
    second = world.receipt("A2", "two", "received", destination_order_number="H-1")
    async with held_open(world, first) as commit:
        task = started(world.process(second))
        await waits_for_a_lock(world, task)
        commit()
        await task
    answers = dict(each[::2] for each in told(await world.outgoing(before)))
    assert answers == {"one": None, "two": "request.order_number_taken"}
    await in_order(world)
