"""Who may cancel what, who is told, and what ends by it (X08, K26, K33)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codes import Code
from services.domain import refusals, status
from tests.unit.domain import fates
from tests.unit.domain.fates import ACCEPT, CANCEL, RECEIPT, REJECT, command, world
from tests.unit.domain.trade import ACME, BETA


@pytest.mark.parametrize(
    ("made", "by", "told", "create"),
    [
        ({"mapped": False}, ACME, [], "order.canceled"),
        ({"mapped": False}, BETA, [], "order.canceled"),
        ({"acceptance": "manual"}, ACME, ["beta"], "order.canceled"),
        ({"acceptance": "manual"}, BETA, ["beta"], "order.canceled"),
        ({}, ACME, ["beta"], None),
        ({}, BETA, ["acme"], None),
        ({"receipt": "failed"}, ACME, ["beta"], None),
        ({"delivery": "failed"}, ACME, [], None),
    ],
)
def test_x08_a_cancel_at_every_stage(
    made: dict[str, Any], by: Any, told: list[str], create: str | None
) -> None:
    here = world(**made)
    effects = fates.apply(command(CANCEL, by=by, reason_code="weather"), here)
    assert (effects.answer.outcome, effects.answer.body["status"]) == ("done", "canceled")
    assert [each.receiver.slug for each in effects.syncs] == told
    assert status.of(fates.found(here)) == "canceled"
    assert (effects.create and effects.create.answer.code) == create
    assert fates.found(here).cancellation == {
        "reason_code": "weather",
        "at": "2026-05-01T12:00:00Z",
    }


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"progress": "complete"}, "request.order_already_complete"),
        ({"receipt": "rejected"}, "request.order_rejected"),
        ({"acceptance": "manual", "receipt": "rejected"}, "request.order_rejected"),
    ],
)
def test_what_is_over_is_not_canceled(changes: dict[str, Any], code: str) -> None:
    assert fates.take(command(CANCEL), world(**changes)).answer.code == code


@pytest.mark.parametrize("reason", [None, "", "weather"])
def test_k33_the_same_cancel_is_no_news_whoever_says_it_and_another_reason_is_refused(
    reason: str | None,
) -> None:
    here = world()
    fates.apply(command(CANCEL, reason_code=reason), here)
    for caller in (ACME, BETA):
        again = fates.take(command(CANCEL, by=caller, id_="again", reason_code=reason), here)
        assert (again.answer.outcome, again.order, again.syncs) == ("done", None, [])
        assert again.answer.body["status"] == "canceled"
    other = fates.take(command(CANCEL, id_="other", reason_code="price"), here)
    assert other.answer.code == "request.order_canceled"


@pytest.mark.parametrize("operation", [ACCEPT, REJECT, RECEIPT])
def test_a_canceled_order_takes_nothing_more(operation: str) -> None:
    here = world(acceptance="manual")
    fates.apply(command(CANCEL), here)
    assert fates.take(command(operation), here).answer.code == "request.order_canceled"


@given(
    st.sampled_from(["Please RETRY", "it Timed Out", "too many requests", "Internal server error"])
)
def test_k29_no_refusal_passes_on_a_reason_that_reads_as_an_invitation(reason: str) -> None:
    effects = fates.take(command(CANCEL, reason_code=reason), world(mapped=False))
    assert effects.create is not None
    body = effects.create.answer.body
    assert body["detail"] == refusals.text(Code.ORDER_CANCELED)
    assert reason not in str(body)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    made = command(CANCEL, order={}, reason_code="x" * 31)
    answer = fates.take(made, world()).answer
    assert [each["loc"] for each in answer.body["detail"]] == [
        ["body", "order"],
        ["body", "reason_code"],
    ]
