"""Changes that are proposed, accepted, rejected (R015-R017, R091-R094, K10, K35, X01-X04)."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.codes import Code
from schemas.operations import operation as operation_of
from schemas.reading import read
from services.domain import differences, refusals
from services.domain.operations.table import TABLE
from services.domain.world import World
from tests.unit.domain import driver
from tests.unit.domain.dealing import (
    ACCEPT,
    PROPOSE,
    REJECT,
    UPDATE,
    amend,
    apply,
    by_order,
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
from tests.unit.domain.driver import sent
from tests.unit.domain.trade import ACME, BETA, NOON


def accept(here: World, request: Any = None, **members: Any) -> Any:
    return say(here, ACCEPT, by_order() if request is None else request, **_beta(members))


def reject(here: World, request: Any = None, **members: Any) -> Any:
    return say(here, REJECT, by_order() if request is None else request, **_beta(members))


def _beta(members: dict[str, Any]) -> dict[str, Any]:
    return {"by": BETA, "id": "change-9", **members}


# -- proposing


def test_x01_x02_a_proposal_is_told_the_other_side_in_its_own_words() -> None:
    here = world()
    request = amend(po="P-9", supply_owner={"source_id": "o-sup"})
    effects = say(here, PROPOSE, request)
    assert told(effects) == ("done", 200, None)
    said = effects.answer.body["order_change"]
    [sync] = effects.syncs
    assert (sync.receiver, sync.type) == (BETA, "crossroads.change.proposed.v1")
    sent_ = sync.members["change"]
    assert {**sent_, "changes": []} == {**said, "changes": []}
    assert said == {
        "id": pending(here).id,
        "origin_order_number": "PO-1",
        "destination_order_number": None,
        "status": "requested",
        "change_types": ["supply_change", "po_change"],
        "changes": said["changes"],
        "proposed_by": "ACME Fuels",
        "reason_code": None,
        "created_on": "2026-05-01T12:00:00Z",
        "updated_on": "2026-05-01T12:00:00Z",
        "origin_tenant_name": "ACME Fuels",
        "destination_tenant_name": "Beta Haulage",
    }
    owners = [each["changes"][1]["to"]["source_id"] for each in (said, sent_)]
    assert owners == ["o-sup", "d-sup"]
    assert (len(said["id"]), effects.answer.body["log"]["saga_type"]) == (24, "change_order")


def test_x01_a_proposal_leaves_the_order_as_it_is() -> None:
    here = world()
    before = found(here)
    proposal(here)
    after = found(here)
    assert after.origin_document is before.origin_document
    assert after.updated_at == before.updated_at


def test_x01_a_new_proposal_supersedes_the_pending_one_visibly() -> None:
    here = world()
    first = proposal(here, amend(po="P-9"))
    effects = say(here, PROPOSE, amend(note="N"), by=BETA, id="change-2")
    assert sent_to(effects) == [
        ("acme", "change.rejected.v1"),
        ("beta", "change.rejected.v1"),
        ("acme", "change.proposed.v1"),
    ]
    settled = here.changes[first.id]
    assert (settled.status, settled.reason_code) == ("rejected", "superseded")
    rejected = effects.syncs[0].members["change"]
    assert (rejected["id"], rejected["reason_code"]) == (first.id, "superseded")
    assert pending(here).proposer_id == BETA.id


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"progress": "complete"}, Code.ORDER_ALREADY_COMPLETE),
        ({"delivery": "canceled"}, Code.ORDER_IS_CANCELED),
        ({"receipt": "rejected"}, Code.ORDER_IS_REJECTED),
    ],
)
def test_k26_nothing_is_proposed_of_an_order_that_takes_nothing_more(
    changes: dict[str, Any], code: Code
) -> None:
    effects = take(command(PROPOSE, amend()), world(sent(**changes)))
    assert told(effects) == ("refused", 422, str(code))
    assert effects.answer.body["detail"] == refusals.text(code)


def test_nothing_to_propose_is_refused() -> None:
    assert errors(take(command(PROPOSE, amend(note=None)), world())) == [(["body"], "no_change")]


def test_x01_validate_only_proposes_nothing() -> None:
    here = world()
    effects = say(here, PROPOSE, amend(validate_only=True, note="N"))
    assert (effects.order, effects.syncs, effects.changes) == (None, [], [])
    assert effects.answer.body["order_change"] is None
    assert effects.answer.body["message"].endswith("It would be proposed: note_change.")


# -- accepting


@pytest.mark.parametrize("proposer", [ACME, BETA])
def test_r091_to_r095_accepting_applies_the_change_and_tells_the_proposer(proposer: Any) -> None:
    here = world()
    other = BETA if proposer is ACME else ACME
    change = proposal(here, amend(note="Gate 4", po="P-9"), by=proposer)
    effects = say(here, ACCEPT, {"id": change.id, "reason_code": "ok"}, by=other, id="change-2")
    assert told(effects) == ("done", 200, None)
    body = effects.answer.body
    assert (body["status"], body["message"]) == ("synced", None)
    assert (body["order"]["note"], body["order"]["po"]) == ("Gate 4", "P-9")
    assert body["log"] in effects.logs
    assert body["log"]["saga_type"] == "change_order"
    assert sent_to(effects) == [(proposer.slug, "change.accepted.v1")]
    [sync] = effects.syncs
    assert (sync.members["change"]["status"], sync.members["change"]["reason_code"]) == (
        "synced",
        "ok",
    )
    order = found(here)
    documents = {ACME.id: order.origin_document, BETA.id: order.destination_document}
    assert sync.members["order"] == documents[proposer.id]
    assert body["order"] == documents[other.id]
    assert order.po == "P-9"
    assert here.pending_change(order.id) is None


def test_r092_an_accepted_change_makes_the_order_synced() -> None:
    here = world(sent(receipt="failed", message="no room"))
    proposal(here)
    assert accept(here).answer.body["status"] == "synced"
    assert (found(here).receipt, found(here).message) == ("none", None)


def test_x04_progress_and_papers_do_not_make_it_stale_and_are_kept() -> None:
    here = world()
    change = proposal(here, amend(drops=[loaded(8000)]))
    driver.say(here, driver.status())
    driver.say(here, driver.bol(), driver.BOL, id="paper-1")
    accept(here, {"id": change.id})
    document = found(here).origin_document
    assert (document["drops"][0]["volume"], len(document["bols"])) == (8000, 1)
    assert found(here).progress == "arrived_at_load"


def test_what_is_told_of_a_change_is_what_accepting_does() -> None:
    here = world()
    before = found(here).destination_document
    assert before is not None
    proposal(
        here,
        amend(
            note="N",
            drops=[
                loaded(8000),
                loaded(1, site={"goid": "site_MAIN01", "tank_goid": "tank_MAIN0C"}),
            ],
        ),
    )
    changes = pending(here).changes[1]
    accept(here)
    assert differences.apply(changes, before) == found(here).destination_document


def test_x04_a_stale_change_is_409_and_stays_until_it_is_rejected() -> None:
    here = world()
    change = proposal(here, amend(po="P-9"), by=BETA)
    say(here, UPDATE, amend(note="N"), id="change-2")
    for _ in range(2):
        effects = say(here, ACCEPT, {"id": change.id}, id="change-3")
        assert told(effects) == ("refused", 409, "change.stale")
        assert effects.answer.body == {
            "detail": "The order was changed after this change was proposed.",
            "code": "change.stale",
        }
    assert pending(here).id == change.id
    say(here, REJECT, {"id": change.id}, id="change-4")
    assert here.changes[change.id].status == "rejected"


def test_x04_a_proposal_made_after_the_update_is_not_stale() -> None:
    here = world()
    proposal(here, amend(po="P-9"), by=BETA)
    say(here, UPDATE, amend(note="N"), id="change-2")
    say(here, PROPOSE, amend(po="P-9"), by=BETA, id="change-3")
    assert told(say(here, ACCEPT, by_order(), id="change-4")) == ("done", 200, None)


def test_x04_the_proposer_may_not_accept_it() -> None:
    here = world()
    proposal(here)
    effects = accept(here, by=ACME)
    assert told(effects) == ("refused", 422, "change.not_yours")
    assert effects.answer.body["detail"] == "Only the other side of a proposal may accept it."
    assert pending(here).status == "requested"


@pytest.mark.parametrize("settling", [ACCEPT, REJECT])
@pytest.mark.parametrize("again", [ACCEPT, REJECT])
def test_x04_a_settled_change_is_settled(settling: str, again: str) -> None:
    here = world()
    change = proposal(here)
    say(here, settling, {"id": change.id}, by=BETA, id="change-2")
    effects = say(here, again, {"id": change.id}, by=BETA, id="change-3")
    assert told(effects) == ("refused", 422, "change.settled")
    effects = say(here, again, by_order(), by=BETA, id="change-4")
    assert told(effects) == ("refused", 404, "change.not_found")
    assert effects.answer.body == {"detail": "There is no such change."}


def test_a_superseded_change_is_settled() -> None:
    here = world()
    change = proposal(here)
    say(here, PROPOSE, amend(note="M"), id="change-2")
    assert told(accept(here, {"id": change.id})) == ("refused", 422, "change.settled")


# -- rejecting


def test_x03_the_other_sides_rejection_is_told_the_proposer() -> None:
    here = world()
    proposal(here)
    effects = reject(here, by_order(reason_code="no truck"))
    said = effects.answer.body["order_change"]
    assert (said["status"], said["reason_code"]) == ("rejected", "no truck")
    assert sent_to(effects) == [("acme", "change.rejected.v1")]
    assert found(here).origin_document["note"] is None
    assert here.pending_change(found(here).id) is None


def test_x03_a_proposal_that_is_withdrawn_is_told_both() -> None:
    here = world()
    proposal(here)
    effects = reject(here, by=ACME)
    assert told(effects) == ("done", 200, None)
    assert sent_to(effects) == [("beta", "change.rejected.v1"), ("acme", "change.rejected.v1")]


@pytest.mark.parametrize("operation", [ACCEPT, REJECT])
def test_r016_a_reason_code_has_thirty_characters_at_most(operation: str) -> None:
    wrong = take(command(operation, by_order(reason_code="r" * 31), by=BETA), world())
    assert errors(wrong) == [(["body", "reason_code"], "string_too_long")]


@pytest.mark.parametrize("operation", [ACCEPT, REJECT])
@pytest.mark.parametrize("request_", [{}, {"order": {}}, {"id": "", "order": {"order_id": None}}])
def test_r015_a_change_or_its_order_must_be_named(operation: str, request_: Any) -> None:
    assert errors(take(command(operation, request_), world())) == [(["body"], "key_required")]


# -- what closes an order


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("order.cancel", {"reason_code": "off"}),
        ("order.receipt", {"status": "rejected"}),
        ("order.update-status", {"progress_status": "complete"}),
    ],
)
def test_x01_what_closes_the_order_settles_its_change_without_a_record(
    operation: str, members: dict[str, str]
) -> None:
    here = world()
    change = proposal(here)
    request = {"order": {"order_id": found(here).id}, **members}
    document = operation_of(operation).document
    assert document is not None
    made = command(ACCEPT, by_order(), by=BETA)
    made = replace(made, operation=operation, reading=read(document, request), raw=request)
    assert TABLE[operation].needs(made, here.directory).changes
    effects = TABLE[operation].decide(made, here, NOON)
    assert effects.answer.outcome == "done", effects.answer.body
    assert not any("change." in sync.type for sync in effects.syncs)
    assert "change-closed" in [event.kind for event in effects.events]
    apply(effects, here)
    settled = here.changes[change.id]
    assert (settled.status, settled.reason_code) == ("rejected", "order_closed")
    assert told(accept(here, {"id": change.id})) == ("refused", 422, "change.settled")
    assert told(accept(here)) == ("refused", 404, "change.not_found")


@pytest.mark.parametrize("operation", [PROPOSE, UPDATE, ACCEPT, REJECT])
@pytest.mark.parametrize(
    ("changes", "code"),
    [({"delivery": "canceled"}, "order.canceled"), ({"receipt": "rejected"}, "order.rejected")],
)
def test_x08_what_waits_in_the_lane_of_a_closed_order_ends_with_it(
    operation: str, changes: dict[str, Any], code: str
) -> None:
    order = sent(**changes, waiting=1)
    request = amend() if operation in (PROPOSE, UPDATE) else by_order()
    effects = take(command(operation, request, lane=order.id), world(order))
    assert told(effects) == ("refused", 422, code)
