"""Log entries as the tenant reads them (R096, R097, K45)."""

from typing import Any

import pytest

from schemas.log import CROSSROADS_LOG
from services.domain import logs
from services.domain.tenants import Pair
from services.domain.world import World
from tests.unit.domain.trade import ACME, BETA, body, command, decide, drop, world

MANUAL = Pair("p", ACME, BETA, acceptance="manual")


@pytest.mark.parametrize(
    ("request_", "here", "expected"),
    [
        (body(), world(), ("success", "low", "crossroads", None)),
        (
            body(drop(product={"source_id": "x"})),
            world(),
            ("waiting", "medium", "mapping", "mapping.gap"),
        ),
        (
            body(),
            world(pair=MANUAL),
            ("waiting", "medium", "delivery", "request.manual_acceptance"),
        ),
        (body(drop(volume=0)), world(), ("refused", "medium", "validation", "request.invalid")),
    ],
)
def test_k45_every_outcome_has_its_entry(
    request_: Any, here: World, expected: tuple[str | None, ...]
) -> None:
    [log] = decide(request_, here).logs
    CROSSROADS_LOG.validate_python(log)
    detail = log["detail"]
    assert (log["status"], log["severity"], detail["category"], detail["error"]) == expected
    assert detail["message"]
    assert detail["message_short"]
    assert detail["traceback"] is None


def test_k45_the_fixed_members() -> None:
    effects = decide()
    assert effects.order is not None
    [log] = effects.logs
    assert log["worker_name"] == "Crossroads"
    assert (log["retried"], log["send_notification"]) == (False, True)
    assert (log["outbound_request"], log["inbound_request"]) == ({}, {})
    assert log["saga_type"] == "create_order"
    assert log["correlation_id"] == "correlation-1"
    assert log["date"] == "2026-05-01T12:00:00Z"
    assert log["metadata"] == {
        "type": "order",
        "group_id": "PO-1",
        "origin_order_number": "PO-1",
        "crossroads_order_id": effects.order.id,
    }


def test_waiting_and_then_going_on_are_two_entries() -> None:
    made = command()
    one = logs.entry(made, made.accepted_at, title="t", status="waiting", category="mapping",
                     message="m", short="s", routing={}, subject=logs.Subject())  # fmt: skip
    two = logs.entry(made, made.accepted_at, title="t", status="success", category="mapping",
                     message="m", short="s", routing={}, subject=logs.Subject())  # fmt: skip
    assert one["_id"] != two["_id"]


def test_r097_no_entry_of_a_refusal_names_an_order_that_is_not_there() -> None:
    [log] = decide(body(drop(volume=0))).logs
    assert log["metadata"]["crossroads_order_id"] is None
