"""Keeping what waits: in lanes, for gaps, for numbers, for parents (protocol §3)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from schemas.codes import Code
from services.commands.batch import Job
from services.domain.effects import Gap
from services.domain.operations.table import OVERTAKING
from services.kit.database import Connection
from services.records import gaps, lanes, numbers, requested, waiting_upserts
from services.records.lanes import Waiting
from services.records.waiting_upserts import WaitingUpsert


async def hold(connection: Connection, jobs: Sequence[Job]) -> None:
    """Keep the commands among these that wait, each as it was received, and what they wait for."""
    waiting = [job for job in jobs if job.waits]
    for_numbers = any(job.parked is None for job in waiting)
    counted = await numbers.beginning(connection) if for_numbers else None
    await lanes.park(connection, [_waiting(job, counted) for job in waiting if not job.turn])
    again = {job.lane_id: job for job in waiting if job.lane_id is not None}
    for lane_id, job in again.items():
        if job.lane is None and job.parked is not None:
            await numbers.take_over(connection, {lane_id: job.parked}, _code(job))
    await lanes.say_why(
        connection,
        {lane_id: _code(job) for lane_id, job in again.items() if _code(job) != job.reason},
    )
    held: list[tuple[str, Gap]] = [
        (job.parked, gap) for job in waiting if job.parked is not None for gap in job.decided.gaps
    ]
    await gaps.hold(connection, held)
    await _park_upserts(connection, jobs)
    await _keep_requested(connection, jobs)


async def let_go(connection: Connection, jobs: Iterable[Job], released: Collection[str]) -> None:
    """Keep nothing of commands that wait no longer, and no gap for `released` orders."""
    await lanes.leave(
        connection, [job.lane_id for job in jobs if job.lane_id is not None and not job.waits]
    )
    await gaps.forget(connection, await gaps.release(connection, released))


async def _keep_requested(connection: Connection, jobs: Sequence[Job]) -> None:
    """Creates of orders that wait for acceptance, until that is decided."""
    kept = [
        (job.decided.order_id or "", job.arrival.record)
        for job in jobs
        if job.decided.answer.code == Code.MANUAL_ACCEPTANCE
    ]
    await requested.keep(connection, kept)
    ended = [job.decided.order_id or "" for job in jobs if job.by is not None]
    await requested.forget(connection, ended)


async def _park_upserts(connection: Connection, jobs: Iterable[Job]) -> None:
    await waiting_upserts.park(
        connection,
        [
            WaitingUpsert(
                *job.identity,
                job.decided.parent.entity_key,
                job.decided.parent.wake_on,
                job.arrival.record,
            )
            for job in jobs
            if job.decided.parent is not None
        ],
    )


def _code(job: Job) -> str:
    return job.decided.answer.code or ""


def _goes_first(job: Job) -> bool:
    """Whether it goes before all else in a lane: an order's own create, and what overtakes."""
    order = job.decided.order
    makes_it = order is not None and order.command_id == job.command.id
    return makes_it or job.command.operation in OVERTAKING


def _waiting(job: Job, counted: float | None) -> Waiting:
    """A command as it is kept; of a number that was given meanwhile it is behind, in a lane."""
    effects, parked = job.decided, job.parked
    taken = effects.number is not None and parked is not None
    return Waiting(
        parked,
        *job.identity,
        job.command.operation,
        Code.LANE_BEHIND if taken else _code(job),
        job.arrival.record,
        goes_first=_goes_first(job),
        number=effects.number if parked is None else None,
        counted_from=counted if parked is None else None,
    )
