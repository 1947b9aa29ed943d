"""`commands`: a row a command id of a tenant, with its fingerprint and newest answer (K32)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from services.kit.database import Connection, insert_rows


@dataclass(slots=True)
class StoredAnswer:
    """What a command id was answered. `body` is the JSON text, so that a repeat has the same bytes.

    `result_id` is the outbox id of this answer, `waiting_id` that of the waiting one before it.
    """

    tenant_id: str
    command_id: str
    fingerprint: bytes
    operation: str
    order_id: str | None
    outcome: str
    http_status: int
    code: str | None
    body: str
    result_id: int | None
    waiting_id: int | None
    accepted_at: datetime
    final_at: datetime | None


_COLUMNS = (
    "tenant_id", "command_id", "fingerprint", "operation", "order_id", "outcome", "http_status",
    "code", "body", "result_id", "waiting_id", "accepted_at", "final_at",
)  # fmt: skip
_VALUES: Callable[[StoredAnswer], tuple[Any, ...]] = attrgetter(*_COLUMNS)
_IDENTITY: Callable[[StoredAnswer], tuple[str, str]] = attrgetter("tenant_id", "command_id")

_KNOWN = f"""
SELECT {", ".join("c." + column for column in _COLUMNS)}
FROM unnest($1::text[], $2::text[]) AS wanted (tenant_id, command_id)
JOIN commands AS c USING (tenant_id, command_id)
"""


async def known(
    connection: Connection, ids: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], StoredAnswer]:
    """The answers there are to these (tenant id, command id)."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    rows = await connection.fetch(_KNOWN, [id_[0] for id_ in wanted], [id_[1] for id_ in wanted])
    return {(row["tenant_id"], row["command_id"]): StoredAnswer(*row) for row in rows}


async def insert(connection: Connection, answers: Sequence[StoredAnswer]) -> None:
    """Store first answers, in the order of their ids.

    Raises asyncpg.UniqueViolationError where another transaction has answered one of the ids
    meanwhile: what was decided here must then be decided again, as a further copy.
    """
    await insert_rows(
        connection,
        "commands",
        columns=_COLUMNS,
        records=[_VALUES(answer) for answer in sorted(answers, key=_IDENTITY)],
    )


_ANSWER = """
UPDATE commands AS c SET
    outcome = new.outcome, http_status = new.http_status, code = new.code, body = new.body,
    order_id = new.order_id, result_id = coalesce(new.result_id, c.result_id),
    waiting_id = new.waiting_id, final_at = new.final_at
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[],
    $8::bigint[], $9::bigint[], $10::timestamptz[]
) AS new (tenant_id, command_id, outcome, http_status, code, body, order_id, result_id,
          waiting_id, final_at)
WHERE c.tenant_id = new.tenant_id AND c.command_id = new.command_id
"""


async def update(connection: Connection, answers: Sequence[StoredAnswer]) -> None:
    """Store newer answers of commands that waited."""
    if not answers:
        return
    rows = [
        (
            answer.tenant_id, answer.command_id, answer.outcome, answer.http_status, answer.code,
            answer.body, answer.order_id, answer.result_id, answer.waiting_id, answer.final_at,
        )
        for answer in answers
    ]  # fmt: skip
    await connection.execute(_ANSWER, *(list(column) for column in zip(*rows, strict=True)))
