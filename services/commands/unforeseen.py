"""What nobody foresaw: one record is given up with a failed result, a log entry, a dead letter."""

from __future__ import annotations

import traceback
from datetime import datetime

import structlog

from schemas.codes import Code, http_status_of
from schemas.dump import iso_utc
from schemas.log import UNFORESEEN_MESSAGE, UNFORESEEN_MESSAGE_SHORT
from services.commands.batch import Identity, jobs_of, names_of
from services.commands.decode import Arrival, Dead, decode
from services.domain import logs, reference, routing
from services.domain.command import Command
from services.domain.effects import Answer, Event
from services.kit import outbox
from services.kit.cloudevents import Record
from services.kit.database import Connection
from services.kit.metrics import COMMANDS_TOTAL, DEAD_LETTERS_TOTAL
from services.records import commands, directory, history, lanes, tallies, waiting_upserts
from services.records.commands import StoredAnswer
from services.records.emission import Cause, Told, dead_letter_row, result_row
from services.records.texts import Texts
from services.records.waiting_upserts import WaitingUpsert

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
    identity = (turn.tenant_id, turn.command_id)
    await _end(connection, service, identity, turn.record, moment, order_id=turn.order_id)
    await lanes.leave(connection, [turn.lane_id])
    await lanes.fail_order(connection, turn.order_id, turn.tenant_id, turn.command_id)
    event = Event("failed", {"error": type(error).__name__})
    await history.write_events(connection, [(turn.order_id, *identity, event)])


async def fail_upsert(
    connection: Connection,
    service: str,
    upsert: WaitingUpsert,
    error: BaseException,
    moment: datetime,
) -> None:
    """End an upsert that failed when its parent had come; the caller holds it locked.

    What waits for it in turn goes on waiting, for one that does not fail.
    """
    log.error("an upsert failed at its turn", entity_key=upsert.entity_key, exc_info=error)
    identity = (upsert.tenant_id, upsert.command_id)
    await _end(connection, service, identity, upsert.record, moment)
    await waiting_upserts.leave(connection, [identity])


async def _end(
    connection: Connection,
    service: str,
    identity: Identity,
    record: Record,
    moment: datetime,
    *,
    order_id: str | None = None,
) -> None:
    """The failed result, the answer and the log entry of a command that was told to wait.

    It was accepted once: where it does not even read any more, it has its result all the same.
    """
    before = (await commands.known(connection, [identity]))[identity]
    told = failed()
    found = await _legible(connection, record)
    if found is None:
        named = await directory.of_tenants(connection, [before.tenant_id])
        cause = Cause(
            named.by_id[before.tenant_id], before.command_id, before.operation, record, None,
            service, iso_utc(moment), order_id,
        )  # fmt: skip
    else:
        cause = _cause(found[1], record, service, moment, order_id)
        await _log(connection, found[1], moment, order_id)
    ids = await outbox.store(connection, [result_row(cause, told, waited=True)])
    before.outcome, before.http_status, before.code = told.outcome, told.http_status, told.code
    before.body, before.result_id, before.final_at = told.body, ids[0], moment
    await commands.update(connection, [before])
    COMMANDS_TOTAL.labels(service, before.operation, told.outcome).inc()


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
        time=iso_utc(moment),
        order_id=order_id,
        traceparent=asked.traceparent,
        tracestate=asked.tracestate,
    )


def _sentence(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)
    place = f" in {where[-1].name}" if where else ""
    return f"{type(error).__name__}{place}"
