"""The driver's side, topic to outbox: in sequence, once, whatever waits (K26, K34, K42)."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from services.domain.accounting import problems
from services.domain.world import Blob
from services.kit.database import transaction
from services.records import accounting, blobs
from tests.integration.hub import (
    BY_HAUL,
    LATE_PRODUCT,
    Hub,
    bol,
    hub,
    late_drops,
    mapping,
    order,
    results,
    status,
    syncs,
    two_companies,
)

PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
LATE_TERMINAL = ("haul", "tms", "terminal", "late", "terminal_NORTH1")


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul")
        yield opened


def told(out: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str | None]]:
    """(command id, outcome, code) of the results among outgoing records."""
    return [(each["command_id"], each["outcome"], each["code"]) for each in results(out)]


def sent(out: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """(receiver, causing command, sequence) of the sync records."""
    return [
        (
            each["headers"]["ce_desttenant"],
            each["headers"]["ce_causationid"],
            each["headers"]["ce_sequence"],
        )
        for each in syncs(out)
    ]


async def in_order(world: Hub, *, waiting: int = 0) -> None:
    """Nothing is left but what should wait, the books agree, and nobody had been forgotten."""
    async with transaction(world.pool) as connection:
        assert problems(await accounting.count(connection)) == []
    assert await world.pool.fetchval("SELECT count(*) FROM lane_commands") == waiting
    assert await world.pool.fetchval("SELECT sum(waiting) FROM orders") in (waiting, None)
    assert await world.lanes.sweep() == 0


async def test_a_status_goes_to_the_other_side_in_its_words_and_moves_the_trip(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    out = await world.process(world.status("A1", "one", actual="2026-11-23T08:30:00Z"))
    assert told(out) == [("one", "done", None)]
    assert sent(out) == [("acme", "one", "1")]
    [sync] = syncs(out)
    assert sync["headers"]["ce_type"] == "crossroads.order.status-updated.v1"
    assert sync["value"]["status_update"]["location"]["source_id"] == "o-north"
    row = await world.pool.fetchrow("SELECT progress, trip, origin_outbox_id FROM orders")
    assert row is not None
    assert row["progress"] == "driving_to_load"
    assert '"actual":"2026-11-23T08:30:00' in row["trip"]
    assert row["origin_outbox_id"] == sync["id"]
    await in_order(world)


async def test_what_a_batch_says_of_one_order_is_told_in_sequence_and_kept(world: Hub) -> None:
    """Papers change the documents, statuses do not: both are there afterwards."""
    await world.process(world.create("A1", "create"))
    out = await world.process(
        world.status("A1", "1"),
        world.record("order.save-bol", bol("A1"), command_id="2", **BY_HAUL),
        world.status("A1", "3", progress_status="complete", location=...),
        world.status("A1", "4"),
    )
    assert told(out) == [
        ("1", "done", None),
        ("2", "done", None),
        ("3", "done", None),
        ("4", "refused", "request.order_already_complete"),
    ]
    assert sent(out) == [("acme", "1", "1"), ("acme", "2", "2"), ("acme", "3", "3")]
    row = await world.pool.fetchrow("SELECT progress, origin_document, origin_sequence FROM orders")
    assert row is not None
    assert (row["progress"], row["origin_sequence"]) == ("complete", 3)
    assert row["origin_document"].count('"bol_number"') == 1
    again = world.record("order.save-bol", bol("A1"), command_id="5", **BY_HAUL)
    assert told(await world.process(again)) == [("5", "done", None)], "K33: no news"
    assert await world.pool.fetchval("SELECT origin_sequence FROM orders") == 3
    await in_order(world)


async def test_a_status_before_its_order_waits_for_it_and_follows_it(world: Hub) -> None:
    """K42: taken over by the creation, in the order of arrival, each once."""
    out = await world.process(world.status("A1", "1"), world.status("A1", "2"))
    assert told(out) == [
        ("1", "waiting", "lane.order_unknown"),
        ("2", "waiting", "lane.order_unknown"),
    ]
    out = await world.process(world.status("A1", "3"))
    assert told(out) == [("3", "waiting", "lane.order_unknown")]
    await in_order_of_numbers(world, 3)
    out = await world.process(world.create("A1", "create"), world.status("A1", "4"))
    assert told(out) == [("create", "done", None), ("4", "waiting", "lane.behind")]
    assert await world.pool.fetchval("SELECT waiting FROM orders") == 4
    out = await world.drain()
    assert told(out) == [(id_, "done", None) for id_ in "1234"]
    assert sent(out) == [("acme", id_, id_) for id_ in "1234"]
    await in_order(world)


async def in_order_of_numbers(world: Hub, waiting: int) -> None:
    async with transaction(world.pool) as connection:
        assert problems(await accounting.count(connection)) == []
    count = "SELECT count(*) FROM lane_commands WHERE wait_number IS NOT NULL"
    assert await world.pool.fetchval(count) == waiting
    assert await world.lanes.sweep() == 0


async def test_a_status_and_its_order_in_one_batch_whichever_comes_first(world: Hub) -> None:
    out = await world.process(
        world.status("A1", "early"), world.create("A1", "create"), world.status("A1", "late")
    )
    assert told(out) == [
        ("early", "waiting", "lane.order_unknown"),
        ("create", "done", None),
        ("late", "waiting", "lane.behind"),
    ]
    out = await world.drain()
    assert sent(out) == [("acme", "early", "1"), ("acme", "late", "2")]
    await in_order(world)


async def test_what_waited_for_an_order_that_waits_on_a_gap_comes_after_its_create(
    world: Hub,
) -> None:
    """X05, K42: the create goes first although it came last."""
    await world.process(world.status("A1", "early"))
    out = await world.process(
        world.create("A1", "create", drops=late_drops()), world.status("A1", "late")
    )
    assert told(out) == [
        ("create", "waiting", "mapping.gap"),
        ("late", "waiting", "lane.behind"),
    ]
    assert await world.drain() == []
    await in_order(world, waiting=3)
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    out = await world.drain()
    assert told(out) == [("create", "done", None), ("early", "done", None), ("late", "done", None)]
    assert sent(out) == [("haul", "create", "1"), ("acme", "early", "1"), ("acme", "late", "2")]
    await in_order(world)


async def test_a_create_goes_before_more_than_a_turn_takes_of_what_waited_for_it(
    world: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.commands.turns.COMMANDS_A_LANE", 2)
    ids = [str(number) for number in range(1, 6)]
    await world.process(*(world.status("A1", id_) for id_ in ids))
    await world.process(world.create("A1", "create", drops=late_drops()))
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    out = await world.drain()
    assert sent(out) == [("haul", "create", "1"), *(("acme", id_, id_) for id_ in ids)]
    await in_order(world)


async def test_a_status_with_a_gap_of_its_own_holds_what_comes_after_it(world: Hub) -> None:
    """Two in one batch, one in a later one: none overtakes; the mapping lets all go once."""
    await world.process(world.create("A1", "create"), world.create("A2"))
    out = await world.process(
        world.status("A1", "1", location={"source_id": "d-late"}),
        world.status("A1", "2"),
        world.status("A2", "other"),
    )
    assert told(out) == [
        ("1", "waiting", "mapping.gap"),
        ("2", "waiting", "lane.behind"),
        ("other", "done", None),
    ]
    assert told(await world.process(world.status("A1", "3"))) == [("3", "waiting", "lane.behind")]
    assert await world.drain() == []
    await in_order(world, waiting=3)
    await world.reference("mapping", mapping(*LATE_TERMINAL, prefix="d"))
    out = await world.drain()
    assert sent(out) == [("acme", id_, id_) for id_ in "123"]
    await in_order(world)
    assert await world.pool.fetchval("SELECT count(*) FROM gaps") == 0


async def test_a_gap_behind_the_head_of_a_lane_is_registered_at_its_turn(world: Hub) -> None:
    await world.process(
        world.create("A1", "create", drops=late_drops()),
        world.status("A1", "1", location={"source_id": "d-late"}),
        world.status("A1", "2"),
    )
    assert await world.pool.fetchval("SELECT count(*) FROM gaps") == 1
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    assert told(await world.drain()) == [("create", "done", None)]
    reasons = "SELECT array_agg(reason ORDER BY id) FROM lane_commands"
    assert await world.pool.fetchval(reasons) == ["mapping.gap", "lane.behind"]
    await in_order(world, waiting=2)
    await world.reference("mapping", mapping(*LATE_TERMINAL, prefix="d"))
    assert sent(await world.drain()) == [("acme", "1", "1"), ("acme", "2", "2")]
    await in_order(world)


async def test_a_turn_that_changes_nothing_is_not_logged_again(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    await world.process(world.status("A1", "1", location={"source_id": "d-late"}))
    before = await world.pool.fetchval("SELECT count(*) FROM log_entries")
    await world.pool.execute("UPDATE orders SET lane_runnable = true")
    assert await world.drain() == []
    assert await world.pool.fetchval("SELECT count(*) FROM log_entries") == before
    await in_order(world, waiting=1)


async def test_a_number_of_the_destinations_own_finds_the_order(world: Hub) -> None:
    """K34: the caller's own number, then the partner's; both sides by either."""
    await world.process(world.create("A1", "create"))
    await world.pool.execute("UPDATE orders SET destination_number = 'H9'")
    out = await world.process(
        world.status("H9", "1"),
        world.status("A1", "2"),
        world.record(
            "order.update-status",
            status("H9", location={"source_id": "o-north"}),
            origin="acme",
            partner="haul",
            command_id="3",
        ),
    )
    assert told(out) == [("1", "done", None), ("2", "done", None), ("3", "done", None)]
    assert sent(out) == [("acme", "1", "1"), ("acme", "2", "2"), ("haul", "3", "2")]


async def test_an_order_of_another_pair_is_as_one_that_is_not_there(world: Hub) -> None:
    """Guarantee 6: an id is the same 404, a number the same wait."""
    await world.reference(
        "tenant", {"slug": "rival", "name": "Rival", "systems": [{"name": "tms"}]}
    )
    await world.reference("pair", {"origin": "acme", "destination": "rival"})
    await world.process(world.create("A1", "create"))
    order_id = await world.pool.fetchval("SELECT id FROM orders")
    asked: dict[str, Any] = {"origin": "rival", "partner": "acme"}
    by_id = {**status("x"), "order": {"order_id": order_id}}
    nowhere = {**status("x"), "order": {"order_id": "0" * 24}}
    out = await world.process(
        world.record("order.update-status", by_id, command_id="theirs", **asked),
        world.record("order.update-status", nowhere, command_id="nobodys", **asked),
        world.record("order.update-status", status("A1"), command_id="number", **asked),
    )
    assert told(out) == [
        ("theirs", "refused", "request.order_not_found"),
        ("nobodys", "refused", "request.order_not_found"),
        ("number", "waiting", "lane.order_unknown"),
    ]
    first, second, _ = results(out)
    assert set(first["body"]) == set(second["body"]) == {"detail"}
    assert await world.pool.fetchval("SELECT waiting FROM orders") == 0
    await world.process(world.create("A2"))
    await in_order_of_numbers(world, 1)


async def test_progress_on_a_requested_order_waits_until_it_is_accepted(
    fresh_database: str,
) -> None:
    """Whatever changes the delivery lets the lane go on: here it is done by hand."""
    async with hub(fresh_database) as world:
        await two_companies(world, "acme", "haul", acceptance="manual")
        await world.process(world.create("A1", "create"))
        out = await world.process(world.status("A1", "1"))
        assert told(out) == [("1", "waiting", "lane.behind")]
        assert await world.lanes.sweep() == 0, "it waits for acceptance, nobody forgot it"
        await world.pool.execute("UPDATE orders SET delivery = 'sent'")
        assert await world.lanes.sweep() == 1, "now somebody would have"
        assert sent(await world.drain()) == [("acme", "1", "1")]


async def test_a_picture_that_comes_with_its_bytes_is_stored_and_both_may_read_it(
    world: Hub,
) -> None:
    """X09: on Kafka as base64, or by the id of one that is stored."""
    await world.process(world.create("A1", "create"))
    said = {"order": {"order_number": "A1"}, "bol_number": "B-1", "file_name": "b.png"}
    haul = await world.pool.fetchval("SELECT id FROM tenants WHERE slug = 'haul'")
    stored = Blob("b" * 24, haul, "application/pdf", 4, "0" * 64)
    async with transaction(world.pool) as connection:
        await blobs.store(connection, stored, b"%PDF")
    out = await world.process(
        world.record(
            "order.save-bol-image", {**said, "content": PICTURE}, command_id="1", **BY_HAUL
        ),
        world.record(
            "order.save-bol-image", {**said, "blob_id": stored.id}, command_id="2", **BY_HAUL
        ),
        world.record(
            "order.save-bol-image", {**said, "blob_id": "nobody's"}, command_id="3", **BY_HAUL
        ),
    )
    assert told(out) == [
        ("1", "done", None),
        ("2", "done", None),
        ("3", "refused", "request.invalid"),
    ]
    linked = {each["value"]["bol_photo"]["blob_id"] for each in syncs(out)}
    rows = await world.pool.fetch("SELECT blob_id FROM blob_orders")
    assert {row["blob_id"] for row in rows} == linked
    assert stored.id in linked
    sizes = await world.pool.fetch("SELECT size, length(content) AS bytes FROM blobs")
    assert all(row["size"] == row["bytes"] for row in sizes)


async def test_a_reused_id_and_a_further_copy_are_told_what_the_first_was(world: Hub) -> None:
    """K32, for a command that waits for a number and goes on."""
    first = world.status("A1", "one")
    await world.process(first)
    again = world.status("A1", "one")
    assert told(await world.process(again)) == [("one", "duplicate", "lane.order_unknown")]
    await world.process(world.create("A1", "create"))
    [done] = results(await world.drain())
    [copy] = results(await world.process(world.status("A1", "one")))
    assert copy == {**done, "outcome": "duplicate"}
    assert await world.pool.fetchval("SELECT count(*) FROM outbox WHERE after_id IS NOT NULL") == 1
    await in_order(world)


async def test_a_long_lane_drains_in_order_over_several_turns(
    world: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.commands.turns.COMMANDS_A_LANE", 7)
    await world.process(world.create("A1", "create", drops=late_drops()))
    ids = [str(number) for number in range(1, 31)]
    for at in range(0, 30, 10):
        await world.process(*(world.status("A1", id_) for id_ in ids[at : at + 10]))
    await in_order(world, waiting=31)
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    out = await world.drain()
    assert sent(out) == [("haul", "create", "1"), *(("acme", id_, id_) for id_ in ids)]
    assert Counter(outcome for _, outcome, _ in told(out)) == {"done": 31}
    await in_order(world)


async def test_an_order_number_of_both_directions_is_ambiguous(world: Hub) -> None:
    """K34: of the same two tenants in both directions, each the caller's own."""
    await world.reference("pair", {"origin": "haul", "destination": "acme"})
    back = order("A1")
    back["drops"][0] |= {
        "site": {"source_id": "d-main", "tank_id": "1"},
        "product": {"source_id": "d-reg"},
    }
    await world.process(
        world.create("A1"), world.record("order.create", back, origin="haul", partner="acme")
    )
    assert told(await world.process(world.status("A1", "own"))) == [("own", "done", None)]
    await world.pool.execute("UPDATE orders SET destination_number = 'A1'")
    assert told(await world.process(world.status("A1", "both"))) == [
        ("both", "refused", "request.order_ambiguous")
    ]
