"""Which change is meant, and what follows when there is none (R015, K34, K35, K42)."""

from dataclasses import replace
from typing import Any

import pytest

from services.domain.world import World
from tests.unit.domain.dealing import (
    ACCEPT,
    PROPOSE,
    REJECT,
    by_order,
    command,
    found,
    proposal,
    say,
    take,
    told,
    world,
)
from tests.unit.domain.driver import sent
from tests.unit.domain.trade import ACME, BETA, GAMMA


def accept(here: World, request: Any = None, **members: Any) -> Any:
    return say(here, ACCEPT, by_order() if request is None else request, **_beta(members))


def _beta(members: dict[str, Any]) -> dict[str, Any]:
    return {"by": BETA, "id": "change-9", **members}


def test_k35_the_origins_number_is_the_origins_whoever_calls() -> None:
    """Beta calls another order PO-1 itself: here that is no origin's number."""
    order = sent(destination_number="D-1")
    other = sent(id="9" * 24, origin_number="PO-2", destination_number="PO-1")
    here = world(order, other)
    say(here, PROPOSE, {"order": {"order_id": order.id}, "note": "N"})
    effects = accept(here, {"order": {"origin_order_number": "PO-1"}})
    assert effects.order is not None
    assert effects.order.id == order.id


@pytest.mark.parametrize(
    "key",
    [
        {"origin_order_number": "PO-1"},
        {"destination_order_number": "D-1"},
        {"origin_order_number": "PO-1", "destination_order_number": "D-1"},
    ],
)
@pytest.mark.parametrize("by", [ACME, BETA])
def test_r015_either_number_finds_the_pending_change(key: dict[str, str], by: Any) -> None:
    here = world(sent(destination_number="D-1"))
    proposal(here, by=ACME if by is BETA else BETA)
    assert told(accept(here, {"order": key}, by=by)) == ("done", 200, None)


@pytest.mark.parametrize(
    "order",
    [
        {"origin_order_number": "PO-1", "destination_order_number": "D-2"},
        {"origin_order_number": "PO-2", "destination_order_number": "D-1"},
        {"order_id": "f" * 24},
        {"order_id": "f" * 24, "origin_order_number": "PO-1"},
    ],
)
def test_k34_what_disagrees_or_is_not_there_is_one_miss(order: dict[str, str]) -> None:
    here = world(sent(destination_number="D-1"))
    change = proposal(here)
    for request in ({"order": order}, {"id": change.id, "order": order}):
        effects = accept(here, request)
        assert told(effects) == ("refused", 404, "change.not_found")
        assert effects.answer.body == {"detail": "There is no such change."}


@pytest.mark.parametrize("operation", [ACCEPT, REJECT])
def test_g6_another_pairs_change_is_the_miss_of_one_that_does_not_exist(operation: str) -> None:
    here = world()
    change = proposal(here)
    stranger = {"by": GAMMA, "partner": BETA, "partner_name": "Beta Haulage"}
    here.directory.pairs[GAMMA.id, BETA.id] = replace(
        here.directory.pairs[ACME.id, BETA.id], origin=GAMMA
    )
    answers = [
        take(command(operation, {"id": each}, **stranger), here).answer
        for each in (change.id, "0" * 24)
    ]
    assert answers[0] == answers[1]
    assert (answers[0].http_status, answers[0].code) == (404, "change.not_found")


def test_an_order_without_a_pending_change_has_none_to_accept() -> None:
    assert told(accept(world())) == ("refused", 404, "change.not_found")


def test_k34_an_unknown_number_waits_and_is_missed_after_its_time() -> None:
    request = by_order(order={"origin_order_number": "PO-9"})
    assert told(accept(world(), request)) == ("waiting", 200, "lane.order_unknown")
    late = take(command(ACCEPT, request, by=BETA, overdue=True), world())
    assert told(late) == ("refused", 404, "request.order_not_found")
    assert late.answer.body["detail"] == "Order not found for number: PO-9"


def test_k42_an_accept_waits_behind_what_its_order_waits_for() -> None:
    here = world()
    proposal(here)
    here.put_order(replace(found(here), waiting=1))
    effects = accept(here)
    assert told(effects) == ("waiting", 200, "lane.behind")
    body = effects.answer.body
    assert (body["status"], body["order"], body["order_row"]) == ("pending", None, None)
    turn = accept(here, lane=found(here).id)
    assert told(turn) == ("done", 200, None)


def test_an_order_that_took_the_command_over_by_another_number_has_no_such_change() -> None:
    """It waited for PO-9 of the origin's; the order that got this number got it from Beta."""
    here = world(sent(destination_number="PO-9"))
    proposal(here)
    order = found(here)
    request = {"order": {"origin_order_number": "PO-9"}}
    assert told(accept(here, request, lane=order.id)) == ("refused", 404, "change.not_found")


def test_k34_a_number_of_both_directions_means_the_one_with_a_pending_change() -> None:
    there = sent()
    back = sent(id="9" * 24, origin_id=BETA.id, destination_id=ACME.id)
    here = world(there, back)
    say(here, PROPOSE, {"order": {"order_id": there.id}, "note": "N"})
    assert told(accept(here)) == ("done", 200, None)
    effects = accept(here, id="change-7")
    assert told(effects) == ("refused", 422, "request.order_ambiguous")
