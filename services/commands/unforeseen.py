"""What nobody foresaw: one record is given up with a failed result, a log entry, a dead letter."""

from __future__ import annotations

import traceback
from datetime import datetime

import structlog

from schemas.codes import Code, http_status_of
from schemas.log import UNFORESEEN_MESSAGE, UNFORESEEN_MESSAGE_SHORT
from services.commands.batch import jobs_of, names_of
from services.commands.decode import Arrival, Dead, decode
from services.domain import logs, reference, routing
from services.domain.command import Command
from services.domain.effects import Answer, Event
from services.kit import outbox
from services.kit.cloudevents import Record
from services.kit.database import Connection
from services.kit.metrics import COMMANDS_TOTAL, DEAD_LETTERS_TOTAL
from services.records import commands, directory, history, lanes, tallies
from services.records.commands import StoredAnswer
from services.records.emission import Cause, Told, dead_letter_row, result_row
from services.records.texts import Texts

log = structlog.get_logger()


def failed() -> Told:
    """What the caller of a command that failed in an unforeseen way is told (R097)."""
    return Told("failed", 500, str(Code.SYSTEM_ERROR), f'{{"detail":"{UNFORESEEN_MESSAGE}"}}')


def unreadable(code: Code, detail: str) -> Answer:
    """What the sender of a record that cannot be read is told; HTTP says the same with 422."""
    status = http_status_of(code)
    body = {"detail": detail} if status != 422 else {"detail": detail, "code": code, "log": None}
    return Answer("failed", status, str(code), body)


async def give_up(
    connection: Connection, service: str, record: Record, error: BaseException, moment: datetime
) -> None:
    """Store what becomes of a record that makes the pipeline raise when it is alone.

    A dead letter with reason `unforeseen` always; a failed result where its tenant and id are
    legible, which uses the id up unless it was used before.
    """
    rows = [dead_letter_row(record, "unforeseen", _sentence(error), service, moment)]
    DEAD_LETTERS_TOTAL.labels(service, "unforeseen").inc()
    counted = {(tallies.DEAD_LETTER, "unforeseen"): 1}
    command = await _legible(connection, record)
    if command is None:
        await outbox.store(connection, rows)
        await tallies.add(connection, service, counted)
        return
    arrival, asked = command
    identity = (asked.caller.id, asked.id)
    known = identity in await commands.known(connection, [identity])
    told = failed()
    rows.append(result_row(_cause(asked, record, service, moment), told, copy=known))
    ids = await outbox.store(connection, rows)
    COMMANDS_TOTAL.labels(service, asked.operation, told.outcome).inc()
    await _log(connection, asked, moment, None)
    if not known:
        answer = StoredAnswer(
            *identity, arrival.fingerprint, asked.operation, None, told.outcome, told.http_status,
            told.code, told.body, ids[-1], None, asked.accepted_at, moment,
        )  # fmt: skip
        await commands.insert(connection, [answer])
    await tallies.add(connection, service, counted)


async def fail_turn(
    connection: Connection, service: str, turn: lanes.Turn, error: BaseException, moment: datetime
) -> None:
    """End a command that failed at its turn: it leaves its lane, and the lane goes on.

    Its order, which the caller holds locked, is in state error when this was its create.
    """
    log.error("a command failed at its turn", order_id=turn.order_id, exc_info=error)
    found = await _legible(connection, turn.record)
    if found is None:
        raise error
    _, asked = found
    identity = (turn.tenant_id, turn.command_id)
    before = (await commands.known(connection, [identity]))[identity]
    told = failed()
    cause = _cause(asked, turn.record, service, moment, turn.order_id)
    ids = await outbox.store(connection, [result_row(cause, told, waited=True)])
    before.outcome, before.http_status, before.code = told.outcome, told.http_status, told.code
    before.body, before.result_id, before.final_at = told.body, ids[0], moment
    await commands.update(connection, [before])
    await lanes.leave(connection, [turn.lane_id])
    await lanes.fail_order(connection, turn.order_id, turn.tenant_id, turn.command_id)
    await _log(connection, asked, moment, turn.order_id)
    event = Event("failed", {"error": type(error).__name__})
    await history.write_events(connection, [(turn.order_id, *identity, event)])
    COMMANDS_TOTAL.labels(service, asked.operation, told.outcome).inc()


async def _legible(connection: Connection, record: Record) -> tuple[Arrival, Command] | None:
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


async def _log(
    connection: Connection, command: Command, moment: datetime, order_id: str | None
) -> None:
    """The tenant's log entry (R096, R097): the traceback goes to the operators' log alone."""
    if command.operation in reference.OPERATIONS:
        return  # a log entry is about an order
    caller = command.caller
    entry = logs.entry(
        command,
        moment,
        title="Unforeseen fault",
        status="failed",
        category="crossroads",
        message=UNFORESEEN_MESSAGE,
        short=UNFORESEEN_MESSAGE_SHORT,
        routing=routing.between(
            caller,
            caller.system(command.system_name),
            routing.instance_of(caller, command.system_name, command.instance_name),
            None,
        ),
        subject=logs.Subject(
            command.body.get("origin_order_number"),
            command.body.get("origin_order_number"),
            order_id,
        ),
        error=str(Code.SYSTEM_ERROR),
    )
    await history.write_logs(connection, [(caller.id, order_id, command.id, entry)], Texts())


def _cause(
    asked: Command, record: Record, service: str, moment: datetime, order_id: str | None = None
) -> Cause:
    return Cause(
        tenant=asked.caller,
        command_id=asked.id,
        operation=asked.operation,
        record=record,
        correlation_id=asked.correlation_id,
        service=service,
        now=moment,
        order_id=order_id,
        traceparent=asked.traceparent,
        tracestate=asked.tracestate,
    )


def _sentence(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)
    place = f" in {where[-1].name}" if where else ""
    return f"{type(error).__name__}{place}"
