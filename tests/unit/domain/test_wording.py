"""A key is looked up in the order's own documents first, then in the mappings (K03, K16)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.mapping import Side
from services.domain.own_words import matching, places, sites
from services.domain.wording import Wording
from services.domain.world import MasterData, MasterRecord, OrderState
from tests.unit.domain import driver, trade
from tests.unit.domain.trade import ACME_SIDE, BETA, BETA_SIDE, RECORDS

ORDER = driver.sent()


def wording(
    data: MasterData | None = None,
    order: OrderState = ORDER,
    mine: Side = BETA_SIDE,
    **changes: Any,
) -> Wording:
    theirs = ACME_SIDE if mine is BETA_SIDE else BETA_SIDE
    return Wording(order, mine, theirs, trade.master() if data is None else data, **changes)


OWN = ("o-main", "d-main", "o-reg", "d-reg", "o-north", "d-north", "o-sup", "d-sup")


@pytest.mark.parametrize(
    ("entity", "source_id"),
    [("site", "main"), ("product", "reg"), ("terminal", "north"), ("company", "sup")],
)
def test_every_entity_of_the_order_is_known_from_either_side(entity: str, source_id: str) -> None:
    for mine, here, there in ((BETA_SIDE, "d", "o"), (ACME_SIDE, "o", "d")):
        own = wording(MasterData(), mine=mine).own(entity, {"source_id": f"{here}-{source_id}"})
        assert own is not None
        assert [None if each is None else each["source_id"] for each in own] == [
            f"{here}-{source_id}",
            None,
            f"{there}-{source_id}",
        ]


def mapping_id(source_id: str) -> str:
    return next(each.id for each in trade.DESTINATION_WORDS if each.source_id == source_id)


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ({"goid": "terminal_NORTH1"}, True),
        ({"mapping_id": mapping_id("d-north")}, True),
        ({"source_name": "d-north name"}, True),
        ({"source_id": "d-north", "mapping_id": mapping_id("d-north")}, True),
        ({"source_id": "d-north", "mapping_id": mapping_id("d-main")}, False),
        ({"source_id": "d-north", "source_name": "free text"}, True),
        ({"source_id": "o-north"}, False),
        ({"source_name": "North"}, False),
        ({}, False),
    ],
)
def test_every_id_that_is_given_must_be_the_one_that_was_sent(key: Any, *, known: bool) -> None:
    assert (wording().own("terminal", key) is not None) == known


def test_k03_a_name_beside_the_id_that_names_another_record_is_no_own_key() -> None:
    south = MasterRecord("terminal_SOUTH1", "terminal", "South")
    named = trade.mapping(BETA, "TMS", "terminal", "d-south", "terminal_SOUTH1", name="South")
    found = wording(trade.master(named, records=(*RECORDS, south)))
    key = {"source_id": "d-north", "source_name": "South"}
    assert found.own("terminal", key) is None
    found.key("terminal", key, ("terminal",))
    assert [gap.kind for gap in found.gaps] == ["ambiguous"]


def test_k03_a_name_of_several_records_of_the_order_is_not_guessed() -> None:
    order = driver.sent(trade.drop(), trade.drop(product={"source_id": "o-dsl"}))
    mine, _, _ = wording(order=order).documents
    both = [{**drop["product"], "source_name": "Fuel"} for drop in mine["drops"]]
    assert matching(both, {"source_name": "Fuel"}) is None
    assert matching(both[:1], {"source_name": "Fuel"}) == 0


def test_a_key_of_another_system_is_not_looked_up_in_the_orders_documents() -> None:
    assert wording(foreign=True).own("terminal", {"source_id": "d-north"}) is None


def test_papers_are_the_orders_own_documents_too() -> None:
    here = driver.world()
    request = driver.bol(driver.line(product={"source_id": "d-dsl"}))
    driver.say(here, request, driver.BOL)
    order = driver.found(here)
    own = wording(MasterData(), order=order).own("product", {"source_id": "d-dsl"})
    assert own is not None
    assert own[2] is not None
    assert own[2]["source_id"] == "o-dsl"


def test_an_order_that_is_not_mapped_has_no_words_for_papers() -> None:
    order = trade.order_of(trade.decide(trade.body(trade.drop(product={"source_id": "x"}))))
    with pytest.raises(ValueError, match="not mapped"):
        _ = wording(order=order).documents


def test_r045_of_several_own_tanks_with_one_product_the_lowest_is_meant() -> None:
    order = driver.sent(trade.drop(site={"source_id": "o-main", "tank_id": "10"}), trade.drop())
    found = places(wording(order=order).documents)
    tank = found.called("site_MAIN01", {"product_source_id": "d-reg"})
    assert tank is not None
    assert tank[0]["tank_id"] == "1"
    assert found.called("site_MAIN01", {"tank_id": "2"}) is None
    assert found.called("site_OTHER1", {"tank_id": "1"}) is None


def test_sites_are_those_of_the_drops_each_once() -> None:
    order = driver.sent(trade.drop(), trade.drop())
    [(goid, (mine, _, theirs))] = sites(wording(order=order).documents).items()
    assert (goid, mine["source_id"]) == ("site_MAIN01", "d-main")
    assert theirs is not None
    assert "tank_id" not in theirs


@given(st.sampled_from(OWN), st.sampled_from(["site", "product", "terminal", "company"]))
def test_own_words_and_mappings_agree_while_no_mapping_has_changed(
    source_id: str, entity: str
) -> None:
    key = {"source_id": source_id}
    one = wording()
    own = one.own(entity, key)
    words = one.translator.key(entity, key)
    if own is not None:
        assert own == (words.origin, words.master, words.destination)
    else:
        assert words.master is None
