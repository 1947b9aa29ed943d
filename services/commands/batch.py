"""A batch at work: its commands, which of them are first copies, and what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.commands.decode import Arrival, Dead, command_of
from services.domain import reference
from services.domain.command import Command
from services.domain.effects import Effects, Sync, UnknownNumber
from services.domain.operations.table import TABLE
from services.domain.tenants import Directory
from services.domain.world import Needs

Identity = tuple[str, str]


@dataclass(slots=True)
class Job:
    """One command of the batch and what was decided for it.

    `turn` is set for a command that waited and has its turn now: its id was accepted before, it
    stands at `lane_id`, for `reason`, and `lane` is the order whose lane that is (none: it waited
    for a number). Once decided, `parked` is the order in whose lane it waits from now on, and
    `syncs` are its sync records with the sequence numbers they got. `by` is the command by which
    this one, a create that waited, came to its end.
    """

    arrival: Arrival
    command: Command
    turn: bool = False
    lane: str | None = None
    lane_id: int | None = None
    reason: str | None = None
    parked: str | None = None
    effects: Effects | None = None
    syncs: list[tuple[Sync, int]] = field(default_factory=list)
    by: Identity | None = None

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
    def waits(self) -> bool:
        """Whether the command itself is kept until something happens to its order, or makes one."""
        return self.parked is not None or self.decided.number is not None


@dataclass(slots=True)
class Batch:
    """What one transaction works on: first copies, further copies, and what cannot be read."""

    firsts: list[Job] = field(default_factory=list)
    copies: list[Job] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)
    directory: Directory = field(default_factory=lambda: Directory.of([], []))

    def needs(self) -> list[Needs]:
        """What the first copies need to know, one for each, and after these their further needs."""
        own = [
            TABLE[job.command.operation].needs(job.command, self.directory) for job in self.firsts
        ]
        return own + [further for need in own for further in need.further]

    def numbers(self, needs: Sequence[Needs]) -> set[UnknownNumber]:
        """The order numbers that the first copies are about to give, from either side.

        A command at its turn gives none: its order is there.
        """
        return {
            UnknownNumber(*side, number)
            for job, need in zip(self.firsts, needs, strict=False)
            if not job.turn and job.command.partner is not None
            for tenant_id, number in need.numbers
            for side in (
                (tenant_id, job.command.partner.id),
                (job.command.partner.id, tenant_id),
            )
        }

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
