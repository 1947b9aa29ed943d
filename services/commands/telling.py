"""What a batch tells: its outgoing records, and the answers its command ids have from now on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache

from schemas.codes import Code, record_code
from schemas.dump import iso_utc
from services.commands import unforeseen
from services.commands.batch import Identity, Job
from services.commands.decode import Dead
from services.domain import refusals
from services.domain.effects import Answer, Sync
from services.domain.tenants import Directory, Tenant
from services.domain.world import OrderState
from services.kit import outbox
from services.kit.database import Connection
from services.kit.metrics import COMMAND_DURATION_SECONDS, COMMANDS_TOTAL, DEAD_LETTERS_TOTAL
from services.kit.outbox import OutgoingRow
from services.records import commands, tallies
from services.records.commands import StoredAnswer
from services.records.emission import Cause, Told, dead_letter_row, result_row, sync_row
from services.records.texts import Texts
from services.records.waiting_upserts import WaitingUpsert


@dataclass(slots=True)
class Newest:
    """Where an order's newest records to either side stand among the outgoing rows."""

    to_origin: int | None = None
    to_destination: int | None = None


@dataclass(slots=True)
class Telling:
    """Turns what was decided into outgoing rows, in the order of the decisions.

    `orders` are those of the world after the decisions, `answers` what the batch's ids were told
    before it. Afterwards `newest` has the orders that got a record, `syncs` the records of each
    command with their sequence numbers and places, and `ids` the outbox id of every place.
    """

    service: str
    moment: datetime
    orders: Mapping[str, OrderState]
    answers: Mapping[Identity, StoredAnswer]
    texts: Texts
    newest: dict[str, Newest] = field(default_factory=dict)
    syncs: dict[Identity, list[tuple[Sync, int, int]]] = field(default_factory=dict)
    tallies: Counter[tuple[str, str]] = field(default_factory=Counter)
    ids: list[int] = field(default_factory=list)
    _rows: list[OutgoingRow] = field(default_factory=list)
    _first: dict[Identity, tuple[StoredAnswer, int]] = field(default_factory=dict)
    _newer: dict[Identity, tuple[StoredAnswer, int]] = field(default_factory=dict)
    _joined: dict[Identity, bytes] = field(default_factory=dict)

    def tell(self, job: Job) -> None:
        """The sync records of a command and its result.

        By which a create came to its end waits with its result for that one's records too: an order
        is said to be synced when its destination's topic has it (K40).
        """
        effects, command = job.decided, job.command
        cause = self._cause(job)
        order_id = effects.order_id
        begun = len(self._rows)
        if job.syncs and order_id is not None:
            newest = self.newest.setdefault(order_id, Newest())
            for sync, sequence in job.syncs:
                if sync.receiver.id == self.orders[order_id].destination_id:
                    newest.to_destination = len(self._rows)
                else:
                    newest.to_origin = len(self._rows)
                self.syncs.setdefault(job.identity, []).append((sync, sequence, len(self._rows)))
                self._rows.append(sync_row(cause, sync, order_id, sequence, self.texts))
        told = self._told(effects.answer)
        before = self._before(job)
        if before is not None and told.outcome == "waiting":
            return  # only the first reason to wait is told
        self._count(command.operation, told.outcome)
        if told.outcome != "waiting":
            taken = (self.moment - command.accepted_at).total_seconds()
            _durations(self.service, command.operation).observe(taken)
        answer = StoredAnswer(
            *job.identity,
            job.arrival.fingerprint if before is None else before.fingerprint,
            command.operation,
            order_id,
            told.outcome,
            told.http_status,
            told.code,
            told.body,
            result_id=None,
            waiting_id=None if before is None else before.waiting_id,
            accepted_at=command.accepted_at,
            final_at=None if told.outcome == "waiting" else self.moment,
        )
        answers = self._first if before is None else self._newer
        answers[job.identity] = (answer, len(self._rows))
        row = result_row(cause, told, waited=before is not None)
        if before is not None and before.order_id != order_id:
            # What was told before its order was known may lie in another shard.
            row.after_id = before.waiting_id
        self._rows.append(row)
        if job.by is not None and job.syncs:
            self._joined[job.by] = cause.digest
        joined = self._joined.get(job.identity)
        if joined is not None:
            for each in self._rows[begun:]:
                each.cause = joined

    def _before(self, job: Job) -> StoredAnswer | None:
        """What the command was told, in this very batch where a create came to its end in it."""
        before = self.answers.get(job.identity)
        if before is None and job.by is not None:
            before, _ = self._first[job.identity]
        return before

    def tell_again(self, job: Job) -> None:
        """A further copy hears what the first was told, a reused id that it is taken (K32)."""
        first = self._newest_answer(job.identity)
        if first.fingerprint != job.arrival.fingerprint:
            code = Code.IDEMPOTENCY_KEY_REUSED
            told = self._told(refusals.refused(code, refusals.text(code)))
            self._count(job.command.operation, told.outcome)
            self._rows.append(result_row(self._cause(job), told, copy=True))
            return
        told = Told(first.outcome, first.http_status, first.code, first.body)
        self._count(job.command.operation, "duplicate")
        self.tallies[tallies.DUPLICATE, job.command.operation] += 1
        cause = replace(self._cause(job), order_id=first.order_id)
        self._rows.append(result_row(cause, told, outcome="duplicate", copy=True))

    def bury(self, dead: Dead, directory: Directory) -> None:
        """The dead letter of what cannot be read, and its failed result where that is possible."""
        DEAD_LETTERS_TOTAL.labels(self.service, dead.reason).inc()
        self.tallies[tallies.DEAD_LETTER, dead.reason] += 1
        record = dead.record
        self._rows.append(
            dead_letter_row(record, dead.reason, dead.detail, self.service, self.moment)
        )
        caller = None if dead.origin_name is None else directory.find(dead.origin_name)
        if caller is None or dead.command_id is None:
            return
        cause = self._cause_of(dead, caller, dead.command_id)
        told = self._told(
            unforeseen.unreadable(record_code(dead.reason), dead.detail, dead.entries)
        )
        self._count(dead.operation or "unknown", told.outcome)
        self._rows.append(result_row(cause, told, copy=True))

    def end(
        self, before: StoredAnswer, waited: WaitingUpsert, answer: Answer, directory: Directory
    ) -> None:
        """The final answer of an upsert that waited and was replaced."""
        tenant = directory.by_id[before.tenant_id]
        told = self._told(answer)
        cause = Cause(
            tenant, before.command_id, before.operation, waited.record, None, self.service,
            iso_utc(self.moment),
        )  # fmt: skip
        identity = (before.tenant_id, before.command_id)
        self._count(before.operation, told.outcome)
        ended = replace(
            before,
            outcome=told.outcome,
            http_status=told.http_status,
            code=told.code,
            body=told.body,
            final_at=self.moment,
        )
        self._newer[identity] = (ended, len(self._rows))
        self._rows.append(result_row(cause, told, waited=True))

    async def store_records(self, connection: Connection) -> None:
        """Store the outgoing records; `ids` are known then."""
        self.ids = await outbox.store(connection, self._rows)

    async def store_answers(self, connection: Connection) -> None:
        """Store what each command id is answered from now on; the records must have been stored."""
        for answers in (self._first, self._newer):
            for identity, (answer, at) in answers.items():
                answer.result_id = self.ids[at]
                if answer.outcome == "waiting":
                    answer.waiting_id = answer.result_id
                elif identity in self._first:
                    answer.waiting_id = self._first[identity][0].waiting_id
        await commands.insert(connection, [answer for answer, _ in self._first.values()])
        await commands.update(connection, [answer for answer, _ in self._newer.values()])

    def _newest_answer(self, identity: Identity) -> StoredAnswer:
        for answers in (self._newer, self._first):
            if identity in answers:
                return answers[identity][0]
        return self.answers[identity]

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
        body = self.texts.around(answer.body).decode()
        return Told(answer.outcome, answer.http_status, answer.code, body)

    def _count(self, operation: str, outcome: str) -> None:
        _outcomes(self.service, operation, outcome).inc()


_outcomes = cache(COMMANDS_TOTAL.labels)
_durations = cache(COMMAND_DURATION_SECONDS.labels)
