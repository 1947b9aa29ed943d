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


def job(effects: Effects, lane: str | None = None) -> Job:
    nothing: Any = None
    return Job(nothing, nothing, turn=lane is not None, lane=lane, effects=effects)


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
        NumberWaiter(5, BY_ACME),
        NumberWaiter(6, UnknownNumber(GAMMA.id, ACME.id, "PO-1")),
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
    waiters = (NumberWaiter(1, replace(BY_BETA, number="H9")), NumberWaiter(2, BY_BETA))
    waits = decided(before, job(Effects(ANSWER, order=after)), waiters=waiters)
    assert waits.moves == {1: before.id}
    assert waits.given == {replace(BY_BETA, number="H9"), replace(BY_ACME, number="H9")}
    assert waits.runnable() == {before.id}, "what came earlier may go before what waits there"
