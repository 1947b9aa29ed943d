"""Deciding a batch: one command at a time on the working world, each seeing what came before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from schemas.codes import Code
from schemas.dump import to_json
from services.commands.batch import Identity, Job
from services.commands.waits import Waits
from services.domain import reference, refusals, status
from services.domain.effects import Effects, Sync
from services.domain.operations.table import TABLE
from services.domain.world import OrderState, World
from services.records.emission import MAX_VALUE_BYTES


def decide_all(
    jobs: Sequence[Job],
    world: World,
    waits: Waits,
    now: datetime,
    creates: Mapping[str, Job] = MappingProxyType({}),
) -> list[Job]:
    """Decide one at a time on the working world: the second command sees what the first did.

    `creates` are stored creates that wait, by their orders. The decided jobs; a create that came to
    its end by another command stands before it. A command behind one of its lane that still waits
    is left for later, but what overtakes is not.
    """
    held = _Held(world, dict(creates))
    decided: list[Job] = []
    blocked: set[str] = set()
    for job in jobs:
        operation = TABLE[job.command.operation]
        if job.identity in held.ended or (job.lane in blocked and not operation.overtakes):
            continue
        job.effects = operation.decide(job.command, world, now)
        if _is_too_large(job):
            job.effects = _too_large(job, world, now)
        create = held.end(job)
        if create is not None:
            create.syncs = _numbered(job, create.decided)
        job.syncs = _apply(job, world)
        for each in (job, create):
            if each is not None:
                waits.decided(each)
        held.keep(job)
        if job.lane is not None and job.parked is not None:
            blocked.add(job.lane)
        decided += [job] if create is None else [create, job]
    return decided


@dataclass(slots=True)
class _Held:
    """The creates that wait while a batch is decided: stored ones, and those of the batch itself.

    `jobs` are by the order they make; `ended` are the ids of those that came to their end.
    """

    world: World
    jobs: dict[str, Job]
    ended: set[Identity] = field(default_factory=set)

    def __post_init__(self) -> None:
        """The decisions see what they may end."""
        self.world.creates = {order_id: job.command for order_id, job in self.jobs.items()}

    def keep(self, job: Job) -> None:
        """A create that was just decided may have to wait."""
        effects = job.decided
        order, waits = effects.order, effects.answer.outcome == "waiting"
        if waits and order is not None and order.command_id == job.command.id:
            self.jobs[order.id] = job
            self.world.creates[order.id] = job.command

    def end(self, by: Job) -> Job | None:
        """The create that comes to its end by this decision, as a job of the batch of its own."""
        effects = by.decided.create
        if effects is None:
            return None
        order_id = effects.order_id or ""
        create = self.jobs.pop(order_id)
        del self.world.creates[order_id]
        self.ended.add(create.identity)
        in_lane = create.lane is not None or create.parked is not None
        # Where it was decided in this very batch, it is not put into a lane any more.
        create.parked = None
        return Job(
            create.arrival,
            create.command,
            turn=True,
            lane=order_id if in_lane else None,
            lane_id=create.lane_id,
            reason=create.reason,
            effects=effects,
            by=by.identity,
        )


# These tell of whole orders, in several wordings, however small the command is.
_TELLING = frozenset({"order.update", "change.propose", "change.accept", "change.reject"})


def _is_too_large(job: Job) -> bool:
    """Whether a record this causes is larger than a topic takes (protocol §2).

    A key's echo is longer than the key, by less than a hundred times: a small command is safe.
    """
    small = len(job.arrival.record.value or b"") <= MAX_VALUE_BYTES // 100
    if small and job.command.operation not in _TELLING:
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
    numbered = _numbered(job, effects)
    if effects.order is not None:
        world.put_order(effects.order)
    for change in effects.changes:
        world.put_change(change)
    if effects.upsert is not None:
        reference.apply(world, effects.upsert)
    if effects.supersedes is not None or effects.parent is not None:
        key = reference.entity_key(job.command.operation, job.command.body)
        world.waiting_upserts.pop(key, None)
        if effects.parent is not None:
            world.waiting_upserts[key] = job.identity
    return numbered


def _numbered(job: Job, effects: Effects) -> list[tuple[Sync, int]]:
    """The sync records, counted on the order as the job's decision leaves it."""
    order = job.decided.order
    return [] if order is None else [(sync, _number(order, sync)) for sync in effects.syncs]


def _number(order: OrderState, sync: Sync) -> int:
    """Counts one record more towards a side; the state is the decision's own, not the world's."""
    if sync.receiver.id == order.destination_id:
        order.destination_sequence += 1
        return order.destination_sequence
    order.origin_sequence += 1
    return order.origin_sequence
