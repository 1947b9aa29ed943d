"""Take a receipt: what the destination's system says of an order it was sent (X07, K39)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from schemas.codes import Code
from schemas.errors import ErrorEntry
from services.domain import addressing, progress, refusals, settling, status
from services.domain.command import Command
from services.domain.effects import Effects, Sync
from services.domain.entries import entry, together
from services.domain.operations.update_status import COMPLETE
from services.domain.progress import Case, Kind
from services.domain.tenants import Directory
from services.domain.world import Needs, World

KIND = Kind(
    title="Receipt",
    member="receipt",
    sync="crossroads.order.received.v1",
    event="receipt",
    subject="Receipt",
)
RECEIVED = "received"
SYNCS = {
    RECEIVED: KIND.sync,
    status.REJECTED: "crossroads.order.rejected.v1",
    status.FAILED: "crossroads.order.failed.v1",
}
NUMBER = "destination_order_number"
FAILED_TEXT = "The destination's system could not take the order in."
# What the order's state, and with it the answer's, is by a receipt.
_STATES = {
    RECEIVED: status.SYNCED,
    status.REJECTED: status.REJECTED,
    status.FAILED: status.ERROR,
}

Document = dict[str, Any]


def needs(command: Command, directory: Directory) -> Needs:
    """The order, and who has the number already."""
    return settling.needs(command, directory)


def problems(command: Command) -> list[ErrorEntry]:
    """Everything wrong with the request that can be told without its order (K28)."""
    return together(command, _rules(command))


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Refuse it, or keep it and tell the origin.

    Only the destination may, of an order that was sent. The same receipt as the last one, in every
    member, is no news; a number that was given stays.
    """
    case = progress.identify(KIND, command, world, now, _rules)
    if isinstance(case, Effects):
        return case
    refusal = settling.not_the_destination(case) or _not_sent(case)
    if refusal is not None:
        return refusal
    order, said = case.order, _said(case)
    if _is_so(order.last_receipt, said):
        why = order.message if said["status"] != RECEIVED else None
        state = _STATES[said["status"]]
        return settling.repeated(case, status=state, member=order.last_receipt, why=why)
    if order.receipt == status.REJECTED:
        return case.saying.rule(_closed(case))
    if said["status"] == status.REJECTED and order.progress == COMPLETE:
        return case.saying.rule(Code.ORDER_ALREADY_COMPLETE)
    number = said[NUMBER]
    if number is not None and order.destination_number not in (None, number):
        msg = "The order has another number of the destination's"
        return case.invalid([entry((NUMBER,), msg, "number_given")])
    if number is not None and settling.is_taken(world, order, number):
        return case.saying.rule(Code.ORDER_NUMBER_TAKEN)
    return _taken(case, world, said)


def _rules(command: Command) -> Iterator[ErrorEntry]:
    yield from addressing.problems(command.reading)
    said = command.body.get("status")
    if said not in (None, RECEIVED) and command.body.get(NUMBER):
        yield entry((NUMBER,), "Only an order that was received has a number", "not_received")


def _not_sent(case: Case) -> Effects | None:
    order = case.order
    if order.delivery == status.SENT:
        return None
    if order.delivery == status.CANCELED or order.receipt == status.REJECTED:
        return case.saying.rule(_closed(case))
    return case.saying.rule(Code.ORDER_NOT_SENT)


def _closed(case: Case) -> Code:
    waited = case.saying.command.lane is not None
    return progress.why_closed(case.order, waited=waited) or Code.ORDER_NOT_SENT


def _said(case: Case) -> Document:
    """The receipt as it is kept: a received order's with the number it has by then."""
    body, order = case.saying.command.body, case.order
    number = body.get(NUMBER)
    if body["status"] == RECEIVED:
        number = number or order.destination_number
    return settling.receipt(
        body["status"],
        case.saying.now,
        number=number,
        reason_code=body.get("reason_code") or None,
        message=body.get("message") or None,
    )


def _is_so(last: Document | None, said: Document) -> bool:
    """Whether this was said last, whenever that was."""
    return last is not None and {**last, "at": None} == {**said, "at": None}


def _why(said: Document) -> str | None:
    """Why an order is rejected or in error, for its readers (R071, R072)."""
    if said["status"] == RECEIVED:
        return None
    rejected = said["status"] == status.REJECTED
    text = refusals.text(Code.ORDER_REJECTED) if rejected else FAILED_TEXT
    text = refusals.because(text, said["reason_code"])
    return f"{text} {said['message']}" if said["message"] else text


def _taken(case: Case, world: World, said: Document) -> Effects:
    now, why = case.saying.now, _why(said)
    order = case.order.copied()
    if said[NUMBER] is not None and order.destination_number is None:
        settling.give_number(order, said[NUMBER])
    order.receipt, order.last_receipt = said["status"], said
    order.message, order.updated_at = why, now
    receiver = case.theirs.tenant
    way = case.saying.routing()
    detail = {name: said[name] for name in ("status", NUMBER, "reason_code", "message")}
    effects = settling.settled(
        case,
        order,
        status=_STATES[said["status"]],
        member=said,
        syncs=[Sync(receiver, SYNCS[said["status"]], {"receipt": said}, way)],
        detail=detail,
        text=f"Receipt ({said['status']}); {receiver.name} is told.",
        why=why,
    )
    if said["status"] == status.REJECTED:
        text = refusals.text(Code.ORDER_REJECTED)
        settling.order_closed(effects, case, world, code=Code.ORDER_REJECTED, text=text)
    return effects
