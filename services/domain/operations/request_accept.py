"""Accept an order by hand: it is sent as created, under the destination's number (X06, K38)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from schemas.codes import Code
from schemas.errors import ErrorEntry
from services.domain import addressing, progress, settling, status
from services.domain.command import Command
from services.domain.effects import Effects, Sync
from services.domain.entries import together
from services.domain.operations import create
from services.domain.progress import Case, Kind
from services.domain.tenants import Directory
from services.domain.world import Needs, World

KIND = Kind(
    title="Accept order",
    member="order",
    sync="crossroads.order.accepted.v1",
    event="accepted",
    subject="Acceptance",
)
ACCEPTED = "accepted"


def needs(command: Command, directory: Directory) -> Needs:
    """The order, its create, and who has the number already."""
    return settling.needs(command, directory)


def problems(command: Command) -> list[ErrorEntry]:
    """Everything wrong with the request that can be told without its order (K28)."""
    return together(command, _rules(command))


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Refuse it, or send the order: the create is done by it, and its origin is told.

    Only the destination may, of an order that waits for it, under a number of its own.
    """
    case = progress.identify(KIND, command, world, now, _rules)
    if isinstance(case, Effects):
        return case
    refusal = settling.not_the_destination(case) or not_requested(case)
    if refusal is not None:
        return refusal
    number = command.body["destination_order_number"]
    if settling.is_taken(world, case.order, number):
        return case.saying.rule(Code.ORDER_NUMBER_TAKEN)
    return _accepted(case, world, number)


def not_requested(case: Case) -> Effects | None:
    """The refusal where the order does not wait for acceptance: any more, or not yet."""
    order = case.order
    closed = progress.why_closed(order, waited=case.saying.command.lane is not None)
    if closed not in (None, Code.ORDER_NOT_SENT):
        return case.saying.rule(closed)
    if order.delivery == status.REQUESTED:
        return None
    return case.saying.rule(Code.ORDER_NOT_REQUESTED)


def _rules(command: Command) -> Iterator[ErrorEntry]:
    yield from addressing.problems(command.reading)


def _accepted(case: Case, world: World, number: str) -> Effects:
    now, body = case.saying.now, case.saying.command.body
    said = settling.receipt(
        ACCEPTED, now, number=number, reason_code=body.get("reason_code") or None
    )
    order = case.order.copied()
    settling.give_number(order, number)
    order.receipt, order.last_receipt, order.updated_at = ACCEPTED, said, now
    sent = create.accepted(world.creates[order.id], settling.pair_of(case, world), order, now)
    receiver = case.theirs.tenant
    effects = settling.settled(
        case,
        order,
        status=status.SYNCED,
        member=settling.own_view(case, order),
        syncs=[Sync(receiver, KIND.sync, {"receipt": said}, case.saying.routing())],
        detail={"destination_order_number": number, "reason_code": said["reason_code"]},
        text=f"Accepted as {number}; {receiver.name} is told.",
    )
    effects.create = sent
    return effects
