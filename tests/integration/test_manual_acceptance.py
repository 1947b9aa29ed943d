"""Acceptance by hand, topic to outbox: asked for, accepted or rejected, once (X06, K32, K38)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.kit.database import transaction
from services.kit.metrics import OLDEST_UNSYNCED_ORDER_AGE_SECONDS
from services.records import gauges
from tests.integration.hub import (
    BY_ACME,
    LATE_PRODUCT,
    Hub,
    bol,
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
from tests.integration.test_progress import in_order, sent, told

DOCUMENTS = ("origin_document", "master_document", "destination_document")


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul", acceptance="manual")
        yield opened


async def test_an_accepted_order_is_created_by_its_create_and_its_origin_is_told(
    world: Hub,
) -> None:
    create = world.record(
        "order.create",
        {**order_with_extra("A1"), "colour": "red"},
        command_id="create",
        headers={"ce_correlationid": b"corr-1", "traceparent": b"00-aa-bb-01"},
        **BY_ACME,
    )
    [asked, waiting] = await world.process(create)
    assert asked["headers"]["ce_type"] == "crossroads.order.requested.v1"
    assert waiting["value"]["code"] == "request.manual_acceptance"
    out = await world.process(world.accept("A1", "accept", "H-9", reason_code="ok"))
    assert told(out) == [("create", "done", None), ("accept", "done", None)]
    assert sent(out) == [("haul", "create", "2"), ("acme", "accept", "1")]
    created, accepted = syncs(out)
    assert created["headers"]["ce_type"] == "crossroads.order.created.v1"
    assert created["headers"]["ce_correlationid"] == "corr-1"
    assert created["headers"]["traceparent"] == "00-aa-bb-01"
    assert created["value"]["order"] == {
        **asked["value"]["order"],
        "destination_order_number": "H-9",
    }
    assert accepted["headers"]["ce_type"] == "crossroads.order.accepted.v1"
    receipt = accepted["value"]["receipt"]
    assert {**receipt, "at": None} == {
        "status": "accepted",
        "destination_order_number": "H-9",
        "reason_code": "ok",
        "message": None,
        "at": None,
    }
    final, answer = results(out)
    assert [each["key"] for each in out if each["value"] is final] == [create.key]
    assert (final["body"]["status"], answer["body"]["status"]) == ("synced", "synced")
    assert final["body"]["message"] == "Ignored unknown fields: colour"
    assert final["body"]["order"]["destination_order_number"] == "H-9"
    assert answer["body"]["order"]["drops"][0]["site"]["source_id"] == "d-main"
    row = await world.pool.fetchrow("SELECT * FROM orders")
    assert row is not None
    assert (row["delivery"], row["receipt"], row["destination_number"]) == (
        "sent",
        "accepted",
        "H-9",
    )
    assert all('"destination_order_number":"H-9"' in row[name] for name in DOCUMENTS)
    assert await world.pool.fetchval("SELECT count(*) FROM requested_creates") == 0
    await in_order(world)


def order_with_extra(number: str) -> dict[str, object]:
    drops = [
        {
            "site": {"source_id": "o-main", "tank_id": "1"},
            "product": {"source_id": "o-reg"},
            "volume": 5000,
        }
    ]
    window = {"start": "2026-11-23T08:00:00Z", "end": "2026-11-23T12:00:00Z"}
    return {"origin_order_number": number, "delivery_window": window, "drops": drops}


async def test_the_answer_that_says_synced_waits_for_the_destinations_record(world: Hub) -> None:
    """K40: the accept's result rides behind the created record, not only behind its own."""
    await world.process(world.create("A1", "create"))
    await world.process(world.accept("A1", "accept", "H-9"))
    causes = "SELECT count(DISTINCT cause) FROM outbox WHERE topic <> 'crossroads.results.operator'"
    assert await world.pool.fetchval(f"{causes} AND kind <> 3") == 1


async def test_what_waited_for_acceptance_goes_on_in_sequence(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    await world.process(
        world.status("A1", "1"),
        world.record("order.save-bol", bol("A1"), command_id="2", origin="haul", partner="acme"),
        world.status("H-9", "3"),
    )
    await world.process(world.accept("A1", "accept", "H-9"))
    out = await world.drain()
    assert sent(out) == [("acme", "1", "2"), ("acme", "2", "3"), ("acme", "3", "4")]
    await in_order(world)


async def test_a_rejected_order_is_refused_to_its_origin_with_all_that_waits(world: Hub) -> None:
    await world.process(world.create("A1", "create"), world.status("A1", "status"))
    out = await world.process(world.reject("A1", "reject", reason_code="no trucks"))
    assert told(out) == [("create", "refused", "order.rejected"), ("reject", "done", None)]
    assert sent(out) == [("acme", "reject", "1")]
    [rejected] = syncs(out)
    assert rejected["headers"]["ce_type"] == "crossroads.order.rejected.v1"
    assert rejected["value"]["receipt"]["reason_code"] == "no trucks"
    create, answer = results(out)
    why = "The destination rejected the order. Reason: no trucks"
    assert create["body"]["detail"] == create["body"]["log"]["detail"]["message"] == why
    assert (answer["body"]["status"], answer["body"]["message"]) == ("rejected", why)
    assert told(await world.drain()) == [("status", "refused", "order.rejected")]
    out = await world.process(
        world.accept("A1", "late", "H-9"), world.reject("A1", "again"), world.status("A1", "more")
    )
    assert {(each[1], each[2]) for each in told(out)} == {("refused", "request.order_rejected")}
    await in_order(world)


async def test_only_the_destination_of_an_order_that_waits_for_it_accepts(world: Hub) -> None:
    await world.process(
        world.create("A1"), world.create("A2"), world.create("A3", drops=late_drops())
    )
    await world.process(world.accept("A2", "first", "H-2"))
    out = await world.process(
        world.accept("A1", "origin", "H-1", **BY_ACME),
        world.reject("A1", "origin too", **BY_ACME),
        world.accept("A1", "taken", "H-2"),
        world.accept("A2", "twice", "H-3"),
        world.reject("A2", "after"),
        world.accept("A3", "unmapped", "H-3"),
        world.accept("A1", "long", "H" * 256),
        world.accept("A1", "fits", "H" * 255),
    )
    assert told(out)[:6] == [
        ("origin", "refused", "request.not_allowed"),
        ("origin too", "refused", "request.not_allowed"),
        ("taken", "refused", "request.order_number_taken"),
        ("twice", "refused", "request.order_not_requested"),
        ("after", "refused", "request.order_not_requested"),
        ("unmapped", "refused", "request.order_not_requested"),
    ]
    assert [each["http_status"] for each in results(out)[:3]] == [403, 403, 422]
    assert told(out)[6] == ("long", "refused", "request.invalid")
    assert told(out)[-1] == ("fits", "done", None)
    await in_order(world, waiting=1)


async def test_an_order_goes_from_a_gap_to_its_request_to_its_destination(world: Hub) -> None:
    await world.process(world.create("A1", "create", drops=late_drops()))
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    assert sent(await world.drain()) == [("haul", "create", "1")]
    assert await world.pool.fetchval("SELECT count(*) FROM lane_commands") == 0
    await in_order(world)
    out = await world.process(world.accept("A1", "accept", "H-1"))
    assert told(out) == [("create", "done", None), ("accept", "done", None)]
    await in_order(world)


async def test_a_request_and_its_acceptance_in_one_batch(world: Hub) -> None:
    out = await world.process(
        world.create("A1", "create"),
        world.accept("A1", "accept", "H-1"),
        world.status("H-1", "status"),
        world.create("A1", "create"),
    )
    assert told(out) == [
        ("create", "waiting", "request.manual_acceptance"),
        ("create", "done", None),
        ("accept", "done", None),
        ("status", "done", None),
        ("create", "duplicate", None),
    ]
    assert sent(out) == [
        ("haul", "create", "1"),
        ("haul", "create", "2"),
        ("acme", "accept", "1"),
        ("acme", "status", "2"),
    ]
    assert await world.pool.fetchval("SELECT waiting_id FROM commands WHERE command_id = 'create'")
    await in_order(world)


async def test_what_waited_for_the_destinations_number_is_taken_over_by_its_acceptance(
    world: Hub,
) -> None:
    """Race a: a status and a cancel by that number, one of which then goes before the other."""
    await world.process(world.create("A1", "create"), world.create("A2"))
    await world.process(
        world.status("H-1", "status"), world.cancel("H-2", "cancel"), world.status("H-2", "gone")
    )
    await world.process(world.accept("A1", "a1", "H-1"), world.accept("A2", "a2", "H-2"))
    out = await world.drain()
    assert sorted(told(out)) == [
        ("cancel", "done", None),
        ("gone", "refused", "order.canceled"),
        ("status", "done", None),
    ]
    await in_order(world)


async def test_an_acceptance_that_came_before_its_order_acts_when_it_is_asked_for(
    world: Hub,
) -> None:
    await world.process(world.status("A1", "status"), world.accept("A1", "accept", "H-1"))
    await world.process(world.create("A1", "create"))
    out = await world.drain()
    assert told(out) == [
        ("create", "done", None),
        ("accept", "done", None),
        ("status", "done", None),
    ]
    assert sent(out) == [("haul", "create", "2"), ("acme", "accept", "1"), ("acme", "status", "2")]
    await in_order(world)


async def test_a_request_of_an_earlier_release_is_accepted_under_its_orders_number(
    world: Hub,
) -> None:
    """Old code kept no record of the create: the order's number is the key, its id the cause."""
    await world.process(world.create("A1", "create"))
    await world.pool.execute("DELETE FROM requested_creates")
    out = await world.process(world.accept("A1", "accept", "H-1"))
    assert told(out) == [("create", "done", None), ("accept", "done", None)]
    assert [each["key"] for each in out if ".results.acme" in each["topic"]] == [b"A1"]
    assert sent(out)[0] == ("haul", "create", "2")
    await in_order(world)


@pytest.mark.parametrize("first", ["cancel", "accept", "reject"])
@pytest.mark.parametrize("second", ["cancel", "accept", "reject"])
async def test_of_two_that_settle_an_order_at_the_same_moment_the_first_wins(
    world: Hub, first: str, second: str
) -> None:
    """The order's row decides; a repeat of the same cancel is no news, all else is refused."""
    await world.process(world.create("A1", "create"), world.status("A1", "status"))
    by = {
        "cancel": lambda id_: world.cancel("A1", id_),
        "accept": lambda id_: world.accept("A1", id_, "H-1"),
        "reject": lambda id_: world.reject("A1", id_),
    }
    before = await world.pool.fetchval("SELECT max(id) FROM outbox")
    async with held_open(world, by[first]("one")) as commit:
        task = started(world.process(by[second]("two")))
        await waits_for_a_lock(world, task)
        commit()
        await task
    answers = {each[0]: each[1:] for each in told(await world.outgoing(before))}
    done = ("done", None)
    assert answers["one"] == done
    assert (
        answers["two"]
        == {
            ("cancel", "cancel"): done,
            ("cancel", "accept"): ("refused", "request.order_canceled"),
            ("cancel", "reject"): ("refused", "request.order_canceled"),
            ("accept", "cancel"): done,
            ("accept", "accept"): ("refused", "request.order_not_requested"),
            ("accept", "reject"): ("refused", "request.order_not_requested"),
            ("reject", "cancel"): ("refused", "request.order_rejected"),
            ("reject", "accept"): ("refused", "request.order_rejected"),
            ("reject", "reject"): ("refused", "request.order_rejected"),
        }[first, second]
    )
    ends = {"accept": done, "cancel": "order.canceled", "reject": "order.rejected"}[first]
    assert answers["create"] == (ends if ends is done else ("refused", ends))
    await world.drain()
    await in_order(world)


async def test_of_two_orders_that_are_accepted_under_one_number_at_once_one_is_refused(
    world: Hub,
) -> None:
    """The pair's numbers are unique: who comes second decides again, and sees the first."""
    await world.process(world.create("A1"), world.create("A2"))
    before = await world.pool.fetchval("SELECT max(id) FROM outbox")
    async with held_open(world, world.accept("A1", "one", "H-1")) as commit:
        task = started(world.process(world.accept("A2", "two", "H-1")))
        await waits_for_a_lock(world, task)
        commit()
        await task
    answers = {each[0]: each[2] for each in told(await world.outgoing(before))}
    assert (answers["one"], answers["two"]) == (None, "request.order_number_taken")
    out = await world.process(world.accept("A2", "three", "H-2"))
    assert told(out)[-1] == ("three", "done", None)
    await in_order(world)


@pytest.mark.parametrize("first", ["accept", "status"])
async def test_race_a_an_acceptance_and_who_waits_for_its_number_see_each_other(
    world: Hub, first: str
) -> None:
    """Either is written and not committed when the other looks."""
    await world.process(world.create("A1", "create"))
    records = [world.accept("A1", "accept", "H-1"), world.status("H-1", "status")]
    if first == "status":
        records.reverse()
    async with held_open(world, records[0]) as commit:
        task = started(world.process(records[1]))
        await waits_for_a_lock(world, task)
        commit()
        await task
    await world.drain()
    answers = {each[0]: each[1] for each in told(await world.outgoing())}
    assert (answers["accept"], answers["status"]) == ("done", "done")
    await in_order(world)


async def test_a_rejected_order_does_not_look_as_if_it_were_still_to_be_sent(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    await world.process(world.reject("A1", "reject"))
    await world.pool.execute("DELETE FROM outbox")
    async with transaction(world.pool) as connection:
        await gauges.expose(connection)
    ages = OLDEST_UNSYNCED_ORDER_AGE_SECONDS.collect()
    assert [each.samples for each in ages] == [[]]


async def test_a_cancel_waits_out_the_turn_that_sends_its_order(world: Hub) -> None:
    """The lane loop holds the order: the cancel then finds it requested, and cancels that."""
    await world.process(world.create("A1", "create", drops=late_drops()))
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    async with transaction(world.pool) as connection:
        await connection.execute("SELECT FROM orders FOR UPDATE")
        task = asyncio.ensure_future(world.process(world.cancel("A1", "cancel")))
        await waits_for_a_lock(world, task)
        await world.lanes.drain()
    out = await task
    assert told(out) == [("create", "refused", "order.canceled"), ("cancel", "done", None)]
    assert await world.drain() == []
    await in_order(world)
