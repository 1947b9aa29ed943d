"""Whatever is sent to settle an order: a decision of the right shape, never a fault."""

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.refusals import MISLEADING
from tests.unit.domain import fates
from tests.unit.domain.fates import ACCEPT, CANCEL, RECEIPT, REJECT
from tests.unit.domain.test_driver_fuzz import bent
from tests.unit.domain.trade import ACME, BETA, GAMMA

FULL: dict[str, dict[str, Any]] = {
    CANCEL: fates.said(CANCEL, reason_code="retry later", colour="red"),
    ACCEPT: fates.said(ACCEPT, reason_code="ok"),
    REJECT: fates.said(REJECT, reason_code="no truck"),
    RECEIPT: fates.said(
        RECEIPT, destination_order_number="BH-1", reason_code="E1", message="timed out"
    ),
}
STATES: list[dict[str, Any]] = [
    {},
    {"mapped": False},
    {"acceptance": "manual"},
    {"acceptance": "manual", "receipt": "rejected"},
    {"receipt": "failed", "destination_number": "BH-1"},
    {"progress": "complete"},
    {"delivery": "canceled", "cancellation": {"reason_code": None, "at": "2026-05-01T12:00:00Z"}},
    {"delivery": "failed"},
    {"waiting": 3},
]


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_whatever_is_sent_becomes_a_decision_of_the_right_shape(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(sorted(FULL)))
    request = copy.deepcopy(FULL[operation])
    for _ in range(data.draw(st.integers(0, 3))):
        bent(data, request)
    here = fates.world(**data.draw(st.sampled_from(STATES)))
    caller = data.draw(st.sampled_from([ACME, BETA, GAMMA]))
    made = fates.command_of(operation, request, caller, strict=data.draw(st.booleans()))
    effects = fates.apply(made, here)
    answer = effects.answer
    if answer.code == "request.invalid":
        assert answer.body["detail"]
        assert all(each["loc"][0] in ("body", "header") for each in answer.body["detail"])
    told = [answer, *([effects.create.answer] if effects.create else [])]
    for each in told:
        if 400 <= each.http_status < 500:
            assert not any(words in str(each.body).lower() for words in MISLEADING)
    if answer.outcome == "done" and operation in (CANCEL, RECEIPT):
        again = fates.take(made, here)
        assert (again.answer.outcome, again.order, again.syncs) == ("done", None, [])
