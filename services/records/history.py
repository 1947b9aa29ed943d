"""What happened, append-only: log entries for the tenants, events of an order's timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.dump import to_json
from services.domain.effects import Event
from services.kit.database import Connection, insert_rows
from services.records.texts import Texts


async def write_logs(
    connection: Connection,
    entries: Sequence[tuple[str, str | None, str, Mapping[str, Any]]],
    texts: Texts,
) -> None:
    """Store log entries (R096) of (tenant id, order id, command id, entry with `_id`)."""
    await insert_rows(
        connection,
        "log_entries",
        columns=("id", "tenant_id", "order_id", "command_id", "entry"),
        records=[
            (entry["_id"], tenant_id, order_id, command_id, texts.of(entry).decode())
            for tenant_id, order_id, command_id, entry in entries
        ],
    )


async def write_events(
    connection: Connection, events: Sequence[tuple[str, str, str, Event]]
) -> None:
    """Store events of (order id, tenant id, command id, event)."""
    await insert_rows(
        connection,
        "order_events",
        columns=("order_id", "kind", "tenant_id", "command_id", "detail"),
        records=[
            (order_id, event.kind, tenant_id, command_id, to_json(event.detail).decode())
            for order_id, tenant_id, command_id, event in events
        ],
    )
