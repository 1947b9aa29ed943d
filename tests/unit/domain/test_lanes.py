"""Progress that comes out of order: before its order, behind a gap, behind another (K42, X05)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.command import Command
from services.domain.tenants import Pair
from services.domain.world import Mapping
from tests.unit.domain import driver, trade
from tests.unit.domain.driver import BOL, STATUS, bol, line, status
from tests.unit.domain.lanes import Lanes
from tests.unit.domain.trade import ACME, BETA, GAMMA, PAIR

KERO = trade.mapping(ACME, "ERP", "product", "o-kero", "product_REGULAR")
SOUTH = trade.mapping(BETA, "TMS", "terminal", "d-south", "terminal_NORTH1")
CREATE = trade.command(trade.body(trade.drop(product={"source_id": "o-kero"})), id="create")

PROGRESS = [
    driver.command(STATUS, status("assigned"), id="1"),
    driver.command(STATUS, status("loading", location={"source_id": "d-south"}), id="2"),
    driver.command(BOL, bol(line(), terminal={"source_id": "d-south"}), id="3"),
    driver.command(STATUS, status("complete", location=None), id="4"),
]
TOLD = [
    "1 crossroads.order.status-updated.v1",
    "2 crossroads.order.status-updated.v1",
    "3 crossroads.order.bol-saved.v1",
    "4 crossroads.order.status-updated.v1",
]


def lanes(pair: Pair = PAIR) -> Lanes:
    return Lanes(trade.world(None, pair))


@settings(max_examples=150, deadline=None)
@given(st.permutations([CREATE, KERO, SOUTH, *[0] * len(PROGRESS)]))
def test_k42_x05_whatever_comes_first_everything_is_done_once_and_in_sequence(
    arrivals: list[Command | Mapping | int],
) -> None:
    here, left = lanes(), iter(PROGRESS)
    for arrival in arrivals:
        if isinstance(arrival, Mapping):
            here.upsert(arrival)
        else:
            here.take(arrival if isinstance(arrival, Command) else next(left))
    assert here.idle
    assert here.sent == {"beta": ["create crossroads.order.created.v1"], "acme": TOLD}
    for command in (CREATE, *PROGRESS):
        assert here.outcomes(command.id)[-1] == "done"
        assert here.outcomes(command.id)[:-1] in ([], ["waiting"])
    order = driver.found(here.world)
    assert (order.progress, order.waiting, len(order.origin_document["bols"])) == ("complete", 0, 1)


def test_k42_only_the_wait_for_an_unknown_number_ends_by_time() -> None:
    here = lanes()
    here.take(*PROGRESS)
    assert {here.answers[each.id][0].code for each in PROGRESS} == {"lane.order_unknown"}
    here.overdue()
    assert here.idle
    for command in PROGRESS:
        [_, last] = here.answers[command.id]
        assert last.body == {"detail": "Order not found for number: PO-1"}


def test_k42_an_order_of_another_pair_takes_over_nothing() -> None:
    here = lanes()
    here.world.directory.pairs[ACME.id, GAMMA.id] = Pair("e" * 24, ACME, GAMMA)
    here.take(PROGRESS[0])
    here.take(replace(CREATE, id="other", partner=GAMMA, partner_name="Gamma Oil"))
    assert here.answers["1"][-1].code == "lane.order_unknown"


def test_k42_a_number_the_destination_assigns_wakes_what_waited_for_it() -> None:
    here = lanes()
    here.take(trade.command())
    named: dict[str, Any] = status("assigned", order={"order_number": "BH-9"})
    here.take(driver.command(STATUS, named, id="early"))
    assert here.outcomes("early") == ["waiting"]
    here.number(replace(driver.found(here.world), destination_number="BH-9"))
    assert here.outcomes("early") == ["waiting", "done"]


@pytest.mark.parametrize(
    ("became", "outcome", "code"),
    [
        ({"delivery": "sent"}, "done", None),
        ({"delivery": "requested", "receipt": "rejected"}, "refused", "order.rejected"),
        ({"delivery": "canceled"}, "refused", "order.canceled"),
    ],
)
def test_progress_on_a_requested_order_waits_until_it_is_decided(
    became: dict[str, str], outcome: str, code: str | None
) -> None:
    here = lanes(replace(PAIR, acceptance="manual"))
    here.take(trade.command(), PROGRESS[0])
    assert here.outcomes("1") == ["waiting"]
    here.become(replace(driver.found(here.world), **became))  # type: ignore[arg-type]
    last = here.answers["1"][-1]
    assert (last.outcome, last.code, here.idle) == (outcome, code, True)


def test_a_status_after_one_that_waits_for_a_mapping_does_not_overtake_it() -> None:
    here = lanes()
    here.take(trade.command(), PROGRESS[1], PROGRESS[3])
    assert [here.answers[each][-1].code for each in ("2", "4")] == ["mapping.gap", "lane.behind"]
    here.upsert(SOUTH)
    assert here.sent["acme"] == [TOLD[1], TOLD[3]]
