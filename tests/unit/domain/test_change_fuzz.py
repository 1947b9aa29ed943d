"""Whatever is sent to change an order: a decision of the right shape, never a fault."""

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.changes import ALL_CHANGES
from schemas.reading import read
from services.domain import differences
from services.domain.operations.table import TABLE
from services.gateway import changes as listing
from tests.unit.domain import trade
from tests.unit.domain.dealing import (
    ACCEPT,
    PROPOSE,
    REJECT,
    UPDATE,
    amend,
    apply,
    command,
    found,
    loaded,
    proposal,
    take,
    world,
)
from tests.unit.domain.driver import LOADED, sent
from tests.unit.domain.test_driver_fuzz import LOCAL, ODD, bent
from tests.unit.domain.trade import ACME, BETA

WHOLE = amend(
    delivery_window=trade.window(timezone="America/Chicago", start="2026-05-01T13:00:00"),
    note="N",
    po="P",
    supply_owner={"source_id": "o-sup"},
    drops=[
        loaded(1, extra_data={"a": 1}),
        loaded(2, site={"goid": "site_MAIN01", "tank_goid": "tank_MAIN0C"}),
        loaded(3, site={"source_id": "o-main", "product_source_id": "o-dsl"}, product=None),
        loaded(4, loads=[{"terminals": [{"source_id": "o-north"}], "price_types": ["rack"]}] * 2),
    ],
    validate_only=False,
)
NAMES: dict[str, Any] = {
    "origin_order_number": "PO-1",
    "destination_order_number": "D-1",
    "order_id": "f" * 24,
}
FULL: dict[str, Any] = {
    UPDATE: WHOLE,
    PROPOSE: WHOLE,
    ACCEPT: {"id": "e" * 24, "order": NAMES, "reason_code": "ok"},
    REJECT: {"id": "e" * 24, "order": NAMES, "reason_code": "ok"},
}


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_is_sent_becomes_a_decision_of_the_right_shape(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(sorted(FULL)))
    request = copy.deepcopy(FULL[operation])
    for _ in range(data.draw(st.integers(0, 3))):
        bent(data, request)
    here = data.draw(st.sampled_from([_plain, _local, _proposed, _waiting]))()
    by = data.draw(st.sampled_from([ACME, BETA]))
    order = found(here)
    before = {ACME.id: order.destination_document, BETA.id: order.origin_document}[by.id]
    made = command(operation, request, by=by, strict=data.draw(st.booleans()))
    effects = take(made, here)
    if effects.answer.code == "request.invalid":
        assert effects.answer.body["detail"]
        assert all(each["loc"][0] in ("body", "header") for each in effects.answer.body["detail"])
    assert not TABLE[operation].problems(made) or effects.answer.code == "request.invalid"
    apply(effects, here)
    if operation == UPDATE and effects.answer.outcome == "done":
        again = take(made, here)
        assert (again.answer.outcome, again.order, again.syncs) == ("done", None, [])
    for sync in effects.syncs:
        if sync.type == "crossroads.order.updated.v1":
            assert before is not None
            assert differences.apply(sync.members["changes"], before) == sync.members["order"]


def _plain() -> Any:
    return world(sent(LOADED, loaded(2, site={"source_id": "o-main", "tank_id": "10"})))


def _local() -> Any:
    return world(LOCAL)


def _proposed() -> Any:
    here = world(sent(destination_number="D-1"))
    proposal(here, amend(note="pending"))
    return here


def _waiting() -> Any:
    return world(sent(waiting=1))


FILTERS: dict[str, Any] = {
    "status": "requested",
    "order_numbers": ["PO-1"],
    "change_types": ["po_change"],
    "as_of": "2026-05-01T00:00:00",
    "updated_as_of": "2026-05-01T00:00:00Z",
    "between": {"start": "2026-05-01T00:00:00Z", "end": "2026-05-02T00:00:00"},
}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_x02_whatever_is_asked_is_a_filter_or_an_error(data: st.DataObject) -> None:
    names = data.draw(st.sets(st.sampled_from(sorted(FILTERS)), max_size=4))
    request = copy.deepcopy({name: FILTERS[name] for name in names})
    for _ in range(data.draw(st.integers(0, 2))):
        bent(data, request)
    if data.draw(st.integers(0, 9)) == 0:
        request = data.draw(st.sampled_from(ODD))
    reading = read(ALL_CHANGES, request)
    errors = [*reading.errors, *listing.problems(reading)]
    if not errors:
        wanted = listing.filter_of(reading.wellformed, None)
        times = (wanted.since, wanted.until)
        assert all(each is None or each.tzinfo is not None for each in times)
        assert any((wanted.status, wanted.numbers, wanted.types, wanted.since))
