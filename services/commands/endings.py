"""Ending a command without deciding it: it failed, or an operator refuses it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog

from schemas.dump import iso_utc, to_json
from services.commands.batch import Identity, jobs_of, names_of
from services.commands.decode import Arrival, Dead, decode
from services.domain import logs, reference, routing
from services.domain.addressing import wanted
from services.domain.command import Command
from services.domain.effects import Answer
from services.kit import outbox
from services.kit.cloudevents import Record
from services.kit.database import Connection
from services.kit.metrics import COMMANDS_TOTAL
from services.records import commands, directory, history
from services.records.emission import Cause, Told, result_row
from services.records.texts import Texts

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ending:
    """What the caller of a command is told last, and what its log entry says."""

    answer: Answer
    title: str
    message: str
    short: str


async def end(
    connection: Connection,
    service: str,
    identity: Identity,
    record: Record,
    ending: Ending,
    *,
    moment: datetime,
    order_id: str | None = None,
) -> None:
    """The result, the answer and the log entry of a command that was told to wait.

    It was accepted once: where it does not even read any more, it has its result all the same.
    """
    before = (await commands.known(connection, [identity]))[identity]
    said = told(ending.answer)
    found = await legible(connection, record)
    if found is None:
        named = await directory.of_tenants(connection, [before.tenant_id])
        cause = Cause(
            named.by_id[before.tenant_id], before.command_id, before.operation, record, None,
            service, iso_utc(moment), order_id,
        )  # fmt: skip
    else:
        cause = cause_of(found[1], record, service, moment, order_id)
        await write_log(connection, found[1], moment, ending, order_id)
    row = result_row(cause, said, waited=True)
    if before.order_id != order_id:
        row.after_id = before.waiting_id
    ids = await outbox.store(connection, [row])
    before.outcome, before.http_status, before.code = said.outcome, said.http_status, said.code
    before.body, before.result_id, before.final_at = said.body, ids[0], moment
    before.order_id = order_id or before.order_id
    await commands.update(connection, [before])
    COMMANDS_TOTAL.labels(service, before.operation, said.outcome).inc()


def told(answer: Answer) -> Told:
    """An answer as it is stored."""
    body = to_json(answer.body).decode()
    return Told(answer.outcome, answer.http_status, answer.code, body)


async def legible(connection: Connection, record: Record) -> tuple[Arrival, Command] | None:
    """The record's command as far as it can be known; None where even reading it fails."""
    try:
        decoded = decode(record)
    except Exception:
        # Whatever made reading fail was told already, with this record's dead letter.
        log.exception("a record that was given up cannot be read either")
        return None
    if isinstance(decoded, Dead):
        return None
    named = await directory.load(connection, names_of([decoded]))
    jobs, _ = jobs_of([decoded], named)
    return (decoded, jobs[0].command) if jobs else None


async def write_log(
    connection: Connection,
    command: Command,
    moment: datetime,
    ending: Ending,
    order_id: str | None,
) -> None:
    """The tenant's log entry (R096, R097)."""
    if command.operation in reference.OPERATIONS:
        return  # a log entry is about an order
    caller = command.caller
    created = command.body.get("origin_order_number")
    entry = logs.entry(
        command,
        moment,
        title=ending.title,
        status=ending.answer.outcome,
        category="crossroads",
        message=ending.message,
        short=ending.short,
        routing=routing.between(
            caller,
            caller.system(command.system_name),
            routing.instance_of(caller, command.system_name, command.instance_name),
            None,
        ),
        subject=logs.Subject(created or wanted(command.body).order_number, created, order_id),
        error=ending.answer.code,
    )
    await history.write_logs(connection, [(caller.id, order_id, command.id, entry)], Texts())


def cause_of(
    asked: Command, record: Record, service: str, moment: datetime, order_id: str | None = None
) -> Cause:
    """What outgoing records name as their cause."""
    return Cause(
        tenant=asked.caller,
        command_id=asked.id,
        operation=asked.operation,
        record=record,
        correlation_id=asked.correlation_id,
        service=service,
        time=iso_utc(moment),
        order_id=order_id,
        traceparent=asked.traceparent,
        tracestate=asked.tracestate,
    )
