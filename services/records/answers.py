"""Answers that may be told: those whose records the broker has acknowledged (K32, K40)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import orjson

from services.kit.database import Connection


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose answer is waited for; `fingerprint` is that of the command as it was sent."""

    tenant_id: str
    command_id: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class TellableAnswer:
    """An answer the caller may be told: the body is JSON, the same bytes each time it is asked.

    `fits` is False where the command id belongs to another command (K32); the rest is then empty.
    """

    fits: bool
    outcome: str = ""
    http_status: int = 0
    body: bytes = b""


# A row that may not be told yet is left out: its record stands in the outbox, or it is parked and
# nobody was told so. Which of both tables is looked at first does not matter: a row moves between
# them within one transaction, and this is one snapshot.
_TELLABLE = """
SELECT wanted.place, c.fingerprint = wanted.fingerprint AS fits,
       c.outcome, c.http_status, c.body, parked.told
FROM unnest($1::text[], $2::text[], $3::bytea[]) WITH ORDINALITY
    AS wanted (tenant_id, command_id, fingerprint, place)
JOIN commands AS c USING (tenant_id, command_id)
LEFT JOIN outbox_parked AS parked ON parked.id = c.result_id
WHERE c.fingerprint <> wanted.fingerprint
   OR (c.result_id IS NOT NULL
       AND (parked.id IS NULL OR parked.told IS NOT NULL)
       AND NOT EXISTS (SELECT FROM outbox WHERE outbox.id = c.result_id))
"""


async def tellable(
    connection: Connection, wanted: Sequence[Wanted]
) -> list[tuple[Wanted, TellableAnswer]]:
    """The answers among `wanted` that may be told now; one query, whatever their number."""
    rows = await connection.fetch(
        _TELLABLE,
        [each.tenant_id for each in wanted],
        [each.command_id for each in wanted],
        [each.fingerprint for each in wanted],
    )
    return [(wanted[row["place"] - 1], _answer(row)) for row in rows]


def _answer(row: asyncpg.Record) -> TellableAnswer:
    if not row["fits"]:
        return TellableAnswer(fits=False)
    if row["told"] is not None:
        # The waiting answer that the relay told in place of the parked final one.
        told = orjson.loads(row["told"])
        return TellableAnswer(
            True, told["outcome"], told["http_status"], orjson.dumps(told["body"])
        )
    return TellableAnswer(True, row["outcome"], row["http_status"], row["body"].encode())
