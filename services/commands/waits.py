"""What waits for a batch's orders, as its decisions change it: lanes, numbers, turns (protocol §3).

Counts must be right at once, for the next command of the batch goes by them: behind a command that
waits nothing is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.commands.batch import Job
from services.domain import status
from services.domain.effects import UnknownNumber
from services.domain.operations.table import OVERTAKING
from services.domain.world import OrderState, World
from services.records import numbers
from services.records.numbers import NumberWaiter


@dataclass(slots=True)
class Waits:
    """Follows one pass of decisions over a batch.

    `before` are the orders as they were loaded, `waiters` the stored commands that wait for numbers
    the batch may give. Afterwards `moves` tells which of those have a lane now ({lane id: order
    id}), `touched` whose orders' counts changed, and `given` every number an order got.
    """

    world: World
    before: Mapping[str, OrderState]
    waiters: Sequence[NumberWaiter] = ()
    moves: dict[int, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    given: set[UnknownNumber] = field(default_factory=set)
    taken_over: set[str] = field(default_factory=set)
    _overtaken: set[str] = field(default_factory=set)
    _unknown: list[Job] = field(default_factory=list)

    def decided(self, job: Job) -> None:
        """Take in what a decision, which the world has by now, means for whoever waits."""
        effects = job.decided
        job.parked = effects.order_id if effects.in_lane else None
        if job.parked is not None and job.lane is None:
            self._count(job.parked, 1)
        elif job.parked is None and job.lane is not None:
            self._count(job.lane, -1)
        if effects.number is not None:
            self._unknown.append(job)
        if effects.order is not None:
            self._take_over(effects.order)

    def runnable(self) -> set[str]:
        """The orders whose lanes can go on now and could not before, or that got something in."""
        found = set()
        for order in self.world.orders.values():
            before = self.before.get(order.id)
            if order is before or not order.waiting:
                continue
            if order.id in self._overtaken or (_goes_on(order) and self._is_news(order, before)):
                found.add(order.id)
        return found

    def released(self) -> set[str]:
        """The orders that were canceled and wait for no mapping any more."""
        return {
            order_id
            for order_id, before in self.before.items()
            if before.delivery == status.UNSENT
            and self.world.orders[order_id].delivery == status.CANCELED
        }

    def _is_news(self, order: OrderState, before: OrderState | None) -> bool:
        """Whether a lane that goes on now has more to do than before."""
        if order.id in self.taken_over or before is None or not _goes_on(before):
            return True
        return _is_closed(order) and not _is_closed(before)

    def _take_over(self, order: OrderState) -> None:
        """Race a: what waits for a number this order was given goes into its lane (K42)."""
        before = self.before.get(order.id)
        if before is not None and before.destination_number == order.destination_number:
            return
        given = numbers.given(order) - self.given
        if before is not None:
            given -= numbers.given(before)
        if not given:
            return
        self.given |= given
        moved = [
            each for each in self.waiters if each.number in given and each.lane_id not in self.moves
        ]
        moves = {each.lane_id: order.id for each in moved}
        jobs = [job for job in self._unknown if job.decided.number in given]
        self._unknown = [job for job in self._unknown if job not in jobs]
        for job in jobs:
            job.parked = order.id
        self.moves |= moves
        if moves or jobs:
            self.taken_over.add(order.id)
            self._count(order.id, len(moves) + len(jobs))
        operations = {each.operation for each in moved} | {job.command.operation for job in jobs}
        if not operations.isdisjoint(OVERTAKING):
            self._overtaken.add(order.id)

    def _count(self, order_id: str, more: int) -> None:
        order = self.world.orders[order_id].copied()
        order.waiting += more
        self.world.put_order(order)
        self.touched.add(order_id)


def _goes_on(order: OrderState) -> bool:
    """Whether progress on the order can be decided: it was sent, or takes nothing any more."""
    waits = order.delivery in {status.UNSENT, status.REQUESTED}
    return not waits or order.receipt == status.REJECTED


def _is_closed(order: OrderState) -> bool:
    """Whether what waits in the lane, for whatever it waits, is to be refused."""
    return order.delivery == status.CANCELED or order.receipt == status.REJECTED
