"""The end of the trip, and orders that take no status (R077, R078, K26, K33)."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.domain import driver
from tests.unit.domain.driver import (
    DROPPING,
    LOADING,
    STATUS,
    by_acme,
    command,
    complete,
    found,
    say,
    sent,
    status,
    take,
    told,
)
from tests.unit.domain.trade import NOON


@pytest.mark.parametrize("progress", ["assigned", *LOADING, *DROPPING])
def test_k26_after_complete_any_other_status_is_refused(progress: str) -> None:
    here = driver.world()
    say(here, complete())
    place = {"source_id": "d-north"}
    effects = take(command(STATUS, status(progress, location=place), id="next"), here)
    assert told(effects) == ("refused", 422, "request.order_already_complete")
    assert effects.about == found(here).id
    assert effects.answer.body["log"]["detail"]["error"] == "request.order_already_complete"


def test_k33_the_same_complete_again_is_done_and_nothing_new() -> None:
    here = driver.world()
    first = say(here, complete(actual="2026-05-01T19:00:00Z", hauled_by="X"))
    again = complete(actual="2026-05-01T21:00:00+02:00", hauled_by="X")
    effects = say(here, again, id="days-later", accepted_at=NOON + timedelta(days=3))
    assert told(effects) == ("done", 200, None)
    assert effects.answer.body["status_update"] == first.answer.body["status_update"]
    assert (effects.order, effects.syncs, effects.events) == (None, [], [])
    assert effects.about == found(here).id


def test_k33_complete_as_the_other_side_says_it_too_is_nothing_new() -> None:
    here = driver.world()
    say(here, complete())
    assert say(here, complete(), **by_acme()).syncs == []


@pytest.mark.parametrize(
    "change",
    [
        {"actual": "2026-05-01T19:00:01Z"},
        {"assigned_to": "Dana"},
        {"hauled_by": "Y"},
        {"location": {"source_id": "d-north"}},
        {"location": {"source_id": "nowhere"}},
    ],
)
def test_k26_another_complete_after_complete_is_refused(change: dict[str, Any]) -> None:
    here = driver.world()
    say(here, complete(actual="2026-05-01T19:00:00Z"))
    request = {**complete(actual="2026-05-01T19:00:00Z"), **change}
    effects = take(command(STATUS, request, id="next"), here)
    assert told(effects) == ("refused", 422, "request.order_already_complete")


def test_r077_k26_complete_is_not_refused_for_want_of_papers_but_the_log_warns() -> None:
    effects = say(driver.world(), complete())
    assert effects.answer.outcome == "done"
    assert "without bills of lading and executed drops" in effects.logs[0]["detail"]["message"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"delivery": "canceled"}, "request.order_canceled"),
        ({"receipt": "rejected"}, "request.order_rejected"),
        ({"delivery": "canceled", "progress": "complete"}, "request.order_canceled"),
        ({"delivery": "failed"}, "request.order_not_sent"),
    ],
)
def test_k26_a_closed_order_takes_nothing(changes: dict[str, Any], code: str) -> None:
    effects = take(command(STATUS, status()), driver.world(sent(**changes)))
    assert told(effects) == ("refused", 422, code)
    assert effects.answer.body["log"]["metadata"]["crossroads_order_id"] == effects.about


def test_an_order_whose_receipt_failed_still_takes_progress() -> None:
    assert say(driver.world(sent(receipt="failed")), status()).answer.outcome == "done"
