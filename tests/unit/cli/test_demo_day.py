"""The seeded day is what it claims: its shares, and that the decision itself agrees with it."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.orders import CREATE_ORDER
from schemas.reading import read
from services.cli.demo import examples
from services.cli.demo.broken import KINDS, BrokenRecord
from services.cli.demo.checks import differences, received
from services.cli.demo.day import TANK_WAYS, Day, DayOrder, draw_day
from services.cli.demo.trade import LATE, NORTH, ORIGIN, SOUTH, Trade, trade
from services.cli.demo.windows import draw_window, exists
from services.commands.decode import Dead, decode
from services.domain import reference
from services.domain.command import Command
from services.domain.effects import Effects
from services.domain.operations import create
from services.domain.world import World
from services.kit.cloudevents import Record, Source
from tests.unit.domain.desk import Desk, upsert

LISTS = {
    "tenants": reference.TENANT,
    "pairs": reference.PAIR,
    "records": reference.RECORD,
    "mappings": reference.MAPPING,
}
NOW = datetime(2026, 10, 31, 12, tzinfo=UTC)


def world_of(
    made: Trade, *, backwards: bool = False, late: tuple[str, ...] = tuple(sorted(LATE))
) -> World:
    """The hub's master data after the demonstration's reference data, in either order."""
    desk = Desk()
    file = examples.merged(made.reference(), examples.reference())
    file["mappings"] += [made.late()[kind] for kind in late]
    items = [(LISTS[name], item) for name in LISTS for item in file[name]]
    if backwards:
        items.reverse()
    for number, (operation, body) in enumerate(items):
        desk.take(upsert(operation, body, id=f"u{number}", arrived=number))
    assert desk.waiting() == set()
    assert {answer.outcome for answer in desk.answers.values()} == {"done"}
    return desk.world


def decide(
    world: World, body: Mapping[str, Any], destination: str, *, system: str | None = None
) -> Effects:
    caller, partner = (world.directory.find(slug) for slug in (ORIGIN, destination))
    assert caller is not None
    raw = json.loads(json.dumps(body))
    command = Command(
        operation="order.create",
        id=str(body["origin_order_number"]),
        caller=caller,
        partner_name=destination,
        partner=partner,
        system_name=system,
        instance_name=None,
        strict=False,
        correlation_id="c",
        reading=read(CREATE_ORDER, raw),
        accepted_at=NOW,
        derive=lambda *parts: hashlib.sha256(repr((body, parts)).encode()).hexdigest()[:24],
        raw=raw,
    )
    return create.decide(command, world, NOW)


@pytest.fixture(scope="module")
def complete() -> World:
    return world_of(trade())


@pytest.fixture(scope="module")
def morning() -> World:
    return world_of(trade(), late=())


def assert_delivered(order: DayOrder, effects: Effects) -> None:
    assert effects.answer.outcome == "done", effects.answer.body
    assert [sync.receiver.slug for sync in effects.syncs] == [order.destination]
    document = effects.syncs[0].members["order"]
    assert differences(order.wanted, received(document)) == []


@given(seed=st.integers(0, 10**9))
@settings(max_examples=12, deadline=None)
def test_every_order_maps_to_what_the_day_says_once_all_mappings_are_there(
    complete: World, seed: int
) -> None:
    for order in draw_day(trade(), seed=seed, size=40).orders:
        assert_delivered(order, decide(complete, order.body, order.destination))


@given(seed=st.integers(0, 10**9))
@settings(max_examples=12, deadline=None)
def test_in_the_morning_exactly_the_late_orders_wait_on_a_gap(morning: World, seed: int) -> None:
    for order in draw_day(trade(), seed=seed, size=60).orders:
        effects = decide(morning, order.body, order.destination)
        assert bool(effects.gaps) == bool(order.late), (order.late, effects.answer.body)
        assert effects.answer.code == ("mapping.gap" if order.late else None)


@pytest.mark.parametrize("kind", sorted(LATE))
def test_each_late_mapping_lets_the_orders_go_on_that_need_it_alone(kind: str) -> None:
    world = world_of(trade(), late=(kind,))
    for order in draw_day(trade(), seed=5, size=300).orders:
        effects = decide(world, order.body, order.destination)
        assert bool(effects.gaps) == bool(order.late - {kind})


def test_the_reference_data_is_complete_in_any_order_of_arrival(complete: World) -> None:
    backwards = world_of(trade(), backwards=True)
    assert backwards.master.records == complete.master.records
    for order in draw_day(trade(), seed=1, size=30).orders:
        assert_delivered(order, decide(backwards, order.body, order.destination))


def day_of_2000() -> Day:
    return draw_day(trade(), seed=7, size=2_000)


def test_a_day_of_2000_has_the_shares_it_claims() -> None:
    day = day_of_2000()
    assert len(day.records) == 2_000
    assert len(day.broken) == 20
    late = [order for order in day.orders if order.late]
    assert len(late) >= 100
    assert {kind for order in late for kind in order.late} == set(LATE)
    assert any(len(order.late) > 1 for order in late)
    assert {order.destination for order in day.orders} == {NORTH, SOUTH}
    for feature in (*TANK_WAYS, "several-drops", "blend", "named-terminal", "unnamed-terminal"):
        assert day.share(feature) > 0.05, feature
    for feature in ("daylight-saving", "two-names", "tied-tanks", "lists", "note"):
        assert day.share(feature) > 0.03, feature
    assert 0.03 < sum(order.by_http for order in day.orders) / 2_000 < 0.08
    assert len({order.number for order in day.orders}) == len(day.orders)
    assert {record.kind for record in day.broken} == {kind for kind, _ in KINDS}
    assert len(day.repeats) == 10


def test_the_same_seed_draws_the_same_day_and_another_one_another() -> None:
    assert draw_day(trade(), seed=3, size=50) == draw_day(trade(), seed=3, size=50)
    assert draw_day(trade(), seed=3, size=50) != draw_day(trade(), seed=4, size=50)


def test_every_kind_of_broken_record_is_unreadable_for_the_reason_it_names() -> None:
    for record in day_of_2000().broken:
        if record.reason in ("tenant-mismatch", "unknown-tenant"):
            continue
        told = decode(as_read(record))
        assert isinstance(told, Dead), record.kind
        assert told.reason == record.reason, record.kind


def as_read(record: BrokenRecord) -> Record:
    topic = "crossroads.orders" if record.shared else f"crossroads.orders.{ORIGIN}"
    source = Source("cluster", topic, 0, 0)
    return Record(source, record.key, record.value, tuple(record.headers), 0)


@given(st.randoms(use_true_random=False))
def test_a_drawn_window_has_its_ends_in_order_and_shows_times_that_exist(rng: Any) -> None:
    window = draw_window(rng)
    start, end = (datetime.fromisoformat(moment) for moment in window.wanted[:2])
    assert start < end
    if window.wanted[2] != "UTC":
        zone = ZoneInfo(window.wanted[2])
        local = [datetime.fromisoformat(window.written[name]) for name in ("start", "end")]
        assert all(exists(moment.replace(tzinfo=None), zone) for moment in local)


def test_the_documents_examples_are_refused_as_printed_and_orders_after_the_least_change(
    complete: World,
) -> None:
    for example in examples.examples():
        if example.printed is not None:
            refused = decide(complete, example.printed, example.destination, system=examples.SYSTEM)
            assert refused.answer.outcome == "refused"
            named = examples.named_fields(refused.answer.body["detail"])
            assert set(example.named) <= set(named), (example.document, named)
        order = decide(complete, example.order, example.destination, system=examples.SYSTEM)
        assert order.answer.outcome == "done", order.answer.body
