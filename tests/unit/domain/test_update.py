"""Update an order (X01, K26, K28, K33): applied at once, proposed, or refused."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codes import Code
from services.domain import differences, refusals
from services.domain.operations.table import TABLE
from services.domain.tenants import Pair
from services.domain.world import MasterData
from tests.unit.domain import trade
from tests.unit.domain.dealing import (
    UPDATE,
    amend,
    command,
    errors,
    found,
    loaded,
    pending,
    proposal,
    say,
    sent_to,
    take,
    told,
    world,
)
from tests.unit.domain.driver import LOADED, sent
from tests.unit.domain.trade import ACME, BETA, DESTINATION_WORDS, NOON, ORIGIN_WORDS, RECORDS

PROPOSES = replace(trade.PAIR, origin_updates="propose")
BOTH_APPLY = replace(trade.PAIR, destination_updates="apply")
DIESEL = {"site": {"source_id": "o-main", "tank_id": "2"}, "product": {"source_id": "o-dsl"}}


def test_x01_the_origins_update_is_applied_and_sent_in_the_receivers_words() -> None:
    here = world()
    effects = say(here, UPDATE, amend(note="Gate 4", drops=[loaded(8000)]))
    assert told(effects) == ("done", 200, None)
    body = effects.answer.body
    assert (body["status"], body["message"], body["order_change"]) == ("synced", None, None)
    assert (body["order"]["note"], body["order"]["drops"][0]["volume"]) == ("Gate 4", 8000)
    assert body["order"]["drops"][0]["site"]["source_id"] == "o-main"
    assert sent_to(effects) == [("beta", "order.updated.v1")]
    [sync] = effects.syncs
    assert sync.members["order"] == found(here).destination_document
    assert [each["type"] for each in sync.members["changes"]] == ["note_change", "volume_change"]
    assert sync.members["changes"][1] == {
        "type": "volume_change",
        "drop": 0,
        "field": "volume",
        "from": 7500,
        "to": 8000,
    }
    assert body["log"]["saga_type"] == "update_order"
    assert [event.kind for event in effects.events] == ["updated"]


def test_x01_all_three_documents_change_and_keep_what_was_not_named() -> None:
    here = world(sent(LOADED, po="P-1"))
    before = found(here)
    say(here, UPDATE, amend(drops=[loaded(8000)]))
    after = found(here)
    for old, new in (
        (before.origin_document, after.origin_document),
        (before.master_document, after.master_document),
        (before.destination_document, after.destination_document),
    ):
        assert old is not None
        assert new is not None
        assert new["drops"][0] == {**old["drops"][0], "volume": 8000}
        assert {**new, "drops": []} == {**old, "drops": []}
    assert after.updated_at == NOON


def test_x01_the_differences_that_are_told_make_the_receivers_order() -> None:
    here = world(sent(LOADED, {**DIESEL, "volume": 100}))
    before = found(here).destination_document
    assert before is not None
    members = {
        "note": "N",
        "supply_owner": {"source_id": "o-sup"},
        "drops": [DIESEL | {"volume": 7}],
    }
    effects = say(here, UPDATE, amend(**members))
    changes = effects.syncs[0].members["changes"]
    assert differences.apply(changes, before) == found(here).destination_document
    assert [each["to"] for each in changes if each["field"] == "drop"] == [None]
    owner = next(each for each in changes if each["field"] == "supply_owner")
    assert (owner["from"], owner["to"]["source_id"]) == (None, "d-sup")


def test_x01_null_clears_note_po_and_supply_owner() -> None:
    here = world()
    say(here, UPDATE, amend(note="N", po="P-1", supply_owner={"source_id": "o-sup"}))
    assert found(here).po == "P-1"
    say(here, UPDATE, amend(note=None, po=None, supply_owner=None), id="change-2")
    document = found(here).origin_document
    assert [document[name] for name in ("note", "po", "supply_owner")] == [None] * 3
    assert found(here).po is None


@pytest.mark.parametrize("member", ["delivery_window", "drops"])
def test_x01_null_clears_nothing_else(member: str) -> None:
    [(loc, _)] = errors(take(command(UPDATE, amend(**{member: None})), world()))
    assert loc == ["body", member]


def test_x01_a_drop_keeps_the_loads_and_extra_data_it_says_nothing_of() -> None:
    here = world(sent({**LOADED, "extra_data": {"a": 1}}))
    drop = {name: value for name, value in loaded(8000).items() if name != "loads"}
    say(here, UPDATE, amend(drops=[drop]))
    [kept] = found(here).origin_document["drops"]
    assert (len(kept["loads"]), kept["extra_data"], kept["volume"]) == (1, {"a": 1}, 8000)
    say(here, UPDATE, amend(drops=[{**drop, "loads": [], "extra_data": {}}]), id="change-2")
    [cleared] = found(here).origin_document["drops"]
    assert (cleared["loads"], cleared["extra_data"]) == ([], {})


def test_x01_the_destination_proposes_by_default_and_applies_where_the_pair_says_so() -> None:
    effects = say(world(), UPDATE, amend(), by=BETA)
    assert effects.answer.body["order_change"]["status"] == "requested"
    assert sent_to(effects) == [("acme", "change.proposed.v1")]
    assert effects.answer.body["order"]["note"] is None
    here = world(pair=BOTH_APPLY)
    effects = say(here, UPDATE, amend(), by=BETA)
    assert effects.answer.body["order_change"] is None
    assert sent_to(effects) == [("acme", "order.updated.v1")]
    assert effects.syncs[0].members["order"] == found(here).origin_document


def test_x01_the_origin_proposes_where_the_pair_says_so() -> None:
    here = world(pair=PROPOSES)
    effects = say(here, UPDATE, amend())
    assert effects.answer.body["order_change"]["proposed_by"] == "ACME Fuels"
    assert pending(here).amended[1] == {"note": "Gate 4"}
    assert found(here).origin_document["note"] is None


def test_k33_an_update_that_is_so_already_is_done_without_a_record() -> None:
    here = world()
    say(here, UPDATE, amend(note="N", drops=[loaded(8000)]))
    again = say(here, UPDATE, amend(note="N", drops=[loaded(8000)]), id="change-2")
    assert told(again) == ("done", 200, None)
    assert (again.order, again.syncs, again.changes, again.events) == (None, [], [], [])
    assert again.about == found(here).id


def test_k33_the_proposal_that_is_pending_is_not_proposed_again_by_policy() -> None:
    here = world()
    first = say(here, UPDATE, amend(), by=BETA)
    again = say(here, UPDATE, amend(), by=BETA, id="change-2")
    assert again.answer.body["order_change"] == first.answer.body["order_change"]
    assert again.syncs == []


def test_x01_validate_only_reports_and_does_nothing() -> None:
    for pair, word in ((trade.PAIR, "applied"), (PROPOSES, "proposed")):
        here = world(pair=pair)
        effects = say(here, UPDATE, amend(note="N", validate_only=True))
        assert told(effects) == ("done", 200, None)
        assert (effects.order, effects.syncs, effects.changes) == (None, [], [])
        body = effects.answer.body
        assert body["message"] == f"Nothing was done. It would be {word}: note_change."
        assert (body["order"]["note"], body["order_change"]) == ("N", None)
        assert found(here).origin_document["note"] is None


def test_x04_an_applied_update_makes_a_pending_proposal_stale() -> None:
    here = world()
    proposal(here, amend(po="P-9"), by=BETA)
    effects = say(here, UPDATE, amend(note="N"), id="change-2")
    assert [change.stale for change in effects.changes] == [True]
    assert pending(here).status == "requested"
    assert say(here, UPDATE, amend(note="M"), id="change-3").changes == []


# -- refusals


@pytest.mark.parametrize("members", [{}, {"order_number": "PO-1"}, {"validate_only": True}])
def test_an_update_of_nothing_is_refused(members: dict[str, Any]) -> None:
    request = {"order": {"order_number": "PO-1"}, **members}
    assert (["body"], "nothing_to_change") in errors(take(command(UPDATE, request), world()))


def test_k28_everything_that_is_wrong_is_told_at_once_in_document_order() -> None:
    request = amend(
        note="n" * 301,
        delivery_window=trade.window(end="2026-04-01T00:00:00Z"),
        drops=[{"site": {"source_id": "o-main"}, "volume": 0}],
    )
    assert errors(take(command(UPDATE, request), world())) == [
        (["body", "note"], "string_too_long"),
        (["body", "delivery_window", "end"], "window_order"),
        (["body", "drops", 0, "volume"], "greater_than"),
        (["body", "drops", 0, "product"], "tank_or_product_required"),
    ]


def test_x01_what_cannot_be_mapped_is_refused_at_its_place_and_waits_for_nothing() -> None:
    request = amend(
        supply_owner={"source_id": "o-nobody"},
        drops=[
            loaded(site={"source_id": "o-nowhere", "tank_id": "1"}),
            loaded(site={"source_id": "o-main", "tank_id": "77"}),
            loaded(product={"source_id": "o-nothing"}),
            loaded(loads=[{"terminals": [{"source_id": "o-north"}, {"source_id": "o-south"}]}]),
        ],
    )
    effects = take(command(UPDATE, request), world())
    assert errors(effects) == [
        (["body", "supply_owner"], "unmapped"),
        (["body", "drops", 0, "site"], "unmapped"),
        (["body", "drops", 1, "site"], "unmapped"),
        (["body", "drops", 2, "product"], "unmapped"),
        (["body", "drops", 3, "loads", 0, "terminals", 1], "unmapped"),
    ]
    assert effects.gaps == []


def test_x01_a_product_the_other_side_has_no_mapping_of_is_refused_too() -> None:
    known = [each for each in DESTINATION_WORDS if each.source_id != "d-dsl"]
    here = world(data=MasterData(RECORDS, [*ORIGIN_WORDS, *known]))
    effects = take(command(UPDATE, amend(drops=[{**DIESEL, "volume": 1}])), here)
    assert errors(effects) == [(["body", "drops", 0, "product"], "unmapped")]
    assert "other side" in effects.answer.body["detail"][0]["msg"]


def test_what_was_sent_keeps_its_ids_although_the_mapping_is_gone() -> None:
    """Protocol §3: keys are looked up in the order's own documents first."""
    here = world(data=MasterData(RECORDS, []))
    effects = say(here, UPDATE, amend(drops=[loaded(8000)]))
    assert told(effects) == ("done", 200, None)
    assert effects.syncs[0].members["order"]["drops"][0]["site"]["source_id"] == "d-main"


@pytest.mark.parametrize(("by", "system"), [(ACME, "ERP"), (BETA, "TMS")])
def test_a_side_that_names_its_own_system_is_still_on_its_own_words(by: Any, system: str) -> None:
    here = world(pair=BOTH_APPLY, data=MasterData(RECORDS, []))
    prefix = {ACME.id: "o", BETA.id: "d"}[by.id]
    drop = {"site": {"source_id": f"{prefix}-main", "tank_id": "1"}, "volume": 8000}
    effects = take(command(UPDATE, amend(drops=[drop]), by=by, system_name=system), here)
    assert told(effects) == ("done", 200, None), effects.answer.body


def test_r090_what_is_named_in_another_system_is_kept_in_the_orders_own() -> None:
    data = trade.master(*trade.words(ACME, "Old ERP", "x"))
    here = world(data=data)
    drop = {
        "site": {"source_id": "x-main", "tank_id": "2"},
        "product": {"source_id": "x-dsl"},
        "volume": 5,
        "loads": [{"terminals": [{"source_id": "x-north"}]}],
    }
    request = amend(supply_owner={"source_id": "x-sup"}, drops=[drop])
    made = command(UPDATE, request, system_name="Old ERP")
    assert {need.towards for need in TABLE[UPDATE].needs(made, here.directory).further} == {
        trade.ERP
    }
    order = take(made, here).answer.body["order"]
    [kept] = order["drops"]
    said = [order["supply_owner"], kept["site"], kept["product"], kept["loads"][0]["terminal"]]
    assert [each["source_id"] for each in said] == ["o-sup", "o-main", "o-dsl", "o-north"]
    assert kept["site"]["tank_id"] == "2"


def test_what_the_orders_own_system_has_no_mapping_of_is_refused() -> None:
    known = [each for each in ORIGIN_WORDS if each.source_id != "o-dsl"]
    old = trade.words(ACME, "Old ERP", "x")
    here = world(data=MasterData(RECORDS, [*known, *old, *DESTINATION_WORDS]))
    drop = {"site": {"source_id": "x-main", "tank_id": "2"}, "product": {"source_id": "x-dsl"}}
    made = command(UPDATE, amend(drops=[{**drop, "volume": 5}]), system_name="Old ERP")
    assert errors(take(made, here)) == [(["body", "drops", 0, "product"], "unmapped")]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"progress": "complete"}, Code.ORDER_ALREADY_COMPLETE),
        ({"delivery": "canceled"}, Code.ORDER_IS_CANCELED),
        ({"receipt": "rejected"}, Code.ORDER_IS_REJECTED),
        ({"delivery": "failed"}, Code.ORDER_NOT_SENT),
    ],
)
@pytest.mark.parametrize("request_", [amend(), amend(supply_owner={"source_id": "nobody"})])
def test_k26_an_order_that_takes_nothing_more_is_not_updated(
    changes: dict[str, Any], code: Code, request_: dict[str, Any]
) -> None:
    effects = take(command(UPDATE, request_), world(sent(**changes)))
    assert told(effects) == ("refused", 422, str(code))
    assert effects.answer.body["detail"] == refusals.text(code)


def test_k33_what_is_so_already_is_done_on_a_complete_order_too() -> None:
    effects = take(command(UPDATE, amend(note=None)), world(sent(progress="complete")))
    assert told(effects) == ("done", 200, None)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"delivery": "requested"}, "lane.behind"),
        ({"delivery": "unsent", "mapping": "origin_mapped"}, "lane.behind"),
        ({"waiting": 1}, "lane.behind"),
    ],
)
def test_k42_an_update_waits_behind_what_its_order_waits_for(
    changes: dict[str, Any], code: str
) -> None:
    effects = take(command(UPDATE, amend()), world(sent(**changes)))
    assert told(effects) == ("waiting", 200, code)
    assert effects.in_lane
    body = effects.answer.body
    assert (body["status"], body["order"], body["order_change"]) == ("pending", None, None)


def test_k42_an_update_of_an_unknown_number_waits_for_it() -> None:
    effects = take(command(UPDATE, {**amend(), "order": {"order_number": "PO-9"}}), world())
    assert told(effects) == ("waiting", 200, "lane.order_unknown")


def test_an_order_of_another_pair_is_the_miss_of_one_that_does_not_exist() -> None:
    other = sent(origin_id=trade.GAMMA.id)
    asked = [{"order": {"order_id": id_}, "note": "N"} for id_ in ("f" * 24, other.id)]
    answers = [take(command(UPDATE, each), world(other)).answer for each in asked]
    told_alike = [(answer.code, answer.http_status) for answer in answers]
    assert told_alike == [("request.order_not_found", 404)] * 2


def test_r004_a_pair_that_is_none_is_403() -> None:
    asked = command(UPDATE, amend(), by=ACME, partner=trade.GAMMA, partner_name="Gamma Oil")
    assert told(take(asked, world())) == ("refused", 403, "request.no_such_pair")


DROPS = st.lists(
    st.builds(
        lambda tank, volume, loads: {
            "site": {"source_id": "o-main", "tank_id": tank},
            "volume": volume,
            **({} if loads is None else {"loads": loads}),
        },
        st.sampled_from(["1", "2", "10"]),
        st.integers(1, 3),
        st.sampled_from([None, [], LOADED["loads"]]),
    ),
    min_size=1,
    max_size=4,
)
UPDATES = st.fixed_dictionaries(
    {},
    optional={
        "note": st.sampled_from([None, "a"]),
        "po": st.sampled_from([None, "b"]),
        "supply_owner": st.sampled_from([None, {"source_id": "o-sup"}]),
        "drops": DROPS,
    },
).filter(bool)


@settings(deadline=None)
@given(DROPS, st.lists(UPDATES, min_size=1, max_size=3))
def test_x01_whatever_is_updated_both_sides_come_to_the_same_order(
    drops: list[Any], updates: list[dict[str, Any]]
) -> None:
    """Who keeps the books by the differences alone has the order the hub has."""
    here = world(sent(*drops))
    books = found(here).destination_document
    assert books is not None
    for at, members in enumerate(updates):
        effects = say(here, UPDATE, amend(**members), id=f"change-{at}")
        for sync in effects.syncs:
            books = differences.apply(sync.members["changes"], books)
            assert sync.members["order"] == books
    order = found(here)
    assert order.destination_document == books
    assert order.master_document is not None
    shape = [
        [(drop["site"]["tank_goid"], drop["volume"], len(drop["loads"])) for drop in each["drops"]]
        for each in (order.origin_document, order.master_document, books)
    ]
    assert shape[0] == shape[1] == shape[2]


def test_a_tenant_that_is_not_of_the_pairs_policy_reads_its_own_side() -> None:
    """The policy is the pair's in the order's direction, whoever calls."""
    back = Pair("e" * 24, BETA, ACME, origin_updates="propose")
    here = world()
    here.directory.pairs[BETA.id, ACME.id] = back
    assert sent_to(say(here, UPDATE, amend())) == [("beta", "order.updated.v1")]
