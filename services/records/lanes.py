"""Lanes: what waits, as received, until its order can go on (protocol §3).

A known order's lane is guarded by the order's own row: whoever may have made progress possible
sets `lane_runnable` in its own transaction, every worker takes runnable orders SKIP LOCKED.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.kit.cloudevents import Record
from services.kit.database import Connection
from services.records import stored

CHANNEL = "crossroads_lanes"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that waits in the lane of an order; `reason` is the code it was answered with."""

    order_id: str
    tenant_id: str
    command_id: str
    operation: str
    reason: str
    record: Record


@dataclass(frozen=True, slots=True)
class Turn:
    """A command whose turn it is; `lane_id` tells its place, lower is earlier."""

    lane_id: int
    order_id: str
    tenant_id: str
    command_id: str
    record: Record


async def park(connection: Connection, commands: Sequence[Waiting]) -> None:
    """Put commands at the end of their orders' lanes, in this order."""
    if not commands:
        return
    await connection.copy_records_to_table(
        "lane_commands",
        columns=("order_id", "tenant_id", "command_id", "operation", "reason", "record"),
        records=[
            (w.order_id, w.tenant_id, w.command_id, w.operation, w.reason, stored.dump(w.record))
            for w in commands
        ],
    )


_CLAIM = """
SELECT id FROM orders WHERE lane_runnable ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
"""
_CLAIM_THESE = """
SELECT id FROM orders WHERE lane_runnable AND id = ANY($1::text[])
ORDER BY id FOR UPDATE SKIP LOCKED
"""
_TURNS = """
SELECT l.id, l.order_id, l.tenant_id, l.command_id, l.record
FROM unnest($1::text[]) AS mine (order_id)
CROSS JOIN LATERAL (
    SELECT * FROM lane_commands AS w WHERE w.order_id = mine.order_id ORDER BY w.id LIMIT $2
) AS l
ORDER BY l.id
"""


async def claim(
    connection: Connection, limit: int, these: Sequence[str] | None = None
) -> list[str]:
    """Lock up to `limit` runnable orders nobody works on, or those of `these`; their ids."""
    if these is not None:
        rows = await connection.fetch(_CLAIM_THESE, sorted(these))
    else:
        rows = await connection.fetch(_CLAIM, limit)
    return [row["id"] for row in rows]


async def turns(connection: Connection, order_ids: Sequence[str], each: int) -> list[Turn]:
    """The first `each` commands of every one of these orders' lanes, by arrival."""
    rows = await connection.fetch(_TURNS, list(order_ids), each)
    return [
        Turn(
            row["id"],
            row["order_id"],
            row["tenant_id"],
            row["command_id"],
            stored.load(row["record"]),
        )
        for row in rows
    ]


async def leave(connection: Connection, lane_ids: Iterable[int]) -> None:
    """Take commands out of their lanes: they have their final answer."""
    await connection.execute(
        "DELETE FROM lane_commands WHERE id = ANY($1::bigint[])", sorted(lane_ids)
    )


async def settle(
    connection: Connection, order_ids: Sequence[str], still_runnable: Iterable[str] = ()
) -> None:
    """Clear the flag of orders whose turn is over, but of those that can do more."""
    keep = set(still_runnable)
    await connection.execute(
        "UPDATE orders SET lane_runnable = false WHERE id = ANY($1::text[])",
        sorted(id_ for id_ in order_ids if id_ not in keep),
    )


# A flag was forgotten when the head of a lane waits for a gap, but no open gap holds the order.
_UNFLAGGED = """
SELECT o.id FROM orders AS o
WHERE o.waiting > 0 AND NOT o.lane_runnable AND o.delivery = 'unsent'
  AND EXISTS (SELECT FROM lane_commands AS l WHERE l.order_id = o.id)
  AND NOT EXISTS (SELECT FROM gap_waiters AS w WHERE w.order_id = o.id)
ORDER BY o.id LIMIT 1000 FOR UPDATE SKIP LOCKED
"""


async def repair(connection: Connection) -> int:
    """Flag runnable orders that nobody had flagged; how many there were. It must stay 0."""
    rows = await connection.fetch(_UNFLAGGED)
    ids = [row["id"] for row in rows]
    if ids:
        await connection.execute(
            "UPDATE orders SET lane_runnable = true WHERE id = ANY($1::text[])", ids
        )
        await connection.execute(
            "INSERT INTO lane_repairs (order_id) SELECT unnest($1::text[])", ids
        )
    return len(ids)


async def wake_workers(connection: Connection) -> None:
    """Tell every worker, when this transaction commits, that there may be turns to take."""
    await connection.execute(f"SELECT pg_notify('{CHANNEL}', '')")


async def fail_order(
    connection: Connection, order_id: str, tenant_id: str, command_id: str
) -> None:
    """Set an order to failed when this command, its create, cannot be decided (R071)."""
    await connection.execute(
        "UPDATE orders SET delivery = 'failed', failed_at_step = mapping, waiting = 0,"
        " updated_at = now() WHERE id = $1 AND origin_id = $2 AND command_id = $3",
        order_id,
        tenant_id,
        command_id,
    )
