"""Create, topic to outbox: one batch, one transaction, every command answered once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from services.commands.gauges import Gauges
from services.domain.accounting import problems, report
from services.kit.database import transaction
from services.kit.metrics import exposition
from services.records import accounting
from tests.integration.hub import Hub, hub, mapping, order, results, syncs, two_companies


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul")
        yield opened


async def test_an_order_leaves_mapped_into_the_destinations_words(world: Hub) -> None:
    out = await world.process(
        world.record("order.create", order("A1"), origin="acme", partner="haul")
    )
    [sync] = syncs(out)
    assert sync["topic"] == "crossroads.sync.haul"
    assert sync["headers"]["ce_type"] == "crossroads.order.created.v1"
    assert sync["headers"]["ce_sequence"] == "1"
    drop = sync["value"]["order"]["drops"][0]
    assert drop["site"]["source_id"] == "d-main"
    assert drop["site"]["tank_id"] == "1"
    assert drop["product"]["source_id"] == "d-reg"
    [result] = results(out)
    assert (result["outcome"], result["http_status"], result["code"]) == ("done", 200, None)
    assert result["body"]["status"] == "synced"
    assert sync["headers"]["ce_subject"] == sync["value"]["order_id"]


async def test_a_gap_holds_its_order_alone_and_the_mapping_lets_it_go_once(world: Hub) -> None:
    """X05, K02, K41: both sides' gaps at once, neighbours unharmed, woken exactly once."""
    missing = order("A2")
    missing["drops"][0]["product"] = {"source_id": "o-new"}
    out = await world.process(
        world.record("order.create", missing, origin="acme", partner="haul", command_id="two"),
        world.record("order.create", order("A3"), origin="acme", partner="haul"),
    )
    assert [each["outcome"] for each in results(out)] == ["waiting", "done"]
    waiting = results(out)[0]
    assert waiting["code"] == "mapping.gap"
    assert waiting["body"]["status"] == "origin_mapped"
    assert len(syncs(out)) == 1
    assert await world.drain() == []
    await world.reference(
        "record", {"goid": "product_PREMIUM", "entity": "product", "name": "Premium"}
    )
    await world.reference(
        "mapping", mapping("acme", "dispatch", "product", "new", "product_PREMIUM", prefix="o")
    )
    out = await world.drain()
    assert out == [], "the destination's mapping is missing still, and was told once"
    await world.reference(
        "mapping", mapping("haul", "tms", "product", "new", "product_PREMIUM", prefix="d")
    )
    out = await world.drain()
    [sync] = syncs(out)
    assert sync["headers"]["ce_causationid"] == "two"
    assert sync["value"]["order"]["drops"][0]["product"]["source_id"] == "d-new"
    assert [each["outcome"] for each in results(out)] == ["done"]
    assert await world.drain() == []
    assert await world.pool.fetchval("SELECT count(*) FROM gaps") == 0
    assert await world.pool.fetchval("SELECT count(*) FROM lane_commands") == 0
    assert await world.lanes.sweep() == 0


async def test_a_second_copy_is_answered_like_the_first_and_does_nothing(world: Hub) -> None:
    """K32: in one batch and in a later one; another body under the same id is refused."""
    first = world.record("order.create", order("A4"), origin="acme", partner="haul", command_id="x")
    again = world.record("order.create", order("A4"), origin="acme", partner="haul", command_id="x")
    out = await world.process(first, again)
    assert [each["outcome"] for each in results(out)] == ["done", "duplicate"]
    assert results(out)[0]["body"] == results(out)[1]["body"]
    ids = {each["headers"]["ce_id"] for each in out}
    assert len(ids) == len(out)
    later = world.record("order.create", order("A4"), origin="acme", partner="haul", command_id="x")
    other = world.record("order.create", order("A5"), origin="acme", partner="haul", command_id="x")
    out = await world.process(later, other)
    assert [(each["outcome"], each["code"]) for each in results(out)] == [
        ("duplicate", None),
        ("refused", "request.idempotency_key_reused"),
    ]
    assert await world.pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_the_same_number_twice_is_refused_with_the_documents_text(world: Hub) -> None:
    """K36: in one batch, and later."""
    out = await world.process(
        world.record("order.create", order("A6"), origin="acme", partner="haul"),
        world.record("order.create", order("A6"), origin="acme", partner="haul"),
    )
    assert [each["code"] for each in results(out)] == [None, "request.order_already_exists"]
    out = await world.process(
        world.record("order.create", order("A6"), origin="acme", partner="haul")
    )
    [refused] = results(out)
    assert refused["body"]["detail"] == (
        "Duplicate order: An order with number 'A6' already exists for this tenant."
    )
    assert refused["body"]["log"]["detail"]["error"] == "request.order_already_exists"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"value": b"{"}, "not-json"),
        ({"value": b"\xff\xfe"}, "not-utf8"),
        ({"value": b'{"note": "a\\u0000b"}'}, "characters"),
        ({"value": b'{"note": "\\ud800"}'}, "characters"),
        ({"value": b'{"a": NaN}'}, "numbers"),
        ({"value": b'{"a": 1e999}'}, "numbers"),
        ({"value": b'{"a":' * 5000 + b"1" + b"}" * 5000}, "depth"),
        ({"value": b'"' + b"a" * 1_100_000 + b'"'}, "too-large"),
        ({"headers": {"ce_source": None}}, "headers"),
        ({"headers": {"ce_source": b"\xff"}}, "headers"),
        ({"headers": {"ce_type": b"crossroads.order.create.v9"}}, "unknown-type"),
        ({"topic": "crossroads.progress"}, "wrong-topic"),
        ({"topic": "crossroads.orders.haul"}, "tenant-mismatch"),
        ({"origin": "nobody"}, "unknown-tenant"),
        ({"origin": None}, "headers"),
    ],
)
async def test_what_cannot_be_read_is_one_dead_letter_and_its_neighbours_pass(
    world: Hub, change: dict[str, object], reason: str
) -> None:
    asked: dict[str, object] = {"origin": "acme", "partner": "haul", **change}
    bad = world.record("order.create", order("B1"), **asked)  # type: ignore[arg-type]
    out = await world.process(
        world.record("order.create", order("B2"), origin="acme", partner="haul"),
        bad,
        world.record("order.create", order("B3"), origin="acme", partner="haul"),
    )
    assert len(syncs(out)) == 2
    [letter] = [each for each in out if each["topic"] == "crossroads.dead-letter"]
    assert letter["headers"]["x-dead-letter-reason"] == reason
    assert letter["raw"] == bad.value
    assert letter["key"] == bad.key
    failed = [each for each in results(out) if each["outcome"] == "failed"]
    if reason != "unknown-tenant" and asked["origin"] is not None:
        assert [each["code"] for each in failed] == [f"record.{reason}"]
        [body] = [each["body"] for each in failed]
        assert list(body) == ["detail"], "HTTP's shape, not a refusal's"
        if reason == "too-large":
            assert isinstance(body["detail"], str)
        else:
            assert [list(entry) for entry in body["detail"]] == [["loc", "msg", "type"]]
            in_value = "value" in change
            assert body["detail"][0]["loc"][0] == ("body" if in_value else "header")
    stored = await world.pool.fetchval(
        "SELECT count(*) FROM commands WHERE operation LIKE 'order%'"
    )
    assert stored == 2, "the id stays free"


async def test_r030_a_number_that_would_be_another_one_for_the_destination_is_refused(
    world: Hub,
) -> None:
    body = orjson.dumps(order("C2", extra_data={"n": [7]}))
    sent = [body.replace(b"[7]", b"[7, 12345678901234567890123]"), body]
    records = [
        world.record("order.create", None, origin="acme", partner="haul", value=value)
        for value in sent
    ]
    [refused, done] = results(await world.process(*records))
    assert (refused["outcome"], refused["code"]) == ("refused", "request.invalid")
    [entry] = refused["body"]["detail"]
    assert entry["loc"] == ["body", "extra_data", "n", 1]
    assert done["outcome"] == "done"


async def test_a_refusal_is_data_and_names_every_error_at_once(world: Hub) -> None:
    """K28: schema errors, rules, the header and an unknown mapping_id together."""
    bad = order("C1", note="n" * 301)
    bad["delivery_window"]["end"] = bad["delivery_window"]["start"]
    bad["drops"][0]["product"] = {"goid": "product_REGULAR", "source_id": "o-reg"}
    out = await world.process(world.record("order.create", bad, origin="acme", partner=None))
    [refused] = results(out)
    assert (refused["outcome"], refused["code"]) == ("refused", "request.invalid")
    locs = [entry["loc"] for entry in refused["body"]["detail"]]
    assert locs[0] == ["header", "x-dest-tenant-name"]
    assert ["body", "note"] in locs
    assert any(loc[:2] == ["body", "delivery_window"] for loc in locs)
    assert any(loc[:4] == ["body", "drops", 0, "product"] for loc in locs)
    assert await world.pool.fetchval("SELECT count(*) FROM orders") == 0


async def test_no_pair_in_this_direction_is_403_with_the_fixed_sentence(world: Hub) -> None:
    out = await world.process(
        world.record("order.create", order("D1"), origin="haul", partner="acme")
    )
    [refused] = results(out)
    assert (refused["http_status"], refused["code"]) == (403, "request.no_such_pair")
    assert refused["body"]["detail"] == "There is no pair of these tenants in this direction."


async def test_manual_acceptance_sends_requested_and_waits(fresh_database: str) -> None:
    """X06, K38: mapped first, then asked for."""
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul", acceptance="manual")
        out = await opened.process(
            opened.record("order.create", order("E1"), origin="acme", partner="haul")
        )
        assert syncs(out)[0]["headers"]["ce_type"] == "crossroads.order.requested.v1"
        [waiting] = results(out)
        assert (waiting["outcome"], waiting["code"]) == ("waiting", "request.manual_acceptance")
        assert waiting["body"]["status"] == "requested"
        assert await opened.lanes.sweep() == 0


async def test_a_record_nobody_foresaw_fails_alone_with_log_and_dead_letter(world: Hub) -> None:
    """R097: the stream gives it up; its id is used, so that a repeat hears the same."""
    bad = world.record("order.create", order("G1"), origin="acme", partner="haul", command_id="g")
    async with transaction(world.pool) as connection:
        await world.pipeline.poisoned(connection, bad, RuntimeError("nobody foresaw this"))
    out = await world.outgoing()
    [failed] = [each for each in results(out) if each["command_id"] == "g"]
    assert (failed["outcome"], failed["http_status"], failed["code"]) == (
        "failed",
        500,
        "system.error",
    )
    assert failed["body"] == {"detail": "Unhandled System Error. Please retry or contact support."}
    [letter] = [each for each in out if each["topic"] == "crossroads.dead-letter"]
    assert letter["headers"]["x-dead-letter-reason"] == "unforeseen"
    assert "foresaw" not in letter["headers"]["x-dead-letter-detail"]
    assert await world.pool.fetchval("SELECT count(*) FROM log_entries") == 1
    out = await world.process(bad)
    assert [each["outcome"] for each in results(out)] == ["duplicate"]


async def test_a_poisoned_upsert_and_an_unreadable_poisoned_record_are_given_up_too(
    world: Hub,
) -> None:
    upsert = world.record(
        "reference.upsert-record", {"goid": "product_X00001", "entity": "product", "name": "X"}
    )
    nonsense = world.record("order.create", None, origin="acme", value=b"{")
    async with transaction(world.pool) as connection:
        for record in (upsert, nonsense):
            await world.pipeline.poisoned(connection, record, RuntimeError("x"))
    letters = [
        each
        for each in await world.outgoing()
        if each["headers"].get("x-dead-letter-reason") == "unforeseen"
    ]
    assert len(letters) == 2


async def test_a_command_whose_records_outgrow_a_topic_is_refused(world: Hub) -> None:
    """Protocol §2: size is decided when storing; the key's echo is longer than the key."""
    key = {"source_id": "o-reg"}
    for item in ("REGULAR", "DIESEL"):
        await world.reference(
            "record", {"goid": f"product_{item}", "entity": "product", "name": "\u20ac" * 250}
        )
    wanted = order("H1")
    wanted["drops"][0]["loads"] = [{"products": [key] * 36_000}]
    record = world.record("order.create", wanted, origin="acme", partner="haul")
    assert len(record.value or b"") < 1024 * 1024
    out = await world.process(record)
    [refused] = results(out)
    assert (refused["outcome"], refused["code"]) == ("refused", "request.order_too_large")
    assert syncs(out) == []
    assert await world.pool.fetchval("SELECT count(*) FROM orders") == 0


async def test_the_books_balance_and_the_gauges_tell_who_waits(world: Hub) -> None:
    """One of each: done, waiting, refused, a copy, a dead letter."""
    waiting = order("I2")
    waiting["drops"][0]["product"] = {"source_id": "o-new"}
    asked: dict[str, Any] = {"origin": "acme", "partner": "haul"}
    await world.process(
        world.record("order.create", order("I1"), command_id="i1", **asked),
        world.record("order.create", order("I1"), command_id="i1", **asked),
        world.record("order.create", waiting, **asked),
        world.record("order.create", order("I1"), **asked),
        world.record("order.create", None, value=b"{", **asked),
    )
    await world.pool.execute("DELETE FROM outbox")
    async with transaction(world.pool) as connection:
        counted = await accounting.count(connection)
        assert problems(counted) == []
        told = report(counted)
    assert told["operations"]["order.create"] == {
        "accepted": 3,
        "done": 1,
        "waiting": 1,
        "refused": 1,
        "failed": 0,
    }
    assert (told["duplicates"], told["dead_letters"]) == (1, 1)
    await Gauges(world.pool).tell(books=True)
    text = exposition().decode()
    assert 'crossroads_mapping_gaps{entity="product",tenant="acme"} 1.0' in text
    assert 'crossroads_waiting_commands{reason="mapping.gap",tenant="acme"} 1.0' in text
    assert 'crossroads_oldest_unsynced_order_age_seconds{tenant="haul"}' in text
