"""Reject a change, or withdraw one's own (X03)."""

from __future__ import annotations

from datetime import datetime

from schemas.codes import Code
from schemas.errors import ErrorEntry
from services.domain import progress, proposals, status
from services.domain.command import Command
from services.domain.effects import Answer, Effects
from services.domain.entries import ignored, together
from services.domain.progress import Case, Kind
from services.domain.tenants import Directory
from services.domain.world import ChangeState, Needs, World

KIND = Kind(
    title="Reject change",
    member="order_change",
    sync=proposals.REJECTED,
    event="change-rejected",
    subject="Rejection",
    ended=True,
)


def needs(command: Command, directory: Directory) -> Needs:
    """The change and its order."""
    return proposals.needs(command, directory)


def problems(command: Command) -> list[ErrorEntry]:
    """Everything wrong with the request that can be told without the change (K28)."""
    return together(command, proposals.rules(command))


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Refuse it, let it wait in the order's lane, or settle the change.

    Either side may. The proposer is told; where it withdraws what it proposed, the other side too.
    """
    case = progress.admit(KIND, command, world, now, proposals.rules, find=proposals.find)
    if isinstance(case, Effects):
        return case
    change = proposals.named(case, world)
    if change is None:
        return proposals.not_found(case)
    if change.status != proposals.REQUESTED:
        return case.saying.rule(Code.CHANGE_SETTLED)
    return _rejected(case, change, world, now)


def _rejected(case: Case, change: ChangeState, world: World, now: datetime) -> Effects:
    command, mine, theirs = case.saying.command, case.mine.tenant, case.theirs.tenant
    rejected = proposals.settled(
        change, proposals.TURNED_DOWN, now, command.body.get("reason_code") or None
    )
    withdrawn = change.proposer_id == mine.id
    text = "The proposal was withdrawn." if withdrawn else "The proposal was turned down."
    log = case.saying.log("success", text, None)
    body = {
        "status": status.SYNCED,
        "message": ignored(command.reading),
        "log": log,
        "order_change": proposals.shown(case, rejected, mine, world),
    }
    way = log["routing"]
    return Effects(
        answer=Answer("done", 200, None, body),
        order=case.order.copied(),
        syncs=[
            proposals.sync(case, proposals.REJECTED, rejected, receiver, world=world, way=way)
            for receiver in ((theirs, mine) if withdrawn else (theirs,))
        ],
        logs=[log],
        events=[proposals.event(KIND.event, rejected, mine)],
        changes=[rejected],
    )
