"""Create an order: sent, waiting, asked for, or refused (R018-R054, R064-R074, R086-R088, K02)."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.orders import ORDER, ORDER_ANSWER
from schemas.sync import ORDER_SYNC
from services.domain import status
from services.domain.operations import create
from services.domain.tenants import Pair
from services.domain.tokens import source_id_token
from services.domain.world import MasterData
from tests.unit.domain import trade
from tests.unit.domain.trade import (
    ACME,
    BETA,
    DESTINATION_WORDS,
    ERP,
    GAMMA,
    NOON,
    ORIGIN_WORDS,
    PAIR,
    RECORDS,
    TMS,
    body,
    command,
    decide,
    drop,
    order_of,
    world,
)

MANUAL = replace(PAIR, acceptance="manual")


def test_r086_r088_a_mapped_order_is_sent_and_echoed() -> None:
    effects = decide()
    assert (effects.answer.outcome, effects.answer.http_status, effects.answer.code) == (
        "done",
        200,
        None,
    )
    assert effects.answer.body["status"] == "synced"
    assert effects.answer.body["message"] is None
    assert effects.answer.body["log"] == effects.logs[0]
    assert effects.answer.body["order"] == order_of(effects).origin_document
    [sync] = effects.syncs
    assert (sync.receiver, sync.type) == (BETA, "crossroads.order.created.v1")
    assert sync.members == {"order": order_of(effects).destination_document}
    assert sync.routing["destination_instance_name"] == "main"


def test_r090_the_three_documents_have_one_shape_each_in_its_own_words() -> None:
    state = order_of(decide())
    assert state.master_document is not None
    assert state.destination_document is not None
    sites = [
        document["drops"][0]["site"]
        for document in (state.origin_document, state.master_document, state.destination_document)
    ]
    assert [site["source_id"] for site in sites] == ["o-main", None, "d-main"]
    assert [site["mapping_id"] is None for site in sites] == [False, True, False]
    assert [site["tank_id"] for site in sites] == ["1", None, "1"]
    assert [site["product_source_id"] for site in sites] == ["o-reg", None, "d-reg"]
    assert {site["goid"] for site in sites} == {"site_MAIN01"}
    assert {site["goid_name"] for site in sites} == {"Main Street"}
    assert {site["tank_goid"] for site in sites} == {"tank_MAIN0A"}
    assert {site["tank_goid_name"] for site in sites} == {"Regular tank"}


def test_k30_every_documented_member_is_there_and_reads_as_its_schema() -> None:
    load = {"terminal": {"source_id": "o-north"}, "price_type": "rack"}
    effects = decide(body(drop(loads=[load, load])))
    state = order_of(effects)
    for document in (state.origin_document, state.master_document, state.destination_document):
        ORDER.validate_python(document)
    ORDER_ANSWER.validate_python(effects.answer.body)
    [sync] = effects.syncs
    ORDER_SYNC.validate_python(
        {**sync.members, "routing": sync.routing, "order_id": state.id, "sequence": 1}
    )


def test_k06_answers_carry_the_lists_and_the_singular_of_exactly_one() -> None:
    load = {
        "terminals": [{"source_id": "o-north"}],
        "suppliers": [{"source_id": "o-sup"}, {"goid": "company_SUPPLY"}],
        "price_type": "contract",
        "contract": "C-9",
    }
    [loaded] = order_of(decide(body(drop(loads=[load])))).origin_document["drops"][0]["loads"]
    assert loaded["terminal"] == loaded["terminals"][0]
    assert loaded["supplier"] is None
    assert [supplier["source_id"] for supplier in loaded["suppliers"]] == ["o-sup", "o-sup"]
    assert (loaded["price_types"], loaded["price_type"]) == (["contract"], "contract")
    assert (loaded["contracts"], loaded["contract"]) == (["C-9"], "C-9")
    assert (loaded["products"], loaded["product"]) == ([], None)


def test_r030_extra_data_reaches_the_destination_unchanged() -> None:
    state = order_of(decide(body(drop(extra_data={"b": [1, {"c": None}]}), extra_data={"a": "ä"})))
    assert state.destination_document is not None
    assert state.destination_document["extra_data"] == {"a": "ä"}
    assert state.destination_document["drops"][0]["extra_data"] == {"b": [1, {"c": None}]}


def test_k27_k30_the_window_is_answered_in_utc_with_its_zone() -> None:
    local = trade.window(
        start="2026-05-01T08:00:00", end="2026-05-01T18:00:00", timezone="America/Chicago"
    )
    state = order_of(decide(body(delivery_window=local)))
    assert state.origin_document["delivery_window"] == {
        "start": "2026-05-01T13:00:00Z",
        "end": "2026-05-01T23:00:00Z",
        "timezone": "America/Chicago",
    }


def test_k03_an_order_all_in_goids_needs_no_mapping_of_the_origin() -> None:
    data = MasterData(RECORDS, DESTINATION_WORDS)
    goids = drop(
        site={"goid": "site_MAIN01", "tank_goid": "tank_MAIN0B"},
        product={"goid": "product_DIESEL"},
    )
    effects = decide(body(goids), world(data))
    assert effects.answer.outcome == "done"
    assert order_of(effects).origin_document["drops"][0]["site"]["source_id"] is None
    assert effects.syncs[0].members["order"]["drops"][0]["site"]["tank_id"] == "2"


def test_k20_units_and_who_created_it_are_kept() -> None:
    state = order_of(decide(body(units="liters", created_by_hauler=True)))
    assert (state.units, state.created_by_hauler) == ("liters", True)
    assert order_of(decide()).units == "gallons"


def test_k31_ignored_members_are_named_in_the_message() -> None:
    effects = decide(body(drop(colour="red"), speed=3))
    assert effects.answer.outcome == "done"
    message = effects.answer.body["message"]
    assert message == "Ignored unknown fields: drops.0.colour, speed"


def test_deciding_again_gives_the_same_ids() -> None:
    assert decide() == decide()


def gaps_of(request: Any, data: MasterData) -> list[tuple[str, str, str, str]]:
    effects = decide(request, world(data))
    assert effects.answer.outcome == "waiting"
    return [(gap.tenant_id, gap.entity, gap.kind, gap.key) for gap in effects.gaps]


def test_k02_a_key_of_the_origin_that_is_missing_leaves_the_order_at_origin_mapped() -> None:
    effects = decide(body(drop(product={"source_id": "o-kero"})))
    assert (effects.answer.http_status, effects.answer.code) == (200, "mapping.gap")
    assert effects.answer.body["status"] == "origin_mapped"
    state = order_of(effects)
    assert (state.mapping, state.failed_at_step) == ("origin_mapped", "origin_mapped")
    assert state.master_document is None
    assert state.delivery == "unsent"
    assert effects.syncs == []
    assert "product source_id 'o-kero'" in effects.answer.body["message"]
    assert effects.answer.body["order"]["drops"][0]["product"]["source_id"] == "o-kero"


def test_k02_a_key_of_the_destination_that_is_missing_leaves_it_at_master_mapped() -> None:
    words = [each for each in DESTINATION_WORDS if each.entity != "site"]
    effects = decide(None, world(MasterData(RECORDS, [*ORIGIN_WORDS, *words])))
    state = order_of(effects)
    assert effects.answer.body["status"] == "master_mapped"
    assert (state.mapping, state.failed_at_step) == ("master_mapped", "master_mapped")
    assert state.master_document is not None
    assert state.destination_document is None
    [gap] = effects.gaps
    assert (gap.tenant_id, gap.system, gap.entity) == (BETA.id, "TMS", "site")


def test_k02_the_gaps_of_both_sides_are_named_at_once_and_the_first_side_is_the_status() -> None:
    request = body(drop(product={"source_id": "o-kero"}), drop(product={"source_id": "o-dsl"}))
    effects = decide(request, world(MasterData(RECORDS, ORIGIN_WORDS)))
    assert effects.answer.body["status"] == "origin_mapped"
    assert [(gap.tenant_id, gap.entity, gap.key) for gap in effects.gaps] == [
        (ACME.id, "product", "o-kero"),
        (BETA.id, "site", "site_MAIN01"),
        (BETA.id, "product", "product_DIESEL"),
    ]
    for gap in effects.gaps:
        assert gap.message in effects.answer.body["message"]
        assert gap.wake_on


def test_k05_a_tank_that_does_not_fit_is_a_gap_of_its_site() -> None:
    request = body(drop(site={"source_id": "o-main", "tank_id": "77"}))
    assert gaps_of(request, trade.master()) == [(ACME.id, "tank", "tank_id", "o-main/77")]


def test_k05_a_tank_the_destination_has_no_word_for_is_a_gap_of_its_site() -> None:
    site = replace(DESTINATION_WORDS[-1], tanks=())
    data = MasterData(RECORDS, [*ORIGIN_WORDS, *DESTINATION_WORDS[:-1], site])
    assert gaps_of(None, data) == [(BETA.id, "tank", "tank_goid", "d-main/tank_MAIN0A")]


def test_an_inactive_record_counts_as_missing() -> None:
    records = [replace(record, active=record.entity != "product") for record in RECORDS]
    data = MasterData(records, [*ORIGIN_WORDS, *DESTINATION_WORDS])
    assert gaps_of(None, data) == [(ACME.id, "product", "goid", "product_REGULAR")]


def test_a_key_that_is_missing_twice_is_one_gap() -> None:
    kero = drop(product={"source_id": "o-kero"})
    assert len(gaps_of(body(kero, kero), trade.master())) == 1


def test_k41_what_waits_is_answered_with_the_log_of_its_wait() -> None:
    effects = decide(body(drop(product={"source_id": "o-kero"})))
    log = effects.answer.body["log"]
    assert effects.logs == [log]
    assert (log["status"], log["detail"]["category"]) == ("waiting", "mapping")
    assert log["detail"]["error"] == "mapping.gap"


def test_x05_a_waiting_order_goes_on_when_the_mapping_is_there() -> None:
    made = command(body(drop(product={"source_id": "o-kero"})))
    here = world()
    waiting = order_of(decide(made, here))
    here.put_order(replace(waiting, waiting=1))
    kero = trade.mapping(ACME, "ERP", "product", "o-kero", "product_REGULAR")
    here.master.put_mapping(kero)
    effects = decide(made, here)
    state = order_of(effects)
    assert effects.answer.outcome == "done"
    assert (state.id, state.waiting, state.delivery) == (waiting.id, 1, "sent")
    assert (state.mapping, state.failed_at_step, state.message) == (
        "destination_mapped",
        None,
        None,
    )
    assert len(effects.syncs) == 1
    assert here.orders[waiting.id].delivery == "unsent", "the world changes only when applied"


def test_x05_an_order_that_still_misses_the_same_says_nothing_again() -> None:
    made = command(body(drop(product={"source_id": "o-kero"})))
    here = world()
    here.put_order(order_of(decide(made, here)))
    effects = decide(made, here)
    assert effects.answer.outcome == "waiting"
    assert effects.gaps
    assert effects.logs == []
    assert effects.events == []


def test_x05_a_woken_order_goes_on_although_its_tenant_was_deactivated_meanwhile() -> None:
    made = command(body(drop(product={"source_id": "o-kero"})))
    here = world()
    here.put_order(order_of(decide(made, here)))
    here.master.put_mapping(trade.mapping(ACME, "ERP", "product", "o-kero", "product_REGULAR"))
    assert decide(replace(made, caller=replace(ACME, active=False)), here).answer.outcome == "done"


def test_x06_a_pair_that_accepts_by_hand_is_asked_first() -> None:
    effects = decide(None, world(pair=MANUAL))
    assert (effects.answer.outcome, effects.answer.code) == (
        "waiting",
        "request.manual_acceptance",
    )
    assert effects.answer.body["status"] == "requested"
    [sync] = effects.syncs
    assert sync.type == "crossroads.order.requested.v1"
    state = order_of(effects)
    assert (state.mapping, state.delivery) == ("destination_mapped", "requested")
    assert status.of(state) == "requested"
    assert effects.gaps == []


def test_k36_the_same_number_of_the_pair_is_refused_with_the_fixed_text() -> None:
    first = order_of(decide())
    for other in (first, replace(first, delivery="canceled")):
        effects = decide(None, world(None, PAIR, other), id="command-2")
        assert effects.order is None
        assert (effects.answer.outcome, effects.answer.http_status) == ("refused", 422)
        assert effects.answer.body["detail"] == (
            "Duplicate order: An order with number 'PO-1' already exists for this tenant."
        )
        assert effects.answer.body["code"] == "request.order_already_exists"
        log = effects.answer.body["log"]
        assert log["detail"]["error"] == "request.order_already_exists"


def test_k36_the_same_number_for_another_destination_is_another_order() -> None:
    first = order_of(decide())
    other = Pair("e" * 24, ACME, GAMMA)
    here = world(None, PAIR, first)
    here.directory.pairs[ACME.id, GAMMA.id] = other
    effects = decide(None, here, id="command-2", partner=GAMMA, partner_name="Gamma Oil")
    assert effects.answer.outcome == "waiting", "Gamma has no mappings, but the number is free"


def test_no_pair_in_this_direction_is_403_with_the_fixed_sentence() -> None:
    effects = decide(None, caller=BETA, partner=ACME, partner_name="ACME Fuels")
    assert (effects.answer.http_status, effects.answer.code) == (403, "request.no_such_pair")
    assert effects.answer.body == {
        "detail": "There is no pair of these tenants in this direction.",
        "code": "request.no_such_pair",
    }


def test_k01_a_partner_nobody_knows_is_told_what_one_without_a_pair_is_told() -> None:
    """A stranger learns from no answer and from no log entry which tenants there are."""
    unknown = decide(None, partner=None, partner_name="Nobody")
    known = decide(None, caller=BETA, partner=ACME, partner_name="ACME Fuels")
    assert unknown.answer == known.answer
    assert unknown.answer.http_status == 403
    [said], [of_known] = unknown.logs, known.logs
    assert said["detail"] == of_known["detail"]


def test_a_deactivated_tenants_commands_are_refused() -> None:
    effects = decide(None, caller=replace(ACME, active=False))
    assert (effects.answer.http_status, effects.answer.code) == (403, "request.not_allowed")


def test_a_partner_without_a_pair_is_403_even_with_a_mapping_id_nobody_looked_up() -> None:
    request = body(drop(product={"mapping_id": ORIGIN_WORDS[0].id}))
    here = world(MasterData(), pair=None)
    assert decide(request, here).answer.code == "request.no_such_pair"


def test_k03_an_unknown_mapping_id_is_an_error_among_the_others() -> None:
    request = body(drop(product={"mapping_id": "f" * 24}, volume=0))
    answer = decide(request).answer
    assert (answer.http_status, answer.code) == (422, "request.invalid")
    assert [(entry["loc"][3:], entry["type"]) for entry in answer.body["detail"]] == [
        (["product", "mapping_id"], "unknown_mapping"),
        (["volume"], "greater_than"),
    ]


@pytest.mark.parametrize("wrong", [ORIGIN_WORDS[2], DESTINATION_WORDS[0]])
def test_k03_a_mapping_id_of_another_entity_or_tenant_is_unknown(wrong: Any) -> None:
    answer = decide(body(drop(product={"mapping_id": wrong.id}))).answer
    assert [entry["type"] for entry in answer.body["detail"]] == ["unknown_mapping"]


def test_a_refusal_for_errors_has_detail_alone_and_is_logged() -> None:
    effects = decide(body(drop(volume=0)))
    assert set(effects.answer.body) == {"detail"}
    [log] = effects.logs
    assert (log["status"], log["detail"]["error"]) == ("refused", "request.invalid")


def test_r005_a_named_system_gives_the_keys_their_meaning() -> None:
    effects = decide(None, system_name="Old ERP")
    assert {gap.system for gap in effects.gaps if gap.tenant_id == ACME.id} == {"Old ERP"}
    assert order_of(effects).origin_system == "Old ERP"


def test_the_pairs_system_gives_the_destinations_words() -> None:
    beta = replace(
        BETA, systems=(*BETA.systems, replace(BETA.systems[0], id="n", name="New", primary=False))
    )
    pair = replace(PAIR, destination=beta, destination_system="New")
    effects = decide(None, world(pair=pair), partner=beta)
    assert {gap.system for gap in effects.gaps} == {"New"}


def test_needs_name_the_order_its_number_and_every_key_once_per_place() -> None:
    here = world()
    request = body(
        drop(loads=[{"terminals": [{"source_id": "o-north"}], "supplier": {"source_id": "o-sup"}}]),
        supply_owner={"source_id": "o-sup"},
    )
    needs = create.needs(command(request), here.directory)
    assert (needs.scope, needs.towards) == (ERP, TMS)
    assert needs.order_ids == {(command().caller.id, command().derive("order"))}
    assert needs.numbers == {(ACME.id, "PO-1")}
    named = [entity for entity, _ in needs.keys]
    assert named == ["site", "product", "terminal", "company", "company"]


@pytest.mark.parametrize("request_", [{}, {"drops": [None, 5, {}]}, [], "text", {"drops": {}}])
def test_needs_and_decision_take_whatever_was_sent(request_: Any) -> None:
    here = world()
    create.needs(command(request_), here.directory)
    create.needs(command(request_, partner=None), here.directory)
    assert create.decide(command(request_), here, NOON).answer.code == "request.invalid"


def test_a_tank_chosen_by_product_wakes_on_the_products_own_mapping_too() -> None:
    site = replace(ORIGIN_WORDS[-1], tanks=ORIGIN_WORDS[-1].tanks[:1])
    data = MasterData(RECORDS, [*ORIGIN_WORDS[:-1], site, *DESTINATION_WORDS])
    request = body(drop(site={"source_id": "o-main"}, product={"source_id": "o-dsl"}))
    [gap] = decide(request, world(data)).gaps
    assert (gap.kind, gap.key) == ("product", "o-main/o-dsl")
    assert source_id_token(ERP, "product", "o-dsl") in gap.wake_on
    assert source_id_token(ERP, "site", "o-main") in gap.wake_on
