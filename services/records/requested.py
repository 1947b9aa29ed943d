"""The creates of orders that wait: in their lanes for a mapping, or kept until acceptance (X06)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.kit.cloudevents import Record
from services.kit.database import Connection, insert_rows
from services.records import stored


@dataclass(frozen=True, slots=True)
class WaitingCreate:
    """A create as received; `lane_id` and `reason` are None for one that waits for acceptance."""

    order_id: str
    record: Record
    lane_id: int | None
    reason: str | None


async def keep(connection: Connection, creates: Sequence[tuple[str, Record]]) -> None:
    """Keep the creates of these (order id, record) until their acceptance is decided."""
    await insert_rows(
        connection,
        "requested_creates",
        columns=("order_id", "record"),
        records=[(order_id, stored.dump(record)) for order_id, record in creates],
    )


async def forget(connection: Connection, order_ids: Iterable[str]) -> None:
    """The creates of these orders have their final answer; those in lanes are no matter of this."""
    gone = sorted(order_ids)
    if gone:
        await connection.execute(
            "DELETE FROM requested_creates WHERE order_id = ANY($1::text[])", gone
        )


_LOAD = """
SELECT l.order_id, l.record, l.id, l.reason
FROM unnest($1::text[], $2::text[]) AS wanted (tenant_id, command_id)
JOIN lane_commands AS l USING (tenant_id, command_id)
WHERE l.order_id IS NOT NULL
UNION ALL
SELECT order_id, record, NULL, NULL FROM requested_creates WHERE order_id = ANY($3::text[])
"""


async def load(
    connection: Connection, commands: Sequence[tuple[str, str]], order_ids: Sequence[str]
) -> list[WaitingCreate]:
    """The waiting creates of these orders, whose (tenant id, command id) are `commands`.

    The caller holds the orders locked.
    """
    rows = await connection.fetch(
        _LOAD,
        [tenant_id for tenant_id, _ in commands],
        [command_id for _, command_id in commands],
        list(order_ids),
    )
    return [WaitingCreate(row[0], stored.load(row[1]), row[2], row[3]) for row in rows]
