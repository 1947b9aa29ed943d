"""Accept a change: it is applied to the order, and its proposer told (R091-R095, K10, X04)."""

from __future__ import annotations

from datetime import datetime

from schemas.codes import Code
from schemas.errors import ErrorEntry
from services.domain import order_row, progress, proposals, status, views
from services.domain.command import Command
from services.domain.effects import Answer, Effects
from services.domain.entries import ignored, together
from services.domain.operations import update
from services.domain.progress import Case, Kind
from services.domain.proposals import Document
from services.domain.tenants import Directory
from services.domain.world import ChangeState, Needs, OrderState, World

KIND = Kind(
    title="Accept change",
    member="order",
    sync=proposals.ACCEPTED,
    event="change-accepted",
    beside=("order_row",),
    subject="Acceptance",
    ended=True,
)


def needs(command: Command, directory: Directory) -> Needs:
    """The change, its order, and what an order row says of it."""
    found = proposals.needs(command, directory)
    found.rows = True
    return found


def problems(command: Command) -> list[ErrorEntry]:
    """Everything wrong with the request that can be told without the change (K28)."""
    return together(command, proposals.rules(command))


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Refuse it, let it wait in the order's lane, or apply the change.

    The proposer may not; of a settled change, and of one whose order was updated since, nothing
    changes (X04).
    """
    case = progress.admit(KIND, command, world, now, proposals.rules, find=proposals.find)
    if isinstance(case, Effects):
        return case
    change = proposals.named(case, world)
    if change is None:
        return proposals.not_found(case)
    if change.proposer_id == case.mine.tenant.id:
        return case.saying.rule(Code.CHANGE_NOT_YOURS)
    if change.status != proposals.REQUESTED:
        return case.saying.rule(Code.CHANGE_SETTLED)
    if change.stale:
        return case.saying.rule(Code.CHANGE_STALE)
    return _accepted(case, change, world, now)


def _accepted(case: Case, change: ChangeState, world: World, now: datetime) -> Effects:
    command, proposer = case.saying.command, case.theirs.tenant
    order = update.amended(case.order, change.amended, now)
    _mark_synced(order)
    accepted = proposals.settled(
        change, proposals.SYNCED, now, command.body.get("reason_code") or None
    )
    log = case.saying.log("success", f"The change of {proposer.name} was applied.", None)
    body = {
        "status": status.of(order),
        "message": ignored(command.reading),
        "log": log,
        "order": views.own_view(order, (case.mine.tenant.id,)),
        "order_row": _row(case, order, accepted, world),
    }
    told = proposals.sync(
        case,
        proposals.ACCEPTED,
        accepted,
        proposer,
        world=world,
        way=log["routing"],
        order=views.own_view(order, (proposer.id,)),
    )
    return Effects(
        answer=Answer("done", 200, None, body),
        order=order,
        syncs=[told],
        logs=[log],
        events=[proposals.event(KIND.event, accepted, case.mine.tenant)],
        changes=[accepted],
    )


def _mark_synced(order: OrderState) -> None:
    """R092: what both sides have agreed on is synced, also where taking it in had failed before."""
    if order.receipt == status.FAILED:
        order.receipt, order.failed_at_step, order.message = "none", None, None


def _row(case: Case, order: OrderState, accepted: ChangeState, world: World) -> Document:
    pair = case.saying.pair
    if pair is None:
        raise AssertionError("an order has two sides")
    by = case.mine.tenant
    return order_row.rows(order, by, pair, world, by=by, settled=accepted.id)
