"""Commands for an order number that nobody knows yet (K42, race a), and the clock they wait by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import asyncpg

from services.domain.effects import UnknownNumber
from services.domain.operations.table import OVERTAKING
from services.domain.world import OrderState
from services.kit.cloudevents import Record
from services.kit.database import Connection
from services.records import stored
from services.records.intake import KEEPS_UP
from services.records.locks import Race, numbers_of


def number_token(tenant_id: str, number: str) -> str:
    """What a command for an unknown number waits on, and what a creation wakes."""
    return f"number|{tenant_id}|{number}"


def locks_of(numbers: Iterable[UnknownNumber]) -> frozenset[tuple[Race, int]]:
    """The advisory numbers of these order numbers, of both tenants each."""
    tokens = {
        number_token(tenant_id, each.number)
        for each in numbers
        for tenant_id in (each.tenant_id, each.partner_id)
    }
    return numbers_of(Race.ORDER_UNKNOWN, tokens)


def given(order: OrderState) -> set[UnknownNumber]:
    """The numbers under which commands may have waited for this order, from either side (K34)."""
    sides = (
        (order.origin_id, order.destination_id),
        (order.destination_id, order.origin_id),
    )
    return {
        UnknownNumber(*side, number)
        for side in sides
        for number in (order.origin_number, order.destination_number)
        if number is not None
    }


@dataclass(frozen=True, slots=True)
class NumberWaiter:
    """A command that is kept until somebody gives its number; a low `lane_id` came earlier."""

    lane_id: int
    number: UnknownNumber
    operation: str


@dataclass(frozen=True, slots=True)
class NumberTurn:
    """A command that waited for a number, as received, to be decided again."""

    lane_id: int
    tenant_id: str
    command_id: str
    number: UnknownNumber
    record: Record


# Most of the time nobody waits for any number: then nothing is looked up.
_WAITING = """
SELECT l.id, l.wait_tenant, l.wait_partner, l.wait_number, l.operation
FROM unnest($1::text[], $2::text[], $3::text[]) AS given (tenant_id, partner_id, number)
JOIN lane_commands AS l ON l.wait_tenant = given.tenant_id AND l.wait_number = given.number
    AND l.wait_partner = given.partner_id
WHERE (SELECT EXISTS (SELECT FROM lane_commands WHERE wait_number IS NOT NULL))
ORDER BY l.id
"""
_MOVE = """
UPDATE lane_commands AS l SET order_id = new.order_id, wait_tenant = NULL, wait_partner = NULL,
    wait_number = NULL, counted_from = NULL, reason = $3,
    goes_first = l.goes_first OR l.operation = ANY($4::text[])
FROM unnest($1::bigint[], $2::text[]) AS new (id, order_id) WHERE l.id = new.id
"""


async def waiting(connection: Connection, given: Iterable[UnknownNumber]) -> list[NumberWaiter]:
    """Who waits for these numbers, by arrival.

    The caller holds their advisory numbers: nobody else begins or ends to wait meanwhile.
    """
    wanted = sorted({(each.tenant_id, each.partner_id, each.number) for each in given})
    if not wanted:
        return []
    rows = await connection.fetch(_WAITING, *(list(column) for column in zip(*wanted, strict=True)))
    return [NumberWaiter(row[0], UnknownNumber(*row[1:4]), row[4]) for row in rows]


async def take_over(connection: Connection, moves: Mapping[int, str], reason: str) -> None:
    """Put waiters into the lanes of their orders, from {lane id: order id}; they wait for `reason`.

    Their place is that of their arrival, but behind the order's own create. What overtakes goes
    before everything: on a known order it acts at once.
    """
    if moves:
        await connection.execute(
            _MOVE, list(moves), list(moves.values()), reason, sorted(OVERTAKING)
        )


_COLUMNS = """
    l.id, l.tenant_id, l.command_id, l.wait_tenant, l.wait_partner, l.wait_number, l.record
"""
_OVERDUE = f"""
SELECT {_COLUMNS} FROM lane_commands AS l
WHERE l.wait_number IS NOT NULL
  AND l.counted_from <= (SELECT counted FROM intake_clock) - $1::double precision
  AND ($3::bigint IS NULL OR l.id = $3)
ORDER BY l.counted_from, l.id LIMIT $2 FOR UPDATE SKIP LOCKED
"""
_HAS_ORDER = """EXISTS (
    SELECT FROM orders AS o WHERE o.origin_id = l.wait_tenant
        AND o.destination_id = l.wait_partner AND o.origin_number = l.wait_number
    UNION ALL
    SELECT FROM orders AS o WHERE o.origin_id = l.wait_tenant
        AND o.destination_id = l.wait_partner AND o.destination_number = l.wait_number
    UNION ALL
    SELECT FROM orders AS o WHERE o.origin_id = l.wait_partner
        AND o.destination_id = l.wait_tenant AND o.origin_number = l.wait_number
    UNION ALL
    SELECT FROM orders AS o WHERE o.origin_id = l.wait_partner
        AND o.destination_id = l.wait_tenant AND o.destination_number = l.wait_number)
"""
COUNT_KNOWN = f"""
SELECT count(*) FROM lane_commands AS l WHERE l.wait_number IS NOT NULL AND {_HAS_ORDER}
"""
_KNOWN = f"""
SELECT {_COLUMNS} FROM lane_commands AS l
WHERE l.wait_number IS NOT NULL AND ($2::bigint IS NULL OR l.id = $2) AND {_HAS_ORDER}
ORDER BY l.id LIMIT $1 FOR UPDATE SKIP LOCKED
"""


async def claim_overdue(
    connection: Connection, seconds: float, limit: int, only: int | None = None
) -> list[NumberTurn]:
    """Lock up to `limit` commands that waited `seconds` by the intake's clock, the oldest first.

    Only time in which order-intake kept up with its input counts (K42). `only` is one's lane id.
    """
    rows = await connection.fetch(_OVERDUE, seconds, limit, only)
    return [_turn(row) for row in rows]


async def claim_known(
    connection: Connection, limit: int, only: int | None = None
) -> list[NumberTurn]:
    """Lock up to `limit` commands whose number is an order's all the same; there must be none."""
    rows = await connection.fetch(_KNOWN, limit, only)
    return [_turn(row) for row in rows]


def _turn(row: asyncpg.Record) -> NumberTurn:
    return NumberTurn(
        row["id"],
        row["tenant_id"],
        row["command_id"],
        UnknownNumber(row["wait_tenant"], row["wait_partner"], row["wait_number"]),
        stored.load(row["record"]),
    )


# The clock's count is as old as its last look: a wait that began with it would end that much early.
_BEGINNING = """
SELECT counted + greatest(0, least($1, extract(epoch FROM now() - looked_at)::double precision))
FROM intake_clock
"""


async def beginning(connection: Connection) -> float:
    """What a wait that begins now is counted from, in seconds of the intake's clock.

    At least what the clock shows at its next look, were that now: no wait ends early (K42).
    """
    found: float = await connection.fetchval(_BEGINNING, KEEPS_UP)
    return found
