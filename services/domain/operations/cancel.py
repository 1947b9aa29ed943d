"""Cancel an order: by either side, at every stage before it is complete (X08, K26, K33, R070)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from schemas.codes import Code
from schemas.dump import iso_utc
from schemas.errors import ErrorEntry
from services.domain import addressing, progress, refusals, routing, settling, status
from services.domain.command import Command
from services.domain.effects import Effects, Sync
from services.domain.entries import together
from services.domain.operations.update_status import COMPLETE
from services.domain.progress import Case, Kind
from services.domain.tenants import Directory
from services.domain.world import Needs, World

KIND = Kind(
    title="Cancel order",
    member="order",
    sync="crossroads.order.canceled.v1",
    event="canceled",
    subject="Cancellation",
)


def needs(command: Command, directory: Directory) -> Needs:
    """The order, and its create where that still waits."""
    return settling.needs(command, directory)


def problems(command: Command) -> list[ErrorEntry]:
    """Everything wrong with the request that can be told without its order (K28)."""
    return together(command, _rules(command))


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Refuse it, or cancel the order at once, whatever waits on it.

    The other side hears of it where it was sent the order; a requested order is canceled at its
    destination, whoever asks; of an order that was never sent nobody hears. An identical cancel of
    a canceled order is no news.
    """
    case = progress.identify(KIND, command, world, now, _rules)
    if isinstance(case, Effects):
        return case
    before = case.order
    reason = command.body.get("reason_code") or None
    canceled = before.cancellation
    if canceled is not None and canceled["reason_code"] == reason:
        view = settling.own_view(case, before)
        return settling.repeated(case, status=status.CANCELED, member=view)
    closed = progress.why_closed(before, waited=command.lane is not None)
    if closed is not None and before.delivery != status.FAILED:
        return case.saying.rule(closed)
    if before.progress == COMPLETE:
        return case.saying.rule(Code.ORDER_ALREADY_COMPLETE)
    return _canceled(case, world, reason)


def _rules(command: Command) -> Iterator[ErrorEntry]:
    yield from addressing.problems(command.reading)


def _canceled(case: Case, world: World, reason: str | None) -> Effects:
    before, now = case.order, case.saying.now
    cancellation = {"reason_code": reason, "at": iso_utc(now)}
    syncs = _told(case, world, {"cancellation": cancellation})
    order = before.copied()
    order.delivery, order.cancellation, order.updated_at = status.CANCELED, cancellation, now
    order.failed_at_step = order.message = None
    effects = settling.settled(
        case,
        order,
        status=status.CANCELED,
        member=settling.own_view(case, order),
        syncs=syncs,
        detail={"reason_code": reason},
        text=f"Canceled; {syncs[0].receiver.name} is told." if syncs else "Canceled; never sent.",
    )
    text = refusals.because(refusals.text(Code.ORDER_CANCELED), reason)
    return settling.order_closed(effects, case, world, code=Code.ORDER_CANCELED, text=text)


def _told(case: Case, world: World, members: dict[str, dict[str, str | None]]) -> list[Sync]:
    """The record for whom the order was sent, or for the destination that was asked."""
    order = case.order
    if order.delivery == status.SENT:
        way = case.saying.routing()
        return [Sync(case.theirs.tenant, KIND.sync, members, way)]
    if order.delivery == status.REQUESTED:
        way = routing.of_order(
            settling.pair_of(case, world), order.origin_system, order.origin_instance
        )
        return [Sync(case.destination, KIND.sync, members, way)]
    return []
