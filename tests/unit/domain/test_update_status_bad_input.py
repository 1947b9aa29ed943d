"""Bad input of a status is told by name (R031, R075, R076, R082, K03, K12, K14, K28)."""

from typing import Any

import pytest

from services.domain.operations import update_status
from tests.unit.domain import driver
from tests.unit.domain.driver import (
    DROPPING,
    LOADING,
    STATUS,
    command,
    errors,
    say,
    status,
    take,
    told,
)
from tests.unit.domain.trade import ACME


@pytest.mark.parametrize("unknown", ["no_progress", "ARRIVED_AT_LOAD", "done", "", None, 7])
def test_k14_a_status_that_is_none_is_422(unknown: Any) -> None:
    [(loc, kind)] = errors(take(command(STATUS, status(unknown)), driver.world()))
    assert loc == ["body", "progress_status"]
    assert kind == "literal_error"


@pytest.mark.parametrize("progress", ["assigned", *LOADING, *DROPPING])
@pytest.mark.parametrize("location", [..., None])
def test_r076_without_location_and_site_a_status_is_422(progress: str, location: Any) -> None:
    effects = take(command(STATUS, status(progress, location=location)), driver.world())
    assert errors(effects) == [(["body", "location"], "location_required")]


@pytest.mark.parametrize("location", [..., None])
def test_r076_complete_needs_no_place(location: Any) -> None:
    effects = take(command(STATUS, status("complete", location=location)), driver.world())
    assert effects.answer.outcome == "done"


@pytest.mark.parametrize("progress", LOADING)
def test_k12_a_site_alone_is_no_place_to_load(progress: str) -> None:
    request = status(progress, location=None, site={"source_id": "d-main"})
    effects = take(command(STATUS, request), driver.world())
    assert errors(effects) == [(["body", "location"], "location_required")]
    both = status(progress, site={"source_id": "d-main"})
    assert take(command(STATUS, both), driver.world()).answer.outcome == "done"


@pytest.mark.parametrize("key", [{}, {"source_id": ""}, {"source_id": None}])
def test_r031_an_empty_key_is_422(key: dict[str, Any]) -> None:
    effects = take(command(STATUS, status(location=key)), driver.world())
    assert errors(effects) == [(["body", "location"], "key_required")]


def test_k28_every_error_is_told_at_once_in_document_order() -> None:
    request = status("flying", eta=5, assigned_to="x" * 51, location={}, order={})
    effects = take(command(STATUS, request), driver.world())
    assert [loc[1:] for loc, _ in errors(effects)] == [
        ["order"],
        ["location"],
        ["progress_status"],
        ["eta"],
        ["assigned_to"],
    ]


def test_r082_assigned_to_has_at_most_50_characters() -> None:
    assert told(say(driver.world(), status(assigned_to="x" * 50)))[0] == "done"
    effects = take(command(STATUS, status(assigned_to="x" * 51)), driver.world())
    assert errors(effects) == [(["body", "assigned_to"], "string_too_long")]


def test_k31_an_unknown_member_is_named_or_refused_when_strict() -> None:
    effects = say(driver.world(), status(speed=50))
    assert effects.answer.body["message"] == "Ignored unknown fields: speed"
    effects = take(command(STATUS, status(speed=50), strict=True), driver.world())
    assert errors(effects) == [(["body", "speed"], "extra_forbidden")]


def test_k03_an_unknown_mapping_id_can_never_arrive() -> None:
    request = status("dropping", location={"mapping_id": "f" * 24})
    effects = take(command(STATUS, request), driver.world())
    assert errors(effects) == [(["body", "location", "mapping_id"], "unknown_mapping")]


def test_k28_an_unknown_mapping_id_is_told_beside_what_does_not_read() -> None:
    request = status("dropping", location={"mapping_id": "f" * 24}, assigned_to="x" * 51)
    assert errors(take(command(STATUS, request), driver.world())) == [
        (["body", "location", "mapping_id"], "unknown_mapping"),
        (["body", "assigned_to"], "string_too_long"),
    ]


@pytest.mark.parametrize("request_", [{}, [], "x", {"order": None}, {"location": 5}, None])
def test_needs_and_decision_take_whatever_was_sent(request_: Any) -> None:
    here = driver.world()
    for partner in (ACME, None):
        made = command(STATUS, request_, partner=partner)
        update_status.needs(made, here.directory)
        assert take(made, here).answer.code == "request.invalid"
