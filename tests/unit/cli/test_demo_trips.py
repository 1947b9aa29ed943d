"""The drivers' day is what it claims: its shares, and that the decision itself agrees with it."""

import hashlib
import json
import struct
import zlib
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.dump import to_json
from schemas.operations import operation as operation_of
from schemas.reading import read
from services.cli.demo.checks import differences, told
from services.cli.demo.day import draw_day
from services.cli.demo.picture import drawn_picture
from services.cli.demo.sending import path_of
from services.cli.demo.trade import LATE, ORIGIN, trade
from services.cli.demo.trips import Step, Trip, draw_trips, rounded
from services.domain import pictures
from services.domain.command import Command
from services.domain.effects import Effects
from services.domain.operations.table import TABLE
from services.domain.world import World
from tests.unit.cli.test_demo_day import decide, world_of
from tests.unit.domain.driver import ADAPTERS

NOW = datetime(2026, 10, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def complete() -> World:
    return world_of(trade())


def say(world: World, trip: Trip, step: Step) -> Effects:
    caller, partner = (world.directory.find(slug) for slug in (trip.order.destination, ORIGIN))
    assert caller is not None
    command = Command(
        operation=step.operation,
        id=step.command_id,
        caller=caller,
        partner_name=ORIGIN,
        partner=partner,
        system_name=None,
        instance_name=None,
        strict=True,
        correlation_id="c",
        reading=read(ADAPTERS[step.operation], step.body, strict=True),
        accepted_at=NOW,
        derive=lambda *parts: hashlib.sha256(repr((step, parts)).encode()).hexdigest()[:24],
        raw=step.body,
    )
    effects = TABLE[step.operation].decide(command, world, NOW)
    if effects.order is not None:
        world.put_order(effects.order)
    return effects


def written(value: Any) -> Any:
    """As it is read from the wire by no code of the hub's: numbers of JSON."""
    return json.loads(to_json(value))


@given(seed=st.integers(0, 10**9))
@settings(max_examples=10, deadline=None)
def test_every_step_reads_as_the_trip_says(complete: World, seed: int) -> None:
    """R056-R063, R079-R085, K12, K16, K27: facts, written twice, agree with the decision."""
    made = trade()
    world = World(complete.directory, complete.master)
    for trip in draw_trips(made, draw_day(made, seed=seed, size=60)):
        created = decide(world, trip.order.body, trip.order.destination)
        assert created.order is not None
        world.put_order(created.order)
        for step in trip.steps:
            effects = say(world, trip, step)
            assert effects.answer.outcome == "done", (step, effects.answer.body)
            [sync] = effects.syncs
            assert sync.receiver.slug == ORIGIN
            read_back = told(step.member, written(sync.members[step.member]))
            assert differences(step.wanted, read_back) == [], step
        order = world.orders[created.order.id]
        assert order.progress == trip.newest


def test_a_day_of_2000_has_the_trips_it_claims() -> None:
    made = trade()
    day = draw_day(made, seed=7, size=2_000)
    trips = draw_trips(made, day)
    assert draw_trips(made, day) == trips
    ready = [trip for trip in trips if not trip.order.late]
    late = [trip for trip in trips if trip.order.late]
    assert 250 < len(ready) < 500
    assert {kind for trip in late for kind in trip.order.late} == set(LATE)
    counts = Counter(step.operation for trip in trips for step in trip.steps)
    assert counts["order.update-status"] > 1_000
    assert counts["order.save-bol-image"] > 15
    assert sum(trip.early for trip in trips) > 20
    assert sum(trip.by_http for trip in trips) > 10
    assert any(trip.steps[-1].operation != "order.update-status" for trip in trips)
    ids = [step.command_id for trip in trips for step in trip.steps]
    assert len(set(ids)) == len(ids)


def test_a_day_of_60_has_a_trip_of_an_order_that_waits() -> None:
    made = trade()
    for seed in range(20):
        trips = draw_trips(made, draw_day(made, seed=seed, size=60))
        assert any(trip.order.late for trip in trips) or len(trips) > 4


def test_a_drawn_picture_is_a_png_that_a_program_can_read() -> None:
    """X09: told by its bytes; its chunks are whole and its pixels as many as it says."""
    content = drawn_picture(b"seed")
    assert pictures.media_type(content) == "image/png"
    assert content != drawn_picture(b"other")
    at, chunks = 8, {}
    while at < len(content):
        (size,) = struct.unpack_from(">I", content, at)
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", content, at + 8 + size) == (zlib.crc32(kind + data),)
        chunks[kind] = data
        at += 12 + size
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (width + 1)


@pytest.mark.parametrize(
    ("volume", "kept"), [(1.00005, 1.0), (1.00015, 1.0002), (7.123456789, 7.1235), (8.0, 8.0)]
)
def test_a_volume_is_rounded_half_to_even_at_four_places(volume: float, kept: float) -> None:
    """K16."""
    assert rounded(volume) == kept


@pytest.mark.parametrize("operation", sorted(ADAPTERS))
def test_a_step_goes_to_the_path_of_its_operation(operation: str) -> None:
    assert path_of(operation) == operation_of(operation).path
