"""What cancel, acceptance, rejection and receipts have in common: an order's fate is settled.

They act at once on a known order, whatever waits in its lane (protocol §3).
"""

from __future__ import annotations

from collections.abc import Mapping as Members
from datetime import datetime
from typing import Any

from schemas.codes import Code
from schemas.dump import iso_utc
from services.domain import addressing, proposals, views
from services.domain.command import Command
from services.domain.effects import Answer, Effects, Event, Sync
from services.domain.entries import ignored
from services.domain.operations import create
from services.domain.progress import Case
from services.domain.tenants import Directory, Pair
from services.domain.world import Needs, OrderState, World

NOT_THE_DESTINATION = "Only the destination of an order says what becomes of it there."


def needs(command: Command, directory: Directory) -> Needs:
    """The order, its create where that still waits, and who has the number it is given."""
    found = addressing.needs(command, directory, ())
    found.create = found.changes = True
    number = command.body.get("destination_order_number")
    if number:
        found.addresses.add((command.caller.id, number))
        found.numbers.add((command.caller.id, number))
    return found


def pair_of(case: Case, world: World) -> Pair:
    """The pair of the order, in its direction."""
    by_id = world.directory.by_id
    origin, destination = by_id[case.order.origin_id], by_id[case.order.destination_id]
    return world.directory.pair(origin, destination) or Pair("", origin, destination)


def not_the_destination(case: Case) -> Effects | None:
    """The refusal of a caller that is not the order's destination."""
    if case.mine.tenant.id == case.order.destination_id:
        return None
    return case.saying.refused(Code.NOT_ALLOWED, NOT_THE_DESTINATION)


def is_taken(world: World, order: OrderState, number: str) -> bool:
    """Whether another order of the pair has this destination number."""
    return any(
        each.id != order.id
        and (each.origin_id, each.destination_id) == (order.origin_id, order.destination_id)
        and each.destination_number == number
        for each in world.orders_called(order.destination_id, number)
    )


def give_number(order: OrderState, number: str) -> None:
    """Write the destination's number into the order and its documents, which become new objects."""
    order.destination_number = number
    given = {"destination_order_number": number}
    order.origin_document = {**order.origin_document, **given}
    if order.master_document is not None:
        order.master_document = {**order.master_document, **given}
    if order.destination_document is not None:
        order.destination_document = {**order.destination_document, **given}


def receipt(
    status: str,
    now: datetime,
    *,
    number: str | None = None,
    reason_code: str | None = None,
    message: str | None = None,
) -> dict[str, Any]:
    """What the destination said, as its receipt tells it."""
    return {
        "status": status,
        "destination_order_number": number,
        "reason_code": reason_code,
        "message": message,
        "at": iso_utc(now),
    }


def order_closed(effects: Effects, case: Case, world: World, *, code: Code, text: str) -> Effects:
    """The order, as `effects` leave it, takes nothing more: end what hangs on it.

    Its create, where that still waits, is refused with this code and text. What waits in its lane
    is refused in its turn. A change that is pending is settled.
    """
    order = effects.order
    if order is None:
        raise AssertionError("an order is closed by what changes it")
    proposals.close(effects, order, world, case.saying.now, case.mine.tenant)
    waiting = world.creates.get(order.id)
    if waiting is not None:
        now = case.saying.now
        effects.create = create.ended(
            waiting, pair_of(case, world), order, now, code=code, text=text
        )
    return effects


def settled(
    case: Case,
    order: OrderState,
    *,
    status: str,
    member: Members[str, Any] | None,
    syncs: list[Sync],
    detail: Members[str, Any],
    text: str,
    why: str | None = None,
) -> Effects:
    """Done: the order as it becomes, what is told of it, and the answer.

    `member` is the answer's own, `detail` goes into the timeline, `text` into the log; `why` is the
    answer's message, which error and rejected need (K30).
    """
    log = case.saying.log("success", text, None)
    said = {"by": case.mine.tenant.name, **detail}
    return Effects(
        answer=_answer(case, status, member, log, why),
        order=order,
        syncs=syncs,
        logs=[log],
        events=[Event(case.saying.kind.event, said)],
    )


def repeated(
    case: Case, *, status: str, member: Members[str, Any] | None, why: str | None = None
) -> Effects:
    """It is so already, in every member: done, and nothing new is stored or sent (K33)."""
    log = case.saying.log("success", "Nothing new: it is so already.", None, "unchanged")
    answer = _answer(case, status, member, log, why)
    return Effects(answer, logs=[log], about=case.order.id)


def own_view(case: Case, order: OrderState) -> Members[str, Any] | None:
    """The order in the caller's words; None for a destination it was not mapped to."""
    return views.own_view(order, (case.mine.tenant.id,))


def _answer(
    case: Case,
    status: str,
    member: Members[str, Any] | None,
    log: Members[str, Any],
    why: str | None,
) -> Answer:
    also = ignored(case.saying.command.reading)
    body = {
        "status": status,
        "message": " ".join(filter(None, (why, also))) or None,
        "log": log,
        case.saying.kind.member: member,
    }
    return Answer("done", 200, None, body)
