"""What a batch's decisions mean for whoever waits: counts, take-overs, turns (protocol §3)."""

from dataclasses import replace
from typing import Any

import pytest

from services.commands.batch import Job
from services.commands.waits import Waits
from services.domain.effects import Answer, Effects, UnknownNumber
from services.domain.world import OrderState
from services.records.numbers import NumberWaiter
from tests.unit.domain import driver, trade
from tests.unit.domain.trade import ACME, BETA, GAMMA

BY_BETA = UnknownNumber(BETA.id, ACME.id, "PO-1")
BY_ACME = UnknownNumber(ACME.id, BETA.id, "PO-1")
ANSWER = Answer("waiting", 200, "x", {})


def order(**changes: Any) -> OrderState:
    return replace(driver.sent(), **changes)


def job(effects: Effects, lane: str | None = None, operation: str = driver.STATUS) -> Job:
    nothing: Any = None
    command = driver.command(operation, driver.status())
    return Job(nothing, command, turn=lane is not None, lane=lane, effects=effects)


def decided(before: OrderState | None, *jobs: Job, waiters: tuple[NumberWaiter, ...] = ()) -> Waits:
    """A pass over these jobs on a world that held this order."""
    known = [] if before is None else [before]
    here = trade.world(None, trade.PAIR, *known)
    waits = Waits(here, {each.id: each for each in known}, waiters)
    for each in jobs:
        if each.decided.order is not None:
            here.put_order(each.decided.order)
        waits.decided(each)
    return waits


@pytest.mark.parametrize(
    ("was", "becomes", "runs"),
    [
        ({"delivery": "requested"}, {"delivery": "sent"}, True),
        ({"delivery": "requested"}, {"delivery": "canceled"}, True),
        ({"delivery": "requested"}, {"receipt": "rejected"}, True),
        ({"delivery": "unsent"}, {"delivery": "failed"}, True),
        ({"delivery": "unsent"}, {"delivery": "canceled"}, True),
        ({"delivery": "sent"}, {"delivery": "canceled"}, True),
        ({"delivery": "sent"}, {"receipt": "rejected"}, True),
        ({"delivery": "sent"}, {"receipt": "failed"}, False),
        ({"delivery": "unsent"}, {"delivery": "requested"}, False),
        ({"delivery": "sent"}, {"po": "7"}, False),
        ({"delivery": "requested", "waiting": 0}, {"delivery": "sent"}, False),
    ],
)
def test_a_lane_runs_when_its_order_becomes_what_progress_can_be_decided_on(
    was: dict[str, Any], becomes: dict[str, Any], *, runs: bool
) -> None:
    """Acceptance, rejection and cancel need nothing else than to say what the order becomes."""
    before = order(**{"waiting": 2, **was})
    after = replace(before, **becomes)
    waits = decided(before, job(Effects(ANSWER, order=after)))
    assert waits.runnable() == ({before.id} if runs else set())


def test_who_parks_and_who_leaves_is_counted_at_once() -> None:
    before = order()
    parking = [job(Effects(ANSWER, about=before.id, in_lane=True)) for _ in range(2)]
    leaving = job(Effects(ANSWER, about=before.id), lane=before.id)
    staying = job(Effects(ANSWER, about=before.id, in_lane=True), lane=before.id)
    waits = decided(before, *parking, leaving, staying)
    assert waits.world.orders[before.id].waiting == before.waiting + 1
    assert before.waiting == 0, "what was loaded stays as it was"
    assert [each.parked for each in (*parking, leaving, staying)] == [
        before.id, before.id, None, before.id,
    ]  # fmt: skip
    assert waits.runnable() == set(), "it waits for whatever held its head"


def test_a_new_order_takes_over_who_waits_for_it_between_these_two() -> None:
    early = job(Effects(ANSWER, number=BY_BETA))
    waiters = (
        NumberWaiter(5, BY_ACME, driver.STATUS),
        NumberWaiter(6, UnknownNumber(GAMMA.id, ACME.id, "PO-1"), driver.STATUS),
    )
    new = order()
    late = job(Effects(ANSWER, number=BY_BETA))
    waits = decided(None, early, job(Effects(ANSWER, order=new)), late, waiters=waiters)
    assert waits.moves == {5: new.id}
    assert (early.parked, late.parked) == (new.id, None)
    assert waits.world.orders[new.id].waiting == 2
    assert waits.runnable() == waits.taken_over == {new.id}
    assert BY_ACME in waits.given


def test_a_number_the_destination_gives_takes_over_what_waits_for_that_one_alone() -> None:
    before = order(waiting=1)
    after = replace(before, destination_number="H9")
    waiters = (
        NumberWaiter(1, replace(BY_BETA, number="H9"), driver.STATUS),
        NumberWaiter(2, BY_BETA, driver.STATUS),
    )
    waits = decided(before, job(Effects(ANSWER, order=after)), waiters=waiters)
    assert waits.moves == {1: before.id}
    assert waits.given == {replace(BY_BETA, number="H9"), replace(BY_ACME, number="H9")}
    assert waits.runnable() == {before.id}, "what came earlier may go before what waits there"


@pytest.mark.parametrize("delivery", ["unsent", "requested"])
@pytest.mark.parametrize(("operation", "runs"), [("order.cancel", True), (driver.STATUS, False)])
def test_what_overtakes_has_its_turn_at_once_in_the_lane_of_an_order_that_waits(
    delivery: str, operation: str, *, runs: bool
) -> None:
    """Protocol §3: taken over behind a create that waits itself, a cancel must not sleep there."""
    new = order(delivery=delivery)
    waiter = NumberWaiter(5, BY_ACME, operation)
    waits = decided(None, job(Effects(ANSWER, order=new)), waiters=(waiter,))
    assert waits.moves == {5: new.id}
    assert waits.runnable() == ({new.id} if runs else set())


def test_only_an_order_that_is_canceled_before_it_was_mapped_lets_its_gaps_go() -> None:
    mapped, unmapped = order(delivery="sent"), order(delivery="unsent", id="e" * 24)
    here = trade.world(None, trade.PAIR, mapped, unmapped)
    waits = Waits(here, {each.id: each for each in (mapped, unmapped)})
    assert waits.released() == set()
    for each in (mapped, unmapped):
        here.put_order(replace(each, delivery="canceled"))
    assert waits.released() == {unmapped.id}
