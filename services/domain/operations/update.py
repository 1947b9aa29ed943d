"""Update an order: applied at once, or proposed, as the pair's policy says (X01, K33)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from schemas.codes import Code
from schemas.errors import ErrorEntry
from services.domain import amendments, progress, proposals, status, views
from services.domain.amendments import Amendment
from services.domain.command import Command
from services.domain.effects import Answer, Effects, Event, Sync
from services.domain.entries import ignored, together
from services.domain.operations import propose
from services.domain.progress import Case, Kind
from services.domain.tenants import Directory
from services.domain.world import Needs, OrderState, World

KIND = Kind(
    title="Update order",
    member="order",
    sync="crossroads.order.updated.v1",
    event="updated",
    beside=("order_change",),
    subject="Update",
)
PROPOSE = "propose"

Document = dict[str, Any]


def needs(command: Command, directory: Directory) -> Needs:
    """The order with its pending change, and every key in the words of either side."""
    return amendments.needs(command, directory)


def problems(command: Command) -> list[ErrorEntry]:
    """Everything wrong with the request that can be told without its order (K28)."""
    return together(command, amendments.rules(command))


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Refuse it, let it wait in the order's lane, apply it, or turn it into a proposal.

    What is so already is done, whatever the policy says, and also on a complete order (K33).
    """
    case = progress.admit(KIND, command, world, now, amendments.rules)
    if isinstance(case, Effects):
        return case
    found = amendments.read(command.body, case.wording(world))
    if isinstance(found, Amendment) and not found:
        return _answered(case, case.order, None, "Nothing new: it is so already.")
    if case.order.progress == propose.COMPLETE:
        return case.saying.rule(Code.ORDER_ALREADY_COMPLETE)
    if isinstance(found, list):
        return case.invalid(found)
    proposes = _proposes(case)
    if command.body.get("validate_only"):
        told = "proposed" if proposes else "applied"
        text = f"Nothing was done. It would be {told}: {', '.join(found.types)}."
        return _answered(case, applied(case, found, now), None, text, message=text)
    if proposes:
        return _proposed(case, found, world, now)
    return _applied(case, found, world, now)


def applied(case: Case, amendment: Amendment, now: datetime) -> OrderState:
    """The order as the amendment makes it, an object of its own."""
    return amended(case.order, case.by_document(amendment.members), now)


def amended(
    before: OrderState, members: tuple[Document, Document, Document], now: datetime
) -> OrderState:
    """An order with these members, in the origin's, the master's and the destination's words."""
    if before.master_document is None or before.destination_document is None:
        raise ValueError("an order that is not mapped has nothing to amend")
    order = before.copied()
    order.origin_document = {**before.origin_document, **members[0]}
    order.master_document = {**before.master_document, **members[1]}
    order.destination_document = {**before.destination_document, **members[2]}
    order.po = order.origin_document["po"]
    order.updated_at = now
    return order


def _proposes(case: Case) -> bool:
    """What the pair says of an update by this side."""
    pair = case.saying.pair
    if pair is None:
        return False
    is_origin = case.mine.tenant.id == case.order.origin_id
    return (pair.origin_updates if is_origin else pair.destination_updates) == PROPOSE


def _applied(case: Case, amendment: Amendment, world: World, now: datetime) -> Effects:
    order = applied(case, amendment, now)
    receiver = case.theirs.tenant
    effects = _answered(case, order, None, f"Sent to {receiver.name}.")
    log = effects.logs[0]
    told = {"order": views.own_view(order, (receiver.id,)), "changes": amendment.theirs}
    effects.order, effects.about = order, None
    effects.syncs = [Sync(receiver, KIND.sync, told, log["routing"])]
    detail = {"change_types": list(amendment.types), "by": case.mine.tenant.name}
    effects.events = [Event(KIND.event, detail)]
    effects.changes = proposals.stale(order, world)
    return effects


def _proposed(case: Case, amendment: Amendment, world: World, now: datetime) -> Effects:
    """The policy makes a proposal of it; the very one that is pending is so already (K33)."""
    pending = world.pending_change(case.order.id)
    if (
        pending is not None
        and not pending.stale
        and pending.proposer_id == case.mine.tenant.id
        and pending.amended == case.by_document(amendment.members)
    ):
        said = proposals.shown(case, pending, case.mine.tenant, world)
        return _answered(case, case.order, said, "Nothing new: it is proposed already.")
    change = proposals.proposed(case, amendment, now)
    said = proposals.shown(case, change, case.mine.tenant, world)
    text = f"Proposed to {case.theirs.tenant.name}."
    effects = _answered(case, case.order, said, text)
    return propose.put(effects, case, change, world, now)


def _answered(
    case: Case,
    order: OrderState,
    change: Document | None,
    text: str,
    *,
    message: str | None = None,
) -> Effects:
    """Done: the order in the caller's words, and the proposal it became, if any."""
    log = case.saying.log("success", text, None)
    also = ignored(case.saying.command.reading)
    body = {
        "status": status.SYNCED,
        "message": " ".join(filter(None, (message, also))) or None,
        "log": log,
        "order": views.own_view(order, (case.mine.tenant.id,)),
        "order_change": change,
    }
    return Effects(Answer("done", 200, None, body), logs=[log], about=case.order.id)
