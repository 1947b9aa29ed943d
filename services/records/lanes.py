"""Lanes: what waits, as received, until its order can go on (protocol §3).

A known order's lane is guarded by the order's own row: whoever may have made progress possible
sets `lane_runnable` in its own transaction, every worker takes runnable orders SKIP LOCKED.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.domain.effects import UnknownNumber
from services.kit.cloudevents import Record
from services.kit.database import Connection, insert_rows
from services.records import stored

CHANNEL = "crossroads_lanes"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that waits; `reason` is the code it was answered with.

    In the lane of an order, `goes_first` for the create that makes it and for what overtakes; or
    for a number that nobody knows, from when on the intake's clock had counted `counted_from`
    seconds.
    """

    order_id: str | None
    tenant_id: str
    command_id: str
    operation: str
    reason: str
    record: Record
    goes_first: bool = False
    number: UnknownNumber | None = None
    counted_from: float | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A command whose turn it is; `lane_id` tells its place, lower is earlier."""

    lane_id: int
    order_id: str
    tenant_id: str
    command_id: str
    operation: str
    reason: str
    record: Record


_PARKED = (
    "order_id", "wait_tenant", "wait_partner", "wait_number", "counted_from", "goes_first",
    "tenant_id", "command_id", "operation", "reason", "record",
)  # fmt: skip


async def park(connection: Connection, commands: Sequence[Waiting]) -> None:
    """Put commands at the end of where they wait, in this order."""
    await insert_rows(connection, "lane_commands", _PARKED, [_row(each) for each in commands])


def _row(each: Waiting) -> tuple[object, ...]:
    number = each.number
    waits: tuple[str | None, ...] = (None, None, None)
    if number is not None:
        waits = (number.tenant_id, number.partner_id, number.number)
    return (
        each.order_id, *waits, each.counted_from, each.goes_first,
        each.tenant_id, each.command_id, each.operation, each.reason, stored.dump(each.record),
    )  # fmt: skip


_CLAIM = """
SELECT id FROM orders WHERE lane_runnable ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
"""
_CLAIM_THESE = """
SELECT id FROM orders WHERE lane_runnable AND id = ANY($1::text[])
ORDER BY id FOR UPDATE SKIP LOCKED
"""
_TURNS = """
SELECT l.id, l.order_id, l.tenant_id, l.command_id, l.operation, l.reason, l.record
FROM unnest($1::text[]) AS mine (order_id)
CROSS JOIN LATERAL (
    SELECT * FROM lane_commands AS w WHERE w.order_id = mine.order_id
    ORDER BY w.goes_first DESC, w.id LIMIT $2
) AS l
ORDER BY l.goes_first DESC, l.id
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


async def hold(connection: Connection, order_id: str) -> None:
    """Lock an order, whose lane nobody else works on then."""
    await connection.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", order_id)


async def turns(connection: Connection, order_ids: Sequence[str], each: int) -> list[Turn]:
    """The first `each` commands of every one of these orders' lanes, by arrival.

    Of each order what overtakes and its create first, whatever came earlier and waited for it.
    """
    rows = await connection.fetch(_TURNS, list(order_ids), each)
    return [
        Turn(
            row["id"],
            row["order_id"],
            row["tenant_id"],
            row["command_id"],
            row["operation"],
            row["reason"],
            stored.load(row["record"]),
        )
        for row in rows
    ]


async def leave(connection: Connection, lane_ids: Iterable[int]) -> None:
    """Take commands out of where they wait: they have their final answer."""
    gone = sorted(lane_ids)
    if gone:
        await connection.execute("DELETE FROM lane_commands WHERE id = ANY($1::bigint[])", gone)


_SAY_WHY = """
UPDATE lane_commands AS l SET reason = new.reason
FROM unnest($1::bigint[], $2::text[]) AS new (id, reason) WHERE l.id = new.id
"""


async def say_why(connection: Connection, reasons: Mapping[int, str]) -> None:
    """Note what commands wait for by now, from {lane id: code}."""
    if reasons:
        await connection.execute(_SAY_WHY, list(reasons), list(reasons.values()))


async def flag(connection: Connection, order_ids: Iterable[str]) -> None:
    """Let these orders, which the caller holds locked, have a turn; the workers are told."""
    wanted = sorted(order_ids)
    if wanted:
        await connection.execute(
            "UPDATE orders SET lane_runnable = true WHERE id = ANY($1::text[])", wanted
        )
        await wake_workers(connection)


async def settle(
    connection: Connection, order_ids: Sequence[str], still_runnable: Iterable[str] = ()
) -> None:
    """Clear the flag of orders whose turn is over, but of those that can do more."""
    keep = set(still_runnable)
    await connection.execute(
        "UPDATE orders SET lane_runnable = false WHERE id = ANY($1::text[])",
        sorted(id_ for id_ in order_ids if id_ not in keep),
    )


# A flag was forgotten when something waits in a lane that no open gap holds; of an order that waits
# for acceptance the lane waits, too. What overtakes waits for neither.
_SLEEPS = """
FROM orders AS o
WHERE o.waiting > 0 AND NOT o.lane_runnable
  AND (((o.delivery <> 'requested' OR o.receipt = 'rejected')
        AND NOT EXISTS (SELECT FROM gap_waiters AS w WHERE w.order_id = o.id))
       OR EXISTS (SELECT FROM lane_commands AS l WHERE l.order_id = o.id AND l.goes_first
                  AND l.operation <> 'order.create'))
"""
COUNT_UNFLAGGED = f"SELECT count(*) {_SLEEPS}"
_UNFLAGGED = f"SELECT o.id {_SLEEPS} ORDER BY o.id LIMIT 1000 FOR UPDATE SKIP LOCKED"


async def repair(connection: Connection) -> int:
    """Flag runnable orders that nobody had flagged; how many there were. It must stay 0."""
    rows = await connection.fetch(_UNFLAGGED)
    ids = [row["id"] for row in rows]
    if ids:
        await flag(connection, ids)
        await connection.execute(
            "INSERT INTO lane_repairs (order_id) SELECT unnest($1::text[])", ids
        )
    return len(ids)


async def wake_workers(connection: Connection) -> None:
    """Tell every worker, when this transaction commits, that there may be turns to take."""
    await connection.execute(f"SELECT pg_notify('{CHANNEL}', '')")


_ENDED = """
UPDATE orders SET waiting = waiting - 1, lane_runnable = true, updated_at = now(),
    delivery = CASE WHEN made THEN 'failed' ELSE delivery END,
    failed_at_step = CASE WHEN made THEN mapping ELSE failed_at_step END,
    message = CASE WHEN made THEN coalesce($4, message) ELSE message END
FROM (SELECT id AS made_id, origin_id = $2 AND command_id = $3 AS made FROM orders WHERE id = $1)
    AS its
WHERE id = its.made_id RETURNING waiting
"""


async def head_ended(
    connection: Connection,
    order_id: str,
    tenant_id: str,
    command_id: str,
    message: str | None = None,
) -> int:
    """The head of an order's lane, this command, was ended undecided; how many are left in it.

    What stands behind it has its turn. Where it was the order's own create, the order can never be
    sent: it is in state error (R071), for the reason `message` if there is one.
    """
    left: int = await connection.fetchval(_ENDED, order_id, tenant_id, command_id, message)
    return left
