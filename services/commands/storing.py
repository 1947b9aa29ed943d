"""Storing what a batch caused, all at once: outgoing records first, for their ids go elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache

from schemas.codes import Code, record_code
from schemas.dump import iso_utc
from services.commands import unforeseen
from services.commands.batch import Batch, Identity, Job
from services.commands.decode import Dead
from services.commands.waits import Waits
from services.domain import refusals
from services.domain.effects import Answer, Gap, Sync
from services.domain.tenants import Directory, Tenant
from services.kit import outbox
from services.kit.database import Connection
from services.kit.metrics import COMMAND_DURATION_SECONDS, COMMANDS_TOTAL, DEAD_LETTERS_TOTAL
from services.kit.outbox import OutgoingRow
from services.records import (
    blobs,
    commands,
    gaps,
    history,
    lanes,
    locks,
    master_data,
    numbers,
    orders,
    tallies,
    timeline,
    waiting_upserts,
)
from services.records.commands import StoredAnswer
from services.records.emission import Cause, Told, dead_letter_row, result_row, sync_row
from services.records.lanes import Waiting
from services.records.locks import Race, numbers_of
from services.records.texts import Texts
from services.records.waiting_upserts import WaitingUpsert


@dataclass(slots=True)
class _Written:
    """Where an order's newest records stand among the outgoing rows."""

    to_origin: int | None = None
    to_destination: int | None = None


@dataclass(slots=True)
class Storing:
    """Turns a decided batch into rows. One of these per batch.

    `waits` has the orders as they were loaded and as they are now, `answers` are what the batch's
    ids were told before, `waiting` the upserts that wait for rows this batch is about.
    """

    service: str
    moment: datetime
    waits: Waits
    answers: dict[Identity, StoredAnswer]
    waiting: Mapping[Identity, WaitingUpsert] = field(default_factory=dict)
    _texts: Texts = field(default_factory=Texts)
    _rows: list[OutgoingRow] = field(default_factory=list)
    _orders: dict[str, _Written] = field(default_factory=dict)
    _syncs: dict[Identity, list[tuple[Sync, int, int]]] = field(default_factory=dict)
    _new: dict[Identity, StoredAnswer] = field(default_factory=dict)
    _newer: dict[Identity, StoredAnswer] = field(default_factory=dict)
    _result_rows: dict[Identity, int] = field(default_factory=dict)
    _tallies: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def store(self, connection: Connection, batch: Batch) -> None:
        """Store everything the batch caused; its effects must have been decided."""
        await self._supersede(connection, batch)
        for job in batch.firsts:
            self._emit(job)
        for job in batch.copies:
            self._answer_copy(job)
        for dead in batch.dead:
            self._bury(dead, batch.directory)
        ids = await outbox.store(connection, self._rows)
        await self._write_orders(connection, ids)
        await self._write_answers(connection, ids)
        # Waiters first: what they wait for may be an upsert of this very batch.
        await self._write_waits(connection, batch.firsts)
        await self._write_pictures(connection, batch.firsts)
        await self._write_reference(connection, batch.firsts)
        await self._write_history(connection, batch.firsts, ids)
        await tallies.add(connection, self.service, self._tallies)

    # -- outgoing records

    def _emit(self, job: Job) -> None:
        effects, command = job.decided, job.command
        cause = self._cause(job)
        if effects.order is not None:
            written = self._orders.setdefault(effects.order.id, _Written())
            for sync, sequence in job.syncs:
                if sync.receiver.id == effects.order.destination_id:
                    written.to_destination = len(self._rows)
                else:
                    written.to_origin = len(self._rows)
                self._syncs.setdefault(job.identity, []).append((sync, sequence, len(self._rows)))
                self._rows.append(sync_row(cause, sync, effects.order.id, sequence, self._texts))
        told = self._told(effects.answer)
        before = self.answers.get(job.identity)
        if before is not None and told.outcome == "waiting":
            return  # only the first reason to wait is told
        self._count(command.operation, told.outcome)
        if told.outcome != "waiting":
            taken = (self.moment - command.accepted_at).total_seconds()
            _durations(self.service, command.operation).observe(taken)
        answer = StoredAnswer(
            *job.identity,
            job.arrival.fingerprint,
            command.operation,
            effects.order_id,
            told.outcome,
            told.http_status,
            told.code,
            told.body,
            result_id=None,
            waiting_id=None if before is None else before.waiting_id,
            accepted_at=command.accepted_at,
            final_at=None if told.outcome == "waiting" else self.moment,
        )
        (self._new if before is None else self._newer)[job.identity] = answer
        self._result_rows[job.identity] = len(self._rows)
        row = result_row(cause, told, waited=before is not None)
        if before is not None and before.order_id != effects.order_id:
            # What was told before its order was known may lie in another shard.
            row.after_id = before.waiting_id
        self._rows.append(row)

    def _answer_copy(self, job: Job) -> None:
        """A further copy hears what the first was told, a reused id that it is taken (K32)."""
        first = (
            self._newer.get(job.identity)
            or self._new.get(job.identity)
            or self.answers[job.identity]
        )
        if first.fingerprint != job.arrival.fingerprint:
            code = Code.IDEMPOTENCY_KEY_REUSED
            told = self._told(refusals.refused(code, refusals.text(code)))
            self._count(job.command.operation, told.outcome)
            self._rows.append(result_row(self._cause(job), told, copy=True))
            return
        told = Told(first.outcome, first.http_status, first.code, first.body)
        self._count(job.command.operation, "duplicate")
        self._tallies[tallies.DUPLICATE, job.command.operation] += 1
        cause = replace(self._cause(job), order_id=first.order_id)
        self._rows.append(result_row(cause, told, outcome="duplicate", copy=True))

    def _bury(self, dead: Dead, directory: Directory) -> None:
        DEAD_LETTERS_TOTAL.labels(self.service, dead.reason).inc()
        self._tallies[tallies.DEAD_LETTER, dead.reason] += 1
        record = dead.record
        self._rows.append(
            dead_letter_row(record, dead.reason, dead.detail, self.service, self.moment)
        )
        caller = None if dead.origin_name is None else directory.find(dead.origin_name)
        if caller is None or dead.command_id is None:
            return
        cause = self._cause_of(dead, caller, dead.command_id)
        told = self._told(unforeseen.unreadable(record_code(dead.reason), dead.detail))
        self._count(dead.operation or "unknown", told.outcome)
        self._rows.append(result_row(cause, told, copy=True))

    def _cause(self, job: Job) -> Cause:
        command = job.command
        return Cause(
            tenant=command.caller,
            command_id=command.id,
            operation=command.operation,
            record=job.arrival.record,
            correlation_id=command.correlation_id,
            service=self.service,
            time=iso_utc(self.moment),
            order_id=None if job.effects is None else job.effects.order_id,
            traceparent=command.traceparent,
            tracestate=command.tracestate,
        )

    def _cause_of(self, dead: Dead, caller: Tenant, command_id: str) -> Cause:
        return Cause(
            tenant=caller,
            command_id=command_id,
            operation=dead.operation,
            record=dead.record,
            correlation_id=dead.correlation_id,
            service=self.service,
            time=iso_utc(self.moment),
        )

    def _told(self, answer: Answer) -> Told:
        body = self._texts.around(answer.body).decode()
        return Told(answer.outcome, answer.http_status, answer.code, body)

    def _count(self, operation: str, outcome: str) -> None:
        _outcomes(self.service, operation, outcome).inc()

    # -- rows

    async def _supersede(self, connection: Connection, batch: Batch) -> None:
        """End upserts that waited and that a newer one of their key replaces."""
        here = {job.identity: job for job in batch.firsts}
        ended: list[tuple[Identity, Answer]] = []
        for job in batch.firsts:
            if job.decided.supersedes is None:
                continue
            tenant_id, command_id, answer = job.decided.supersedes
            older = here.get((tenant_id, command_id))
            if older is not None and not older.turn:
                older.decided.answer, older.decided.parent = answer, None
            else:
                ended.append(((tenant_id, command_id), answer))
        stored = await commands.known(connection, [identity for identity, _ in ended])
        for identity, answer in ended:
            waited = self.waiting[identity]
            self._end(stored[identity], waited, answer, batch.directory)
        await waiting_upserts.leave(connection, [identity for identity, _ in ended])

    def _end(
        self, before: StoredAnswer, waited: WaitingUpsert, answer: Answer, directory: Directory
    ) -> None:
        tenant = directory.by_id[before.tenant_id]
        told = self._told(answer)
        cause = Cause(
            tenant, before.command_id, before.operation, waited.record, None, self.service,
            iso_utc(self.moment),
        )  # fmt: skip
        identity = (before.tenant_id, before.command_id)
        self._count(before.operation, told.outcome)
        self._newer[identity] = replace(
            before,
            outcome=told.outcome,
            http_status=told.http_status,
            code=told.code,
            body=told.body,
            final_at=self.moment,
        )
        self._result_rows[identity] = len(self._rows)
        self._rows.append(result_row(cause, told, waited=True))

    async def _write_reference(self, connection: Connection, jobs: Iterable[Job]) -> None:
        """Store upserts and wake who waits for them; shared numbers before looking for waiters."""
        upserts = [job.decided.upsert for job in jobs if job.decided.upsert is not None]
        if not upserts:
            return
        await master_data.store(connection, upserts)
        tokens = {token for upsert in upserts for token in upsert.tokens}
        await locks.take_shared(
            connection,
            numbers_of(Race.MAPPING_MISSING, tokens) | numbers_of(Race.PARENT_MISSING, tokens),
        )
        await gaps.close(connection, tokens)
        await waiting_upserts.wake(connection, tokens)
        await lanes.wake_workers(connection)

    async def _write_orders(self, connection: Connection, ids: list[int]) -> None:
        known, now = self.waits.before, self.waits.world.orders
        changed = self._orders.keys() | self.waits.touched
        rows = [
            (now[order_id], _id(ids, written.to_origin), _id(ids, written.to_destination))
            for order_id in sorted(changed)
            for written in [self._orders.get(order_id, _NOTHING)]
        ]
        await orders.insert(
            connection, [row for row in rows if row[0].id not in known], self._texts
        )
        kept = (row for row in rows if row[0].id in known)
        await orders.update(connection, kept, known, self._texts)
        await numbers.take_over(connection, self.waits.moves, Code.LANE_BEHIND)
        await lanes.flag(connection, self.waits.runnable())

    async def _write_answers(self, connection: Connection, ids: list[int]) -> None:
        for answers in (self._new, self._newer):
            for identity, answer in answers.items():
                answer.result_id = ids[self._result_rows[identity]]
                if answer.outcome == "waiting":
                    answer.waiting_id = answer.result_id
        await commands.insert(connection, list(self._new.values()))
        await commands.update(connection, list(self._newer.values()))

    async def _write_waits(self, connection: Connection, jobs: list[Job]) -> None:
        waiting = [job for job in jobs if job.waits]
        for_numbers = any(job.parked is None for job in waiting)
        counted = await numbers.counted(connection) if for_numbers else None
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
            (job.parked, gap)
            for job in waiting
            if job.parked is not None
            for gap in job.decided.gaps
        ]
        await gaps.hold(connection, held)
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

    async def _write_pictures(self, connection: Connection, jobs: Iterable[Job]) -> None:
        links = []
        for job in jobs:
            picture, order_id = job.decided.picture, job.decided.order_id
            if picture is None or order_id is None:
                continue
            if picture.content is not None:
                await blobs.store(connection, picture.blob, picture.content)
            links.append((picture.blob.id, order_id))
        await blobs.link(connection, links)

    async def _write_history(
        self, connection: Connection, jobs: Iterable[Job], ids: list[int]
    ) -> None:
        logs, events = [], []
        for job in jobs:
            effects, (tenant_id, command_id) = job.decided, job.identity
            order_id = effects.order_id
            if _is_no_news(job):
                continue
            logs += [(tenant_id, order_id, command_id, entry) for entry in effects.logs]
            if order_id is not None:
                records = [
                    (sync, sequence, ids[at])
                    for sync, sequence, at in self._syncs.get(job.identity, ())
                ]
                told = timeline.with_records(effects.events, records, waited=job.turn)
                events += [(order_id, tenant_id, command_id, event) for event in told]
        await history.write_logs(connection, logs, self._texts)
        await history.write_events(connection, events)


_NOTHING = _Written()


def _id(ids: list[int], at: int | None) -> int | None:
    return None if at is None else ids[at]


def _code(job: Job) -> str:
    return job.decided.answer.code or ""


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
        goes_first=effects.order is not None and effects.order.command_id == job.command.id,
        number=effects.number if parked is None else None,
        counted_from=counted if parked is None else None,
    )


def _is_no_news(job: Job) -> bool:
    """Whether it goes on waiting for what it waited for; a create says itself what is new."""
    effects = job.decided
    waits_on = job.turn and job.waits and effects.order is None
    return waits_on and job.reason == effects.answer.code


_outcomes = cache(COMMANDS_TOTAL.labels)
_durations = cache(COMMAND_DURATION_SECONDS.labels)
