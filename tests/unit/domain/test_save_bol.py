"""Save a bill of lading (R056-R059, K16, K26, K33, X09)."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.dump import to_json
from services.domain.operations import save_bol
from services.domain.wording import volume
from services.domain.world import MasterData, MasterRecord, OrderState, Tank, World
from tests.unit.domain import driver, trade
from tests.unit.domain.driver import (
    BOL,
    bol,
    by_acme,
    command,
    errors,
    found,
    line,
    say,
    sent,
    take,
    told,
)
from tests.unit.domain.trade import ACME, BETA, DESTINATION_WORDS, ORIGIN_WORDS, RECORDS

SECOND = MasterRecord(
    "site_SECOND", "site", "Second Street", tanks=(Tank("tank_SECOND", 1, "product_REGULAR"),)
)
THIRD = replace(SECOND, goid="site_THIRD1", name="Third Street", tanks=())


def data() -> MasterData:
    """Three sites; the trade's tanks, one at the second site, none at the third."""
    mappings = [*ORIGIN_WORDS, *DESTINATION_WORDS]
    for tenant, system, prefix in ((ACME, "ERP", "o"), (BETA, "TMS", "d")):
        tanks = [("7", f"{prefix}-reg", "tank_SECOND")]
        source = f"{prefix}-second"
        mappings += [
            trade.mapping(tenant, system, "site", source, "site_SECOND", tanks=tanks),
            trade.mapping(tenant, system, "site", f"{prefix}-third", "site_THIRD1"),
        ]
    return MasterData([*RECORDS, SECOND, THIRD], mappings)


def two_sites() -> World:
    """An order to two sites of those three."""
    request = trade.body(driver.LOADED, trade.drop(site={"source_id": "o-second", "tank_id": "7"}))
    order = trade.order_of(trade.decide(request, trade.world(data())))
    return driver.world(order, data=data())


def bols(order: OrderState) -> list[list[dict[str, Any]]]:
    """The bills in the three documents; the origin's, the master's, the destination's."""
    documents = (order.origin_document, order.master_document, order.destination_document)
    return [document["bols"] for document in documents if document is not None]


def test_x09_a_bill_is_kept_in_three_wordings_and_sent_in_the_receivers() -> None:
    here = driver.world()
    effects = say(here, bol(), BOL)
    assert told(effects) == ("done", 200, None)
    [origin], [master], [destination] = bols(found(here))
    assert effects.answer.body["bol"] == destination
    [sync] = effects.syncs
    assert (sync.receiver, sync.type) == (ACME, "crossroads.order.bol-saved.v1")
    assert sync.members == {"bol": origin}
    keys = [[each["terminal"], each["details"][0]["supplier"]] for each in (origin, destination)]
    assert [[key["source_id"] for key in side] for side in keys] == [
        ["o-north", "o-sup"],
        ["d-north", "d-sup"],
    ]
    assert master["terminal"] == {
        "mapping_id": None,
        "source_name": None,
        "source_id": None,
        "goid": "terminal_NORTH1",
        "goid_name": "North Terminal",
    }


def test_the_origin_may_send_one_too() -> None:
    here = driver.world()
    keys = {"supplier": {"source_id": "o-sup"}, "product": {"source_id": "o-reg"}}
    request = bol(line(**keys), terminal={"source_id": "o-north"})
    effects = say(here, request, BOL, **by_acme())
    [origin], _, [destination] = bols(found(here))
    assert effects.answer.body["bol"] == origin
    assert effects.syncs[0].members == {"bol": destination}


def test_a_decision_keeps_the_documents_of_the_world_as_they_were() -> None:
    here = driver.world()
    before = found(here)
    say(here, bol(), BOL)
    assert bols(before) == [[], [], []]
    assert bols(found(here)) != [[], [], []]
    assert before.origin_document["drops"] is found(here).origin_document["drops"]


# -- sites and tanks


def test_k16_without_a_site_it_is_the_orders_one_and_sites_are_derived() -> None:
    here = driver.world()
    for site in ({}, {"site": None}, {"site": {"source_id": "d-main"}}):
        saved = say(here, bol(line(**site), bol_number=str(site)), BOL).answer.body["bol"]
        [detail] = saved["details"]
        assert (detail["site"]["source_id"], detail["site"]["tank_id"]) == ("d-main", "1")
        assert [each["source_id"] for each in saved["sites"]] == ["d-main"]
        assert "tank_id" not in saved["sites"][0]


@pytest.mark.parametrize("site", [{}, {"site": None}, {"site": {"tank_id": "1"}}])
def test_k16_where_the_order_has_several_sites_each_line_names_its_own(site: Any) -> None:
    effects = take(command(BOL, bol(line(**site), line(**site))), two_sites())
    assert errors(effects) == [
        (["body", "details", 0, "site"], "site_required"),
        (["body", "details", 1, "site"], "site_required"),
    ]
    here = two_sites()
    lines = [line(site={"source_id": each}) for each in ("d-main", "d-second", "d-main")]
    saved = say(here, bol(*lines), BOL).answer.body["bol"]
    assert [each["source_id"] for each in saved["sites"]] == ["d-main", "d-second"]


def test_a_site_the_order_does_not_have_is_422() -> None:
    request = bol(line(site={"source_id": "d-third"}), bol_date="2026-03-29T01:00:00Z")
    effects = take(command(BOL, request), two_sites())
    assert errors(effects) == [(["body", "details", 0, "site"], "site_not_on_order")]
    assert effects.about is not None


def test_a_site_nobody_mapped_waits_for_its_mapping_first() -> None:
    effects = take(command(BOL, bol(line(site={"source_id": "d-new"}))), two_sites())
    assert told(effects) == ("waiting", 200, "mapping.gap")
    assert [(gap.entity, gap.key) for gap in effects.gaps] == [("site", "d-new")]


def test_a_tank_without_site_keys_is_one_of_the_orders_own() -> None:
    [detail] = take(command(BOL, bol(line(site={"tank_id": "1"}))), driver.world()).answer.body[
        "bol"
    ]["details"]
    assert detail["site"]["tank_goid"] == "tank_MAIN0A"
    effects = take(command(BOL, bol(line(site={"tank_id": "2"}))), driver.world())
    assert errors(effects) == [(["body", "details", 0, "site"], "tank_unknown")]


@pytest.mark.parametrize(
    ("key", "tank"),
    [
        ({"tank_id": "1"}, "tank_MAIN0A"),
        ({"tank_id": "2"}, "tank_MAIN0B"),
        ({"product_source_id": "d-dsl"}, "tank_MAIN0B"),
        ({"product_source_id": "d-reg"}, "tank_MAIN0A"),
    ],
)
def test_r042_a_tank_is_one_of_the_order_else_one_of_the_site(key: Any, tank: str) -> None:
    request = bol(line(site={"source_id": "d-main", **key}))
    effects = take(command(BOL, request), driver.world())
    [detail] = effects.syncs[0].members["bol"]["details"]
    assert detail["site"]["tank_goid"] == tank
    assert detail["site"]["source_id"] == "o-main"


def test_r037_a_site_by_goid_takes_its_tank_by_goid() -> None:
    site = {"goid": "site_MAIN01", "tank_goid": "tank_MAIN0C"}
    effects = take(command(BOL, bol(line(site=site))), driver.world())
    assert effects.syncs[0].members["bol"]["details"][0]["site"]["tank_id"] == "10"
    wrong = bol(line(site={**site, "tank_id": "1"}))
    [(loc, kind)] = errors(take(command(BOL, wrong), driver.world()))
    assert (loc, kind) == (["body", "details", 0, "site", "goid"], "goid_alone")


def test_the_product_source_id_means_the_tank_that_was_ordered() -> None:
    order = sent(trade.drop(site={"source_id": "o-main", "tank_id": "10"}))
    request = bol(line(site={"source_id": "d-main", "product_source_id": "d-reg"}))
    effects = take(command(BOL, request), driver.world(order))
    assert effects.answer.body["bol"]["details"][0]["site"]["tank_goid"] == "tank_MAIN0C"


def test_of_several_tanks_that_fit_none_is_guessed_for_a_line_that_names_none() -> None:
    order = sent(trade.drop(), trade.drop(site={"source_id": "o-main", "tank_id": "10"}))
    effects = take(command(BOL, bol()), driver.world(order))
    assert effects.answer.body["bol"]["details"][0]["site"]["tank_id"] is None


def test_k05_a_tank_the_site_does_not_have_is_a_gap_of_it() -> None:
    request = bol(line(site={"source_id": "d-main", "tank_id": "77"}))
    effects = take(command(BOL, request), driver.world())
    assert [(gap.entity, gap.key) for gap in effects.gaps] == [("tank", "d-main/77")]


# -- volumes


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        (7488.1234567890123456, "7488.1235"),
        (0.00005, "0"),
        (0.00015, "0.0002"),
        (2.00025, "2.0002"),
        (7500, "7500"),
        (-12.5, "-12.5"),
        (1_000_000_000, "1000000000"),
    ],
)
def test_k16_volumes_of_any_number_of_places_are_kept_with_four_half_to_even(
    given_: float, kept: str
) -> None:
    here = driver.world()
    say(here, bol(line(net_volume=given_)), BOL)
    for [each] in bols(found(here)):
        assert isinstance(each["details"][0]["net_volume"], Decimal), "never a float"
        assert orjson.loads(to_json(each))["details"][0]["net_volume"] == float(kept)
        assert f'"net_volume":{kept},'.encode() in to_json(each)


@pytest.mark.parametrize("wrong", ["7500", True, None, 1_000_000_000.5])
def test_a_volume_is_a_number_of_a_size_that_can_be(wrong: Any) -> None:
    [(loc, _)] = errors(take(command(BOL, bol(line(net_volume=wrong))), driver.world()))
    assert loc == ["body", "details", 0, "net_volume"]


@given(st.floats(-1e9, 1e9))
def test_k16_rounding_again_changes_nothing(value: float) -> None:
    once = volume(Decimal(str(value)))
    assert once is not None
    assert volume(once) == once
    assert abs(once - Decimal(str(value))) <= Decimal("0.00005")
    exponent = once.as_tuple().exponent
    assert exponent == -4


# -- again, and instead


def reread(order: OrderState) -> OrderState:
    """The order as it comes back from where it was kept: decimals are numbers of JSON."""
    documents = (order.origin_document, order.master_document, order.destination_document)
    origin, master, destination = (orjson.loads(to_json(document)) for document in documents)
    return replace(
        order, origin_document=origin, master_document=master, destination_document=destination
    )


def test_k33_the_same_bill_again_is_done_and_nothing_new() -> None:
    """Nor does its log say that it was sent."""
    here = driver.world()
    request = bol(line(net_volume=7488.12345678, gross_volume=7500.1))
    say(here, request, BOL)
    for world in (here, driver.world(reread(found(here)))):
        effects = take(command(BOL, request, id="days-later"), world)
        assert told(effects) == ("done", 200, None)
        assert (effects.order, effects.syncs, effects.events) == (None, [], [])
        assert effects.answer.body["bol"]["bol_number"] == "B-1"
        assert not effects.logs[0]["detail"]["message_short"].endswith("sent")


def test_k16_a_bill_of_the_same_number_and_terminal_takes_the_earlier_ones_place() -> None:
    here = driver.world()
    for number in ("B-1", "B-2"):
        say(here, bol(bol_number=number), BOL)
    say(here, bol(line(net_volume=1)), BOL)
    for each in bols(found(here)):
        assert [(bill["bol_number"], bill["details"][0]["net_volume"]) for bill in each] == [
            ("B-1", 1),
            ("B-2", Decimal("7488.25")),
        ]


def test_k16_the_same_number_of_another_terminal_is_another_bill() -> None:
    south = MasterRecord("terminal_SOUTH1", "terminal", "South")
    words = [
        trade.mapping(tenant, system, "terminal", f"{prefix}-south", "terminal_SOUTH1")
        for tenant, system, prefix in ((ACME, "ERP", "o"), (BETA, "TMS", "d"))
    ]
    here = driver.world(data=trade.master(*words, records=(*RECORDS, south)))
    say(here, bol(), BOL)
    say(here, bol(terminal={"source_id": "d-south"}), BOL)
    assert [len(each) for each in bols(found(here))] == [2, 2, 2]


# -- when it is not taken now


def test_k26_a_bill_is_taken_after_complete_but_not_on_a_canceled_order() -> None:
    assert say(driver.world(sent(progress="complete")), bol(), BOL).answer.outcome == "done"
    canceled = take(command(BOL, bol()), driver.world(sent(delivery="canceled")))
    assert told(canceled) == ("refused", 422, "request.order_canceled")


def test_a_key_without_mapping_makes_the_bill_wait_in_the_lane_with_all_its_gaps() -> None:
    here = driver.world(data=MasterData(RECORDS, []))
    request = bol(line(product={"source_id": "d-kero"}, supplier={"source_id": "d-new"}))
    effects = say(here, request, BOL)
    assert told(effects) == ("waiting", 200, "mapping.gap")
    assert [(gap.entity, gap.key) for gap in effects.gaps] == [
        ("company", "d-new"),
        ("product", "d-kero"),
    ]
    assert (effects.in_lane, effects.order) == (True, None)
    assert effects.answer.body["bol"]["details"][0]["product"]["source_id"] == "d-kero"
    assert effects.answer.body["bol"]["details"][0]["site"]["source_id"] == "d-main"


def test_what_was_sent_keeps_its_ids_whatever_the_mappings_say_by_now() -> None:
    effects = take(command(BOL, bol()), driver.world(data=MasterData(RECORDS, [])))
    assert effects.answer.outcome == "done"
    assert effects.syncs[0].members["bol"]["details"][0]["supplier"]["source_id"] == "o-sup"


def test_k28_what_is_wrong_in_the_lines_is_told_at_once() -> None:
    request = bol(
        line(supplier={}, net_volume="x"),
        line(site={"source_id": "d-main", "goid": "site_MAIN01"}),
        5,
        terminal={"goid": "site_MAIN01"},
    )
    del request["bol_date"]
    assert errors(take(command(BOL, request), driver.world())) == [
        (["body", "terminal", "goid"], "goid_format"),
        (["body", "details", 0, "supplier"], "key_required"),
        (["body", "details", 0, "net_volume"], "float_type"),
        (["body", "details", 1, "site", "goid"], "goid_alone"),
        (["body", "details", 2], "dict_type"),
        (["body", "bol_date"], "missing"),
    ]


def test_errors_in_the_light_of_the_order_are_told_at_once() -> None:
    window = trade.window(timezone="America/Chicago")
    order = trade.order_of(trade.decide(trade.body(driver.LOADED, delivery_window=window)))
    request = bol(
        line(site={"tank_id": "2"}, product={"mapping_id": "f" * 24}),
        bol_date="2026-03-08T02:30:00",
    )
    assert errors(take(command(BOL, request), driver.world(order))) == [
        (["body", "bol_date"], "local_time_skipped"),
        (["body", "details", 0, "product", "mapping_id"], "unknown_mapping"),
        (["body", "details", 0, "site"], "tank_unknown"),
    ]


@pytest.mark.parametrize("request_", [{}, [], "x", {"details": [None, {}, 4]}, {"details": {}}])
def test_needs_and_decision_take_whatever_was_sent(request_: Any) -> None:
    here = driver.world()
    made = command(BOL, request_)
    save_bol.needs(made, here.directory)
    assert take(made, here).answer.code == "request.invalid"


def test_needs_name_every_key_of_the_bill() -> None:
    here = driver.world()
    needs = save_bol.needs(command(BOL, bol(line(site={"source_id": "d-main"}))), here.directory)
    assert [entity for entity, _ in needs.keys] == ["terminal", "site", "company", "product"]


BILLS = st.lists(
    st.tuples(st.sampled_from(["B-1", "B-2", "B-3"]), st.sampled_from([1.0, 2.5])), max_size=8
)


@settings(max_examples=50, deadline=None)
@given(BILLS)
def test_the_three_documents_always_hold_the_last_bill_of_each_number(
    bills: list[tuple[str, float]],
) -> None:
    here = driver.world()
    last: dict[str, float] = {}
    for at, (number, net) in enumerate(bills):
        effects = say(here, bol(line(net_volume=net), bol_number=number), BOL, id=str(at))
        assert bool(effects.syncs) == (last.get(number) != net)
        last[number] = net
    for each in bols(found(here)):
        kept = [(bill["bol_number"], float(bill["details"][0]["net_volume"])) for bill in each]
        assert kept == list(last.items())
