"""What nobody foresaw: one record is given up with a failed result, a log entry, a dead letter."""

from __future__ import annotations

import traceback
from datetime import datetime

import structlog

from schemas.codes import Code, http_status_of
from schemas.errors import ErrorEntry
from schemas.log import UNFORESEEN_MESSAGE, UNFORESEEN_MESSAGE_SHORT
from services.commands import endings
from services.commands.endings import Ending
from services.domain.effects import Answer, Event
from services.kit import outbox
from services.kit.cloudevents import Record
from services.kit.database import Connection
from services.kit.metrics import COMMANDS_TOTAL, DEAD_LETTERS_TOTAL
from services.records import commands, gaps, history, lanes, tallies, waiting_upserts
from services.records.commands import StoredAnswer
from services.records.emission import dead_letter_row, result_row
from services.records.numbers import NumberTurn
from services.records.waiting_upserts import WaitingUpsert

log = structlog.get_logger()


# What the caller of a command that failed in an unforeseen way is told (R097); the traceback goes
# to the operators' log alone.
FAILURE = Ending(
    answer=Answer("failed", 500, str(Code.SYSTEM_ERROR), {"detail": UNFORESEEN_MESSAGE}),
    title="Unforeseen fault",
    message=UNFORESEEN_MESSAGE,
    short=UNFORESEEN_MESSAGE_SHORT,
)


def unreadable(code: Code, detail: str, entries: list[ErrorEntry]) -> Answer:
    """What the sender of a record that cannot be read is told: what HTTP answers to such a body."""
    status = http_status_of(code)
    return Answer("failed", status, str(code), {"detail": entries if status == 422 else detail})


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
    command = await endings.legible(connection, record)
    if command is None:
        await outbox.store(connection, rows)
        await tallies.add(connection, service, counted)
        return
    arrival, asked = command
    identity = (asked.caller.id, asked.id)
    known = identity in await commands.known(connection, [identity])
    told = endings.told(FAILURE.answer)
    cause = endings.cause_of(asked, record, service, moment)
    rows.append(result_row(cause, told, copy=known))
    ids = await outbox.store(connection, rows)
    COMMANDS_TOTAL.labels(service, asked.operation, told.outcome).inc()
    await endings.write_log(connection, asked, moment, FAILURE, None)
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

    Its order, which the caller holds locked, is in state error when this was its create, and then
    waits for nothing any more.
    """
    log.error("a command failed at its turn", order_id=turn.order_id, exc_info=error)
    identity = (turn.tenant_id, turn.command_id)
    await endings.end(
        connection, service, identity, turn.record, FAILURE, moment=moment, order_id=turn.order_id
    )
    await lanes.leave(connection, [turn.lane_id])
    emptied = await gaps.release(connection, [turn.order_id])
    await lanes.head_ended(connection, turn.order_id, *identity)
    await gaps.forget(connection, emptied)
    event = Event("failed", {"error": type(error).__name__})
    await history.write_events(connection, [(turn.order_id, *identity, event)])


async def fail_waiter(
    connection: Connection,
    service: str,
    waiter: NumberTurn,
    error: BaseException,
    moment: datetime,
) -> None:
    """End a command that failed when its wait for a number was over; the caller holds it locked."""
    log.error("a command that waited for a number failed", exc_info=error)
    identity = (waiter.tenant_id, waiter.command_id)
    await endings.end(connection, service, identity, waiter.record, FAILURE, moment=moment)
    await lanes.leave(connection, [waiter.lane_id])


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
    await endings.end(connection, service, identity, upsert.record, FAILURE, moment=moment)
    await waiting_upserts.leave(connection, [identity])


def _sentence(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)
    place = f" in {where[-1].name}" if where else ""
    return f"{type(error).__name__}{place}"
