"""Deciding a batch: one command at a time on the working world, each seeing what came before it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from schemas.codes import Code
from schemas.dump import to_json
from services.commands.batch import Job
from services.commands.waits import Waits
from services.domain import reference, refusals, status
from services.domain.effects import Effects, Sync
from services.domain.operations.table import TABLE
from services.domain.world import OrderState, World
from services.records.emission import MAX_VALUE_BYTES


def decide_all(jobs: Sequence[Job], world: World, waits: Waits, now: datetime) -> list[Job]:
    """Decide one at a time on the working world: the second command sees what the first did.

    The decided jobs: a command behind one of its lane that still waits is left for later.
    """
    decided: list[Job] = []
    blocked: set[str] = set()
    for job in jobs:
        if job.lane in blocked:
            continue
        operation = TABLE[job.command.operation]
        job.effects = operation.decide(job.command, world, now)
        if _is_too_large(job):
            job.effects = _too_large(job, world, now)
        job.syncs = _apply(job, world)
        waits.decided(job)
        if job.lane is not None and job.parked is not None:
            blocked.add(job.lane)
        decided.append(job)
    return decided


def _is_too_large(job: Job) -> bool:
    """Whether a record this causes is larger than a topic takes (protocol §2).

    A key's echo is longer than the key, by less than a hundred times: a small command is safe.
    """
    if len(job.arrival.record.value or b"") <= MAX_VALUE_BYTES // 100:
        return False
    effects = job.decided
    sizes = [len(to_json(sync.members)) for sync in effects.syncs]
    return max(sizes, default=0) > MAX_VALUE_BYTES or len(to_json(effects.answer.body)) > (
        MAX_VALUE_BYTES
    )


def _too_large(job: Job, world: World, now: datetime) -> Effects:
    """Ends it with a refusal; an order whose own create waited until now can never be sent."""
    text = refusals.text(Code.ORDER_TOO_LARGE)
    effects = Effects(refusals.refused(Code.ORDER_TOO_LARGE, text))
    order = world.orders.get(job.decided.order_id or "")
    if order is not None:
        effects.about = order.id
        if order.delivery == status.UNSENT and order.command_id == job.command.id:
            effects.order = failed = order.copied()
            failed.delivery, failed.failed_at_step = status.FAILED, order.mapping
            failed.message, failed.updated_at = text, now
    return effects


def _apply(job: Job, world: World) -> list[tuple[Sync, int]]:
    """Take the effects into the world; the sync records numbered per order and receiver."""
    effects = job.decided
    numbered: list[tuple[Sync, int]] = []
    if effects.order is not None:
        numbered = [(sync, _numbered(effects.order, sync)) for sync in effects.syncs]
        world.put_order(effects.order)
    if effects.upsert is not None:
        reference.apply(world, effects.upsert)
    if effects.supersedes is not None or effects.parent is not None:
        key = reference.entity_key(job.command.operation, job.command.body)
        world.waiting_upserts.pop(key, None)
        if effects.parent is not None:
            world.waiting_upserts[key] = job.identity
    return numbered


def _numbered(order: OrderState, sync: Sync) -> int:
    """Counts one record more towards a side; the state is the decision's own, not the world's."""
    if sync.receiver.id == order.destination_id:
        order.destination_sequence += 1
        return order.destination_sequence
    order.origin_sequence += 1
    return order.origin_sequence
