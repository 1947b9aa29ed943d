"""Reject an order by hand: it is never sent, and its create is refused (X06, R072)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from schemas.codes import Code
from schemas.errors import ErrorEntry
from services.domain import addressing, progress, refusals, settling, status
from services.domain.command import Command
from services.domain.effects import Effects, Sync
from services.domain.entries import together
from services.domain.operations.request_accept import not_requested
from services.domain.progress import Case, Kind
from services.domain.tenants import Directory
from services.domain.world import Needs, World

KIND = Kind(
    title="Reject order",
    member="order",
    sync="crossroads.order.rejected.v1",
    event="rejected",
    subject="Rejection",
)


def needs(command: Command, directory: Directory) -> Needs:
    """The order and its create."""
    return settling.needs(command, directory)


def problems(command: Command) -> list[ErrorEntry]:
    """Everything wrong with the request that can be told without its order (K28)."""
    return together(command, _rules(command))


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Refuse it, or end the order: its create is refused by it, and its origin is told.

    Only the destination may, of an order that waits for it.
    """
    case = progress.identify(KIND, command, world, now, _rules)
    if isinstance(case, Effects):
        return case
    refusal = settling.not_the_destination(case) or not_requested(case)
    return refusal if refusal is not None else _rejected(case, world)


def _rules(command: Command) -> Iterator[ErrorEntry]:
    yield from addressing.problems(command.reading)


def _rejected(case: Case, world: World) -> Effects:
    now = case.saying.now
    reason = case.saying.command.body.get("reason_code") or None
    said = settling.receipt(status.REJECTED, now, reason_code=reason)
    text = refusals.because(refusals.text(Code.ORDER_REJECTED), reason)
    order = case.order.copied()
    order.receipt, order.last_receipt, order.updated_at = status.REJECTED, said, now
    order.message = text
    receiver = case.theirs.tenant
    effects = settling.settled(
        case,
        order,
        status=status.REJECTED,
        member=settling.own_view(case, order),
        syncs=[Sync(receiver, KIND.sync, {"receipt": said}, case.saying.routing())],
        detail={"reason_code": reason},
        text=f"Rejected; {receiver.name} is told.",
        why=text,
    )
    return settling.order_closed(effects, case, world, code=Code.ORDER_REJECTED, text=text)
