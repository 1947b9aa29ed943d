"""An older status after a newer one, and what of a trip lasts (K26)."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.dump import iso_utc
from services.domain.world import OrderState
from tests.unit.domain import driver
from tests.unit.domain.driver import (
    DROPPING,
    LOADING,
    STATUS,
    apply,
    command,
    complete,
    found,
    say,
    status,
)
from tests.unit.domain.trade import NOON


def trip(order: OrderState) -> dict[str, Any]:
    assert order.trip is not None
    return dict(order.trip)


def test_k26_an_older_status_is_forwarded_but_does_not_move_the_trip_back() -> None:
    here = driver.world()
    say(here, status("loading", actual="2026-05-01T15:00:00Z", eta="2026-05-01T20:00:00Z"))
    late = status(actual="2026-05-01T14:00:00Z", eta="2026-05-01T19:00:00Z", assigned_to="Dana")
    effects = say(here, late, id="late", accepted_at=NOON + timedelta(hours=1))
    assert effects.answer.body["status_update"]["progress_status"] == "arrived_at_load"
    assert len(effects.syncs) == 1
    assert effects.events[0].detail["late"] is True
    assert found(here).progress == "loading"
    assert trip(found(here))["eta"] == "2026-05-01T20:00:00Z", "the newer value stays"
    assert trip(found(here))["assigned_to"] == "Dana", "nothing newer said it"
    assert trip(found(here))["actual"] == "2026-05-01T15:00:00Z"


def test_k26_without_actual_on_both_the_arrival_decides() -> None:
    here = driver.world()
    say(here, status("loading", actual="2026-05-01T15:00:00Z"), accepted_at=NOON)
    early = NOON - timedelta(seconds=1)
    say(here, status("assigned"), id="a", accepted_at=early)
    assert found(here).progress == "loading"
    say(here, status("completed_load"), id="b", accepted_at=NOON)
    assert found(here).progress == "completed_load", "of one moment the later decided is newer"


def test_k26_a_fraction_of_a_second_is_older_or_newer() -> None:
    here = driver.world()
    say(here, status("loading", actual="2026-05-01T15:00:00.5Z"))
    say(here, status("assigned", actual="2026-05-01T15:00:00Z"), id="b")
    assert found(here).progress == "loading"


def test_r075_k26_load_and_drop_cycles_repeat_and_steps_are_skipped() -> None:
    here = driver.world()
    for at, progress in enumerate(["completed_drop", "driving_to_load", "loading", "loading"]):
        say(here, status(progress), id=f"s{at}")
        assert found(here).progress == progress


def test_complete_is_never_late() -> None:
    here = driver.world()
    say(here, status("dropping", actual="2026-05-01T18:00:00Z"))
    say(here, complete(actual="2026-05-01T17:59:00Z"), id="end")
    assert found(here).progress == "complete"


def test_k26_eta_and_assigned_to_keep_the_last_value_given_hauled_by_the_last_explicit_one() -> (
    None
):
    here = driver.world()
    say(here, status(eta="2026-05-01T20:00:00Z", assigned_to="Dana", hauled_by="Second"))
    say(here, status("loading"), id="b")
    kept = trip(found(here))
    assert [kept[member] for member in ("eta", "delivery_eta", "assigned_to", "hauled_by")] == [
        "2026-05-01T20:00:00Z",
        "2026-05-01T20:00:00Z",
        "Dana",
        "Second",
    ]
    say(here, status("loading", delivery_eta="2026-05-01T21:00:00Z", assigned_to="Ali"), id="c")
    kept = trip(found(here))
    assert (kept["delivery_eta"], kept["assigned_to"]) == ("2026-05-01T21:00:00Z", "Ali")


MOMENTS = st.integers(0, 6).map(lambda hours: NOON + timedelta(hours=hours))


UPDATES = st.lists(
    st.tuples(
        st.sampled_from(["assigned", *LOADING, *DROPPING]),
        st.one_of(st.none(), MOMENTS),
        st.one_of(st.none(), st.sampled_from(["Dana", "Ali"])),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(UPDATES)
def test_k26_whatever_comes_the_trip_is_at_an_update_nothing_before_it_is_newer_than(
    updates: list[tuple[str, datetime | None, str | None]],
) -> None:
    here = driver.world()
    said: list[str | None] = []
    for at, (progress, actual, assigned_to) in enumerate(updates):
        before = found(here)
        request = status(
            progress,
            actual=None if actual is None else iso_utc(actual),
            assigned_to=assigned_to,
        )
        accepted_at = NOON + timedelta(seconds=at)
        effects = apply(command(STATUS, request, id=str(at), accepted_at=accepted_at), here)
        assert len(effects.syncs) == 1, "stored and forwarded, late or not"
        newest = None if before.trip is None else before.trip["actual"]
        late = actual is not None and newest is not None and actual < datetime.fromisoformat(newest)
        assert found(here).progress == (before.progress if late else progress)
        said.append(assigned_to)
        assert (trip(found(here))["assigned_to"] is None) == (not any(said))
