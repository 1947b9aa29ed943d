"""Acceptance by hand: who may, under which number, and what the create comes to (X06, K38)."""

from dataclasses import replace
from typing import Any

import pytest

from services.domain import status
from tests.unit.domain import fates
from tests.unit.domain.fates import ACCEPT, CANCEL, REJECT, command, world
from tests.unit.domain.trade import ACME


def test_x06_the_create_is_done_and_sends_what_was_mapped_when_it_was_asked_for() -> None:
    here = world(acceptance="manual")
    asked = fates.found(here)
    effects = fates.apply(command(ACCEPT, destination_order_number="BH-7"), here)
    create, order = effects.create, fates.found(here)
    assert create is not None
    assert (create.answer.outcome, create.answer.body["status"]) == ("done", "synced")
    [created] = create.syncs
    assert created.type == "crossroads.order.created.v1"
    assert created.members["order"] == {
        **(asked.destination_document or {}),
        "destination_order_number": "BH-7",
    }
    [accepted] = effects.syncs
    assert (accepted.receiver.slug, accepted.type) == ("acme", "crossroads.order.accepted.v1")
    assert effects.answer.body["status"] == "synced"
    assert (order.delivery, order.receipt, order.destination_number) == ("sent", "accepted", "BH-7")
    assert asked.origin_document["destination_order_number"] is None, "never changed in place"
    assert status.of(replace(order, delivered=False)) == "destination_mapped"


def test_x06_a_rejection_says_why_to_the_create_and_to_the_origin() -> None:
    here = world(acceptance="manual")
    effects = fates.apply(command(REJECT, reason_code="no truck"), here)
    assert effects.create is not None
    body = effects.create.answer.body
    assert (effects.create.answer.code, body["detail"]) == (
        "order.rejected",
        "The destination rejected the order. Reason: no truck",
    )
    assert body["log"]["detail"]["message"] == body["detail"]
    assert effects.syncs[0].members["receipt"]["reason_code"] == "no truck"
    assert status.of(fates.found(here)) == "rejected"
    assert fates.found(here).message == body["detail"]


@pytest.mark.parametrize("operation", [ACCEPT, REJECT])
@pytest.mark.parametrize(
    ("made", "code"),
    [
        ({}, "request.order_not_requested"),
        ({"acceptance": "manual", "mapped": False}, "request.order_not_requested"),
        ({"delivery": "failed"}, "request.order_not_requested"),
        ({"progress": "complete"}, "request.order_not_requested"),
        ({"receipt": "rejected"}, "request.order_rejected"),
    ],
)
def test_only_an_order_that_waits_for_it_is_decided(
    operation: str, made: dict[str, Any], code: str
) -> None:
    assert fates.take(command(operation), world(**made)).answer.code == code


@pytest.mark.parametrize("operation", [ACCEPT, REJECT])
def test_the_origin_does_not_decide_for_its_destination(operation: str) -> None:
    answer = fates.take(command(operation, by=ACME), world(acceptance="manual")).answer
    assert (answer.http_status, set(answer.body)) == (403, {"detail", "code"})
    assert answer.code == "request.not_allowed"


def test_a_number_is_an_orders_own_within_the_pair() -> None:
    here = world(acceptance="manual")
    other = replace(fates.found(here), id="f" * 24, origin_number="PO-2", destination_number="BH-1")
    here.put_order(other)
    assert fates.take(command(ACCEPT), here).answer.code == "request.order_number_taken"
    free = command(ACCEPT, destination_order_number="PO-2")
    assert fates.take(free, here).answer.outcome == "done", "an origin's number is no such number"


@pytest.mark.parametrize("number", [None, "", "x" * 256, 7, ...])
def test_an_acceptance_needs_a_number(number: Any) -> None:
    made = command(ACCEPT, destination_order_number=number)
    answer = fates.take(made, world(acceptance="manual")).answer
    assert [each["loc"] for each in answer.body["detail"]] == [["body", "destination_order_number"]]


def test_an_order_that_was_accepted_can_still_be_canceled() -> None:
    here = world(acceptance="manual")
    fates.apply(command(ACCEPT), here)
    effects = fates.apply(command(CANCEL, id_="cancel"), here)
    assert (effects.create, [each.receiver.slug for each in effects.syncs]) == (None, ["beta"])
