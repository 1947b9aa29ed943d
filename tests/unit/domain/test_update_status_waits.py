"""A status that has to wait: in its lane, and for a mapping (R084, X05, K12, K42)."""

from dataclasses import replace

import pytest

from services.domain.world import MasterData
from tests.unit.domain import driver, trade
from tests.unit.domain.driver import (
    LOADING,
    STATUS,
    command,
    errors,
    found,
    say,
    sent,
    status,
    take,
    told,
)
from tests.unit.domain.trade import ACME, BETA, DESTINATION_WORDS, ORIGIN_WORDS, RECORDS


@pytest.mark.parametrize("progress", ["assigned", *LOADING])
def test_k12_where_the_driver_loads_a_location_is_a_terminal(progress: str) -> None:
    request = status(progress, location={"source_id": "d-main"})
    effects = take(command(STATUS, request), driver.world())
    assert told(effects) == ("waiting", 200, "mapping.gap")
    assert [(gap.entity, gap.key) for gap in effects.gaps] == [("terminal", "d-main")]
    by_goid = status(progress, location={"goid": "site_MAIN01"})
    effects = take(command(STATUS, by_goid), driver.world())
    assert errors(effects) == [(["body", "location", "goid"], "goid_format")]


def test_k42_a_status_on_an_order_that_waits_for_mappings_waits_in_its_lane() -> None:
    gap = trade.body(trade.drop(product={"source_id": "o-kero"}))
    waiting = trade.order_of(trade.decide(gap))
    effects = take(command(STATUS, status()), driver.world(waiting))
    assert told(effects) == ("waiting", 200, "lane.behind")
    assert (effects.in_lane, effects.about, effects.order) == (True, waiting.id, None)
    assert effects.answer.body["status"] == "pending"


def test_k42_a_status_behind_others_waits_until_its_turn() -> None:
    here = driver.world(sent(waiting=2))
    assert told(take(command(STATUS, status()), here)) == ("waiting", 200, "lane.behind")
    assert take(command(STATUS, status(), lane=found(here).id), here).answer.outcome == "done"


def test_progress_on_a_requested_order_waits_even_at_its_turn() -> None:
    here = driver.world(sent(delivery="requested"))
    for lane in (None, found(here).id):
        effects = take(command(STATUS, status(), lane=lane), here)
        assert told(effects) == ("waiting", 200, "lane.behind")
        assert "acceptance by Beta Haulage" in effects.answer.body["message"]


def test_x05_k25_a_location_without_mapping_waits_in_the_lane_with_its_gap() -> None:
    here = driver.world()
    request = status(location={"source_id": "d-south"})
    effects = say(here, request)
    assert told(effects) == ("waiting", 200, "mapping.gap")
    assert effects.answer.body["status"] == "origin_mapped"
    assert effects.answer.body["status_update"]["location"]["source_id"] == "d-south"
    assert "terminal source_id 'd-south' (Beta Haulage in TMS)" in effects.answer.body["message"]
    assert told(say(here, status("loading"), id="next"))[2] == "lane.behind"
    here.master.put_mapping(trade.mapping(BETA, "TMS", "terminal", "d-south", "terminal_NORTH1"))
    assert say(here, request, lane=found(here).id).answer.outcome == "done"


def test_r084_a_location_the_receiver_has_no_word_for_waits_at_master_mapped() -> None:
    data = MasterData(
        RECORDS, [*DESTINATION_WORDS, *(each for each in ORIGIN_WORDS if each.entity != "terminal")]
    )
    here = driver.world(sent(trade.drop()), data=data)
    effects = take(command(STATUS, status()), here)
    assert effects.answer.body["status"] == "master_mapped"
    assert [gap.tenant_id for gap in effects.gaps] == [ACME.id]


def test_k12_a_place_to_drop_that_nobody_knows_waits_for_a_site_or_a_terminal() -> None:
    here = driver.world()
    request = status("dropping", location={"source_id": "d-new"})
    [gap] = take(command(STATUS, request), here).gaps
    assert (gap.entity, gap.key) == ("site", "d-new")
    for entity, goid in (("site", "site_MAIN01"), ("terminal", "terminal_NORTH1")):
        token = f"id|{BETA.id}|TMS|{entity}|d-new"
        assert token in gap.wake_on
        data = trade.master(trade.mapping(BETA, "TMS", entity, "d-new", goid))
        effects = take(command(STATUS, request), driver.world(data=data))
        assert effects.answer.body["status_update"]["location"]["goid"] == goid


def test_a_named_system_gives_the_keys_their_meaning_and_the_orders_words_none() -> None:
    beta = replace(
        BETA, systems=(*BETA.systems, replace(BETA.systems[0], id="n", name="New", primary=False))
    )
    here = driver.world()
    here.directory.by_id[BETA.id] = beta
    asked = command(STATUS, status(), caller=beta, system_name="New")
    effects = take(asked, here)
    assert [(gap.system, gap.key) for gap in effects.gaps] == [("New", "d-north")]
