"""Changes between two companies, topic to outbox, on a real database (X01-X04, R091-R095, K35)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from services.domain.accounting import problems
from services.kit.cloudevents import Record
from services.kit.database import transaction
from services.records import accounting
from tests.integration.hub import (
    BY_ACME,
    BY_HAUL,
    LATE_PRODUCT,
    Hub,
    hub,
    late_drops,
    mapping,
    mappings,
    order,
    results,
    syncs,
    two_companies,
)

TOPIC = "crossroads.changes"


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul")
        yield opened


def update(world: Hub, number: str, command_id: str, *, by: Any = None, **said: Any) -> Record:
    body = {"order": {"order_number": number}, **said}
    return world.record("order.update", body, command_id=command_id, topic=TOPIC, **(by or BY_ACME))


def propose(world: Hub, number: str, command_id: str, *, by: Any = None, **said: Any) -> Record:
    body = {"order": {"order_number": number}, **said}
    return world.record(
        "change.propose", body, command_id=command_id, topic=TOPIC, **(by or BY_ACME)
    )


def settle(world: Hub, verb: str, command_id: str, *, by: Any = None, **said: Any) -> Record:
    return world.record(
        f"change.{verb}", said, command_id=command_id, topic=TOPIC, **(by or BY_HAUL)
    )


def told(out: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str | None]]:
    """(command id, outcome, code) of the results among outgoing records."""
    return [(each["command_id"], each["outcome"], each["code"]) for each in results(out)]


def sent(out: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """(receiver, type, sequence) of the sync records."""
    return [
        (
            each["headers"]["ce_desttenant"],
            each["headers"]["ce_type"].removeprefix("crossroads."),
            each["headers"]["ce_sequence"],
        )
        for each in syncs(out)
    ]


async def change_id(world: Hub) -> str:
    """The newest change."""
    found: str = await world.pool.fetchval("SELECT max(id) FROM order_changes")
    return found


async def states(world: Hub) -> list[tuple[str, str | None, bool]]:
    """(status, reason code, stale) of all changes, the oldest first."""
    rows = await world.pool.fetch("SELECT * FROM order_changes ORDER BY created_at, id")
    return [(row["status"], row["reason_code"], row["stale"]) for row in rows]


async def in_order(world: Hub) -> None:
    """The books agree, and nobody had been forgotten."""
    async with transaction(world.pool) as connection:
        assert problems(await accounting.count(connection)) == []
    assert await world.lanes.sweep() == 0


async def test_x01_an_update_is_stored_in_all_documents_and_sent(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    out = await world.process(update(world, "A1", "one", note="Gate 4", po="P-1"))
    assert told(out) == [("one", "done", None)]
    assert sent(out) == [("haul", "order.updated.v1", "2")]
    [sync] = syncs(out)
    assert sync["value"]["order"]["note"] == "Gate 4"
    assert [each["field"] for each in sync["value"]["changes"]] == ["note", "po"]
    row = await world.pool.fetchrow("SELECT * FROM orders")
    assert row is not None
    for document in ("origin_document", "master_document", "destination_document"):
        assert '"note":"Gate 4"' in row[document]
    assert (row["po"], row["destination_outbox_id"]) == ("P-1", sync["id"])
    again = await world.process(update(world, "A1", "two", note="Gate 4"))
    assert (told(again), sent(again)) == ([("two", "done", None)], [])
    await in_order(world)


async def test_r091_r095_a_proposal_is_accepted_by_the_other_side(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    drops = [{**order("")["drops"][0], "volume": 6000}]
    out = await world.process(propose(world, "A1", "one", drops=drops))
    assert told(out) == [("one", "done", None)]
    assert sent(out) == [("haul", "change.proposed.v1", "2")]
    change = syncs(out)[0]["value"]["change"]
    assert change == results(out)[0]["body"]["order_change"]
    assert (change["id"], change["changes"][0]["to"]) == (await change_id(world), 6000)
    out = await world.process(settle(world, "accept", "two", id=change["id"]))
    assert told(out) == [("two", "done", None)]
    assert sent(out) == [("acme", "change.accepted.v1", "1")]
    body = results(out)[0]["body"]
    assert (body["status"], body["order"]["drops"][0]["volume"]) == ("synced", 6000)
    row = body["order_row"]
    assert [row[name]["integration"] for name in row] == ["tms", "dispatch", "Crossroads"]
    assert [row[name]["product_ratios"] for name in row] == [
        [{"name": "D reg", "amount": 1, "volume": 6000}],
        [{"name": "O reg", "amount": 1, "volume": 6000}],
        [{"name": "Regular", "amount": 1, "volume": 6000}],
    ]
    assert await states(world) == [("synced", None, False)]
    assert (await world.pool.fetchval("SELECT origin_document FROM orders")).count("6000") == 1
    await in_order(world)


async def test_r050_the_components_of_a_blend_are_told_in_each_sides_words(world: Hub) -> None:
    parts = [
        {"product": "product_REGULAR", "ratio": 0.9},
        {"product": "product_DIESEL", "ratio": 0.1},
    ]
    blend = {"goid": "product_BLEND1", "entity": "product", "name": "Blend", "components": parts}
    await world.reference("record", blend)
    for tenant, system, prefix in (("acme", "dispatch", "o"), ("haul", "tms", "d")):
        word = mapping(tenant, system, "product", "mix", "product_BLEND1", prefix=prefix)
        await world.reference("mapping", word)
    drop = order("")["drops"][0]
    await world.process(world.create("A1", drops=[{**drop, "product": {"source_id": "o-mix"}}]))
    await world.process(propose(world, "A1", "one", note="N"))
    out = await world.process(settle(world, "accept", "two", order={"origin_order_number": "A1"}))
    row = results(out)[0]["body"]["order_row"]
    assert row["internal_order"]["product_ratios"] == [
        {"name": "D reg", "amount": 0.9, "volume": 4500},
        {"name": "D dsl", "amount": 0.1, "volume": 500},
    ]
    assert [each["name"] for each in row["gravitate_order"]["product_ratios"]] == [
        "Regular",
        "Diesel",
    ]


async def test_k44_the_row_names_what_the_change_brings(world: Hub) -> None:
    """A product that nothing of the order had named before it was accepted."""
    await world.process(world.create("A1"))
    diesel = {"site": {"source_id": "o-main", "tank_id": "2"}, "volume": 700}
    await world.process(
        propose(world, "A1", "1", drops=[{**diesel, "product": {"source_id": "o-dsl"}}])
    )
    out = await world.process(settle(world, "accept", "2", order={"origin_order_number": "A1"}))
    row = results(out)[0]["body"]["order_row"]
    assert [row[name]["product_ratios"] for name in row] == [
        [{"name": "D dsl", "amount": 1, "volume": 700}],
        [{"name": "O dsl", "amount": 1, "volume": 700}],
        [{"name": "Diesel", "amount": 1, "volume": 700}],
    ]


async def test_r090_keys_of_another_system_are_kept_in_the_words_of_the_orders_own(
    world: Hub,
) -> None:
    systems = [{"name": "dispatch", "primary": True}, {"name": "old"}]
    await world.reference("tenant", {"slug": "acme", "name": "ACME Fuels", "systems": systems})
    await world.reference("mapping", *mappings("acme", "old", "x"))
    await world.process(world.create("A1"))
    body = {"order": {"order_number": "A1"}, "supply_owner": {"source_id": "x-sup"}}
    named = {"ce_originsystem": b"old"}
    out = await world.process(
        world.record("order.update", body, topic=TOPIC, headers=named, **BY_ACME)
    )
    assert results(out)[0]["body"]["order"]["supply_owner"]["source_id"] == "o-sup"
    assert syncs(out)[0]["value"]["order"]["supply_owner"]["source_id"] == "d-sup"


async def test_everything_in_one_batch_goes_as_it_would_one_by_one(world: Hub) -> None:
    out = await world.process(
        world.create("A1", "create"),
        propose(world, "A1", "1", note="a"),
        propose(world, "A1", "2", note="b"),
        settle(world, "accept", "3", order={"origin_order_number": "A1"}),
        settle(world, "accept", "4", order={"origin_order_number": "A1"}),
        propose(world, "A1", "5", po="P", by=BY_HAUL),
        update(world, "A1", "6", note="c"),
        settle(world, "accept", "7", order={"origin_order_number": "A1"}, by=BY_ACME),
        settle(world, "reject", "8", order={"origin_order_number": "A1"}, by=BY_ACME),
    )
    assert told(out) == [
        ("create", "done", None),
        ("1", "done", None),
        ("2", "done", None),
        ("3", "done", None),
        ("4", "refused", "change.not_found"),
        ("5", "done", None),
        ("6", "done", None),
        ("7", "refused", "change.stale"),
        ("8", "done", None),
    ]
    assert sorted(await states(world), key=str) == sorted(
        [
            ("rejected", "superseded", False),
            ("synced", None, False),
            ("rejected", None, True),
        ],
        key=str,
    )
    by_receiver: dict[str, list[str]] = {}
    for receiver, _, sequence in sent(out):
        by_receiver.setdefault(receiver, []).append(sequence)
    assert all(each == [str(n) for n in range(1, len(each) + 1)] for each in by_receiver.values())
    await in_order(world)


async def test_k42_what_comes_before_its_order_waits_and_follows_in_sequence(world: Hub) -> None:
    first = await world.process(
        propose(world, "A1", "1", note="a"),
        settle(world, "accept", "2", order={"origin_order_number": "A1"}),
    )
    assert told(first) == [
        ("1", "waiting", "lane.order_unknown"),
        ("2", "waiting", "lane.order_unknown"),
    ]
    await world.process(world.create("A1", "create"))
    out = await world.drain()
    assert told(out) == [("1", "done", None), ("2", "done", None)]
    assert await states(world) == [("synced", None, False)]
    await in_order(world)


async def test_k42_changes_wait_behind_the_gap_of_their_order(world: Hub) -> None:
    await world.process(world.create("A1", "create", drops=late_drops()))
    out = await world.process(update(world, "A1", "1", note="a"), propose(world, "A1", "2", po="P"))
    assert told(out) == [("1", "waiting", "lane.behind"), ("2", "waiting", "lane.behind")]
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    out = await world.drain()
    assert [(each["command_id"], each["outcome"]) for each in results(out)] == [
        ("create", "done"),
        ("1", "done"),
        ("2", "done"),
    ]
    assert await states(world) == [("requested", None, False)]
    await in_order(world)


async def test_x01_what_cannot_be_mapped_is_refused_and_leaves_no_gap(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    out = await world.process(update(world, "A1", "1", drops=late_drops()))
    assert told(out) == [("1", "refused", "request.invalid")]
    assert results(out)[0]["body"]["detail"][0]["loc"] == ["body", "drops", 0, "product"]
    assert await world.pool.fetchval("SELECT count(*) FROM gaps") == 0
    await in_order(world)


@pytest.mark.parametrize(
    ("closing", "answers"),
    [
        ("cancel", "order.canceled"),
        ("receipt", "order.rejected"),
        ("status", "order.status-updated"),
    ],
)
async def test_x01_what_closes_the_order_settles_its_change(
    world: Hub, closing: str, answers: str
) -> None:
    await world.process(world.create("A1", "create"))
    await world.process(propose(world, "A1", "1", note="a"))
    closed = {
        "cancel": world.cancel("A1", "2"),
        "receipt": world.receipt("A1", "2", "rejected"),
        "status": world.status("A1", "2", progress_status="complete", location=...),
    }[closing]
    out = await world.process(closed)
    assert told(out) == [("2", "done", None)]
    assert {kind for _, kind, _ in sent(out)} == {f"{answers}.v1"}
    assert await states(world) == [("rejected", "order_closed", False)]
    named = await change_id(world)
    out = await world.process(settle(world, "accept", "3", id=named))
    assert told(out) == [("3", "refused", "change.settled")]
    await in_order(world)


async def test_a_repeat_of_a_proposal_is_the_same_proposal(world: Hub) -> None:
    """Guarantee 2, K32: the id of the change comes from the command."""
    await world.process(world.create("A1", "create"))
    record = propose(world, "A1", "1", note="a")
    out = await world.process(record)
    again = await world.process(propose(world, "A1", "1", note="a"))
    assert told(again) == [("1", "duplicate", None)]
    assert results(again)[0]["body"] == results(out)[0]["body"]
    assert len(await states(world)) == 1


async def test_g6_a_change_of_another_pair_is_the_same_404(world: Hub) -> None:
    await two_companies(world, "gamma", "delta")
    await world.process(world.create("A1", "create"))
    await world.process(propose(world, "A1", "1", note="a"))
    by_delta = {"origin": "delta", "partner": "gamma"}
    out = await world.process(
        settle(world, "accept", "2", id=await change_id(world), by=by_delta),
        settle(world, "accept", "3", id="0" * 24, by=by_delta),
    )
    found, unknown = results(out)
    assert (found["body"], found["code"], found["http_status"]) == (
        unknown["body"],
        unknown["code"],
        unknown["http_status"],
    )
    assert (found["code"], found["body"]) == (
        "change.not_found",
        {"detail": "There is no such change."},
    )
    assert await states(world) == [("requested", None, False)]


async def test_an_acceptance_that_no_topic_takes_is_refused_and_the_change_stays(
    world: Hub,
) -> None:
    """Protocol §2: the row tells the order three times more; a small command may cause it."""
    drop = {"site": {"source_id": "o-main", "tank_id": "1"}, "volume": 1}
    many = [{**drop, "product": {"source_id": "o-reg"}} for _ in range(8000)]
    out = await world.process(world.create("A1", "create", drops=many))
    assert told(out) == [("create", "done", None)]
    await world.process(propose(world, "A1", "1", note="a"))
    named = {"id": await change_id(world)}
    out = await world.process(settle(world, "accept", "2", **named))
    assert told(out) == [("2", "refused", "request.order_too_large")]
    assert await states(world) == [("requested", None, False)]
    out = await world.process(settle(world, "reject", "3", **named))
    assert told(out) == [("3", "done", None)]
    await in_order(world)


async def test_an_update_of_thousands_of_drops_does_not_hold_up_its_neighbours(world: Hub) -> None:
    """Guarantee 5: it is decided well within the time a transaction may take."""
    drop = {"site": {"source_id": "o-main", "tank_id": "1"}, "product": {"source_id": "o-reg"}}
    many = [{**drop, "volume": 1 + at} for at in range(3000)]
    await world.process(world.create("A1", "create", drops=many), world.create("A2"))
    less = [{**drop, "volume": 2 + at} for at in range(3000)]
    out = await world.process(
        update(world, "A1", "1", drops=less), update(world, "A2", "2", po="P")
    )
    assert told(out) == [("1", "done", None), ("2", "done", None)]
    [large, _] = syncs(out)
    assert len(large["value"]["changes"]) == 3000
