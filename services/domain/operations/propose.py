"""Propose a change of an order: always a proposal, which supersedes a pending one (X01)."""

from __future__ import annotations

from datetime import datetime

from schemas.codes import Code
from schemas.errors import ErrorEntry
from services.domain import amendments, progress, proposals, status
from services.domain.command import Command
from services.domain.effects import Answer, Effects
from services.domain.entries import entry, ignored, together
from services.domain.progress import Case, Kind
from services.domain.proposals import Document
from services.domain.tenants import Directory
from services.domain.world import ChangeState, Needs, World

KIND = Kind(
    title="Propose change",
    member="order_change",
    sync=proposals.PROPOSED,
    event="change-proposed",
    subject="Proposal",
)
COMPLETE = "complete"


def needs(command: Command, directory: Directory) -> Needs:
    """The order with its pending change, and every key in the words of either side."""
    return amendments.needs(command, directory)


def problems(command: Command) -> list[ErrorEntry]:
    """Everything wrong with the request that can be told without its order (K28)."""
    return together(command, amendments.rules(command))


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Refuse it, let it wait in the order's lane, or propose it to the other side."""
    case = progress.admit(KIND, command, world, now, amendments.rules)
    if isinstance(case, Effects):
        return case
    if case.order.progress == COMPLETE:
        return case.saying.rule(Code.ORDER_ALREADY_COMPLETE)
    found = amendments.read(command.body, case.wording(world))
    if isinstance(found, list):
        return case.invalid(found)
    if not found:
        nothing = entry((), "All of this is so already: there is nothing to propose", "no_change")
        return case.invalid([nothing])
    if command.body.get("validate_only"):
        text = f"Nothing was done. It would be proposed: {', '.join(found.types)}."
        return _answered(case, None, text, message=text)
    change = proposals.proposed(case, found, now)
    said = proposals.shown(case, change, case.mine.tenant, world)
    effects = _answered(case, said, f"Proposed to {case.theirs.tenant.name}.")
    return put(effects, case, change, world, now)


def put(effects: Effects, case: Case, change: ChangeState, world: World, now: datetime) -> Effects:
    """Make these effects those of the proposal: a pending one is superseded, both sides told."""
    order = case.order.copied()
    effects.order, effects.about = order, None
    way, mine, theirs = effects.logs[0]["routing"], case.mine.tenant, case.theirs.tenant
    pending = world.pending_change(order.id)
    if pending is not None:
        before = proposals.settled(pending, proposals.TURNED_DOWN, now, proposals.SUPERSEDED)
        effects.changes.append(before)
        effects.syncs += [
            proposals.sync(case, proposals.REJECTED, before, receiver, world=world, way=way)
            for receiver in (theirs, mine)
        ]
        effects.events.append(proposals.event("change-superseded", before, mine))
    effects.changes.append(change)
    effects.syncs.append(
        proposals.sync(case, proposals.PROPOSED, change, theirs, world=world, way=way)
    )
    effects.events.append(proposals.event(KIND.event, change, mine))
    return effects


def _answered(
    case: Case, change: Document | None, text: str, *, message: str | None = None
) -> Effects:
    log = case.saying.log("success", text, None)
    also = ignored(case.saying.command.reading)
    body = {
        "status": status.SYNCED,
        "message": " ".join(filter(None, (message, also))) or None,
        "log": log,
        "order_change": change,
    }
    return Effects(Answer("done", 200, None, body), logs=[log], about=case.order.id)
