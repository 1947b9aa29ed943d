"""Upserts whose parent is missing: kept as received until it comes (protocol §3, race c)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from services.kit.cloudevents import Record
from services.kit.database import Connection
from services.records import stored

_COLUMNS = "tenant_id, command_id, entity_key, wake_on, record"


@dataclass(frozen=True, slots=True)
class WaitingUpsert:
    """An upsert that waits; `entity_key` names the row it is for, `wake_on` what may help it."""

    tenant_id: str
    command_id: str
    entity_key: str
    wake_on: tuple[str, ...]
    record: Record


async def of_keys(connection: Connection, entity_keys: Iterable[str]) -> dict[str, WaitingUpsert]:
    """The upsert that waits for each of these rows, locked."""
    wanted = sorted(set(entity_keys))
    if not wanted:
        return {}
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM reference_waiting"
        " WHERE entity_key = ANY($1::text[]) ORDER BY entity_key FOR UPDATE",
        wanted,
    )
    return {row["entity_key"]: _of_row(row) for row in rows}


_PARK = """
INSERT INTO reference_waiting (tenant_id, command_id, entity_key, wake_on, record)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, command_id)
DO UPDATE SET wake_on = excluded.wake_on, runnable = false
"""


async def park(connection: Connection, upserts: Sequence[WaitingUpsert]) -> None:
    """Keep these until one of their tokens is woken."""
    if not upserts:
        return
    await connection.executemany(
        _PARK,
        [
            (u.tenant_id, u.command_id, u.entity_key, list(u.wake_on), stored.dump(u.record))
            for u in sorted(upserts, key=lambda upsert: upsert.entity_key)
        ],
    )


async def leave(connection: Connection, commands: Iterable[tuple[str, str]]) -> None:
    """Forget these (tenant id, command id): they have their final answer."""
    wanted = sorted(set(commands))
    if wanted:
        await connection.execute(
            "DELETE FROM reference_waiting AS w"
            " USING unnest($1::text[], $2::text[]) AS gone (tenant_id, command_id)"
            " WHERE w.tenant_id = gone.tenant_id AND w.command_id = gone.command_id",
            [tenant for tenant, _ in wanted],
            [command for _, command in wanted],
        )


async def wake(connection: Connection, tokens: Iterable[str]) -> None:
    """Let those that wait on one of these tokens have their turn."""
    await connection.execute(
        "UPDATE reference_waiting SET runnable = true WHERE wake_on && $1::text[]",
        sorted(set(tokens)),
    )


async def claim(
    connection: Connection, limit: int, only: tuple[str, str] | None = None
) -> list[WaitingUpsert]:
    """Lock up to `limit` upserts whose turn it is and that nobody else works on.

    `only` names one by (tenant id, command id): nobody else's then.
    """
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM reference_waiting WHERE runnable"
        " AND ($2::text IS NULL OR (tenant_id, command_id) = ($2, $3))"
        " ORDER BY arrived_at LIMIT $1 FOR UPDATE SKIP LOCKED",
        limit,
        *(only or (None, None)),
    )
    return [_of_row(row) for row in rows]


def _of_row(row: asyncpg.Record) -> WaitingUpsert:
    return WaitingUpsert(
        row["tenant_id"],
        row["command_id"],
        row["entity_key"],
        tuple(row["wake_on"]),
        stored.load(row["record"]),
    )
