"""A batch at work: its commands, which of them are first copies, and what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from schemas.codes import Code
from schemas.dump import to_json
from services.commands.decode import Arrival, Dead, command_of
from services.domain import reference, refusals
from services.domain.command import Command
from services.domain.effects import Effects, Sync
from services.domain.operations.table import TABLE
from services.domain.tenants import Directory
from services.domain.world import Needs, OrderState, World
from services.records.emission import MAX_VALUE_BYTES

Identity = tuple[str, str]


@dataclass(slots=True)
class Job:
    """One command of the batch and what was decided for it.

    `turn` is set for a command that waited and has its turn now: its id was accepted before, and
    `lane` is the order whose lane it stands in. `syncs` are its sync records with the sequence
    numbers they got.
    """

    arrival: Arrival
    command: Command
    turn: bool = False
    lane: str | None = None
    lane_id: int | None = None
    effects: Effects | None = None
    syncs: list[tuple[Sync, int]] = field(default_factory=list)

    @property
    def identity(self) -> Identity:
        """(tenant id, command id)."""
        return (self.command.caller.id, self.command.id)

    @property
    def decided(self) -> Effects:
        """The decision; the batch must have been decided."""
        if self.effects is None:
            raise AssertionError("a job is stored only after it was decided")
        return self.effects

    @property
    def waits_in_lane(self) -> bool:
        """Whether the command itself stays in its order's lane until its gaps close."""
        return self.decided.answer.outcome == "waiting" and bool(self.decided.gaps)


@dataclass(slots=True)
class Batch:
    """What one transaction works on: first copies, further copies, and what cannot be read."""

    firsts: list[Job] = field(default_factory=list)
    copies: list[Job] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)
    directory: Directory = field(default_factory=lambda: Directory.of([], []))

    def needs(self) -> list[Needs]:
        """What the first copies need to know."""
        return [
            TABLE[job.command.operation].needs(job.command, self.directory) for job in self.firsts
        ]

    def entity_keys(self) -> list[str]:
        """The rows of reference data the first copies are about."""
        return sorted(
            {
                reference.entity_key(job.command.operation, job.command.body)
                for job in self.firsts
                if job.command.operation in reference.OPERATIONS
            }
        )


def names_of(decoded: Sequence[Arrival | Dead]) -> set[str]:
    """Every tenant the records name, by slug, name or id."""
    names: set[str] = set()
    for each in decoded:
        if each.origin_name:
            names.add(each.origin_name)
        if isinstance(each, Arrival):
            envelope, operation = each.envelope, each.operation.name
            names.update(filter(None, (envelope.origin_tenant, envelope.dest_tenant)))
            if operation in reference.OPERATIONS:
                names |= reference.names(operation, each.reading.wellformed)
    return names


def jobs_of(
    decoded: Sequence[Arrival | Dead], directory: Directory, *, turn: bool = False
) -> tuple[list[Job], list[Dead]]:
    """The commands whose parties are known, and what cannot be read, each in its order."""
    jobs: list[Job] = []
    dead: list[Dead] = []
    for each in decoded:
        found = each if isinstance(each, Dead) else command_of(each, directory)
        if isinstance(found, Dead):
            dead.append(found)
        elif isinstance(each, Arrival):
            jobs.append(Job(each, found, turn=turn))
    return jobs, dead


def decide_all(jobs: Sequence[Job], world: World, now: datetime) -> list[Job]:
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
            code = Code.ORDER_TOO_LARGE
            job.effects = Effects(refusals.refused(code, refusals.text(code)))
        job.syncs = _apply(job, world)
        if job.lane is not None and job.waits_in_lane:
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
