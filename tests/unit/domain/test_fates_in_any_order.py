"""Cancel, acceptance, rejection, receipts and progress in any order of arrival (X06-X08, K42)."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.command import Command
from services.domain.world import Mapping
from tests.unit.domain import driver, fates, trade
from tests.unit.domain.fates import ACCEPT, CANCEL, RECEIPT, REJECT
from tests.unit.domain.lanes import Lanes
from tests.unit.domain.trade import ACME, BETA

KERO = trade.mapping(ACME, "ERP", "product", "o-kero", "product_REGULAR")
SOUTH = trade.mapping(BETA, "TMS", "terminal", "d-south", "terminal_NORTH1")
CREATE = trade.command(trade.body(fates.UNMAPPED), id="create")
STATUSES = [
    driver.command(driver.STATUS, driver.status("assigned"), id="1"),
    driver.command(
        driver.STATUS, driver.status("loading", location={"source_id": "d-south"}), id="2"
    ),
    driver.command(driver.STATUS, driver.status("loading"), id="3"),
]
SETTLING = [
    fates.command(CANCEL, id_="cancel"),
    fates.command(CANCEL, id_="their cancel", by=BETA, reason_code="price"),
    fates.command(ACCEPT, id_="accept"),
    fates.command(REJECT, id_="reject"),
    fates.command(RECEIPT, id_="received"),
    fates.command(RECEIPT, id_="rejected", status="rejected"),
    fates.command(
        CANCEL, id_="by its number", by=BETA, order={"order_number": "BH-1"}, reason_code="late"
    ),
]
CLOSING = ("canceled", "rejected")


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(SETTLING), max_size=4, unique_by=lambda each: each.id).flatmap(
        lambda some: st.permutations([CREATE, KERO, SOUTH, *STATUSES, *some])
    ),
    st.sampled_from([trade.PAIR, fates.MANUAL]),
)
def test_every_command_ends_once_and_nothing_follows_the_end_of_its_order(
    arrivals: list[Command | Mapping], pair: Any
) -> None:
    here = Lanes(trade.world(None, pair))
    for arrival in arrivals:
        if isinstance(arrival, Mapping):
            here.upsert(arrival)
        else:
            here.take(arrival)
    order = driver.found(here.world)
    waits_for_acceptance = order.delivery == "requested" and order.receipt != "rejected"
    for command_id, answers in here.answers.items():
        outcomes = Counter(answer.outcome for answer in answers)
        assert outcomes["waiting"] <= 1
        ended = outcomes["done"] + outcomes["refused"]
        assert ended <= 1
        waits = waits_for_acceptance or command_id == "by its number"
        assert ended or waits, f"{command_id} sleeps"
    create = here.answers["create"][-1]
    was_sent = any("created" in each for each in here.sent.get("beta", ()))
    assert (create.outcome == "done") == was_sent
    assert (order.waiting == 0) or waits_for_acceptance
    _nothing_follows(here.sent)


def _nothing_follows(sent: dict[str, list[str]]) -> None:
    """The record that closes an order is the last one; only who rejected may hear of nothing."""
    for told in sent.values():
        closing = [at for at, each in enumerate(told) if any(word in each for word in CLOSING)]
        assert closing in ([], [len(told) - 1])
