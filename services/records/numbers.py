"""Commands for an order number that nobody knows yet (K42, race a)."""

from __future__ import annotations

from collections.abc import Iterable

from services.kit.database import Connection


def number_token(tenant_id: str, number: str) -> str:
    """What a command for an unknown number waits on, and what a creation wakes."""
    return f"number|{tenant_id}|{number}"


_TAKE = """
UPDATE lane_commands AS l SET order_id = new.order_id, wait_tenant = NULL, wait_number = NULL
FROM unnest($1::text[], $2::text[], $3::text[]) AS new (tenant_id, number, order_id)
WHERE l.wait_tenant = new.tenant_id AND l.wait_number = new.number
RETURNING l.order_id
"""


_ANYBODY = "SELECT EXISTS (SELECT FROM lane_commands WHERE wait_number IS NOT NULL)"


async def take_over(
    connection: Connection, numbers: Iterable[tuple[str, str, str]]
) -> dict[str, int]:
    """Move what waits for these (tenant id, number, order id) into the orders' lanes.

    How many commands each order took over. The caller holds the numbers' advisory locks shared.
    """
    wanted = sorted(set(numbers))
    # Most of the time nobody waits for any number.
    if not wanted or not await connection.fetchval(_ANYBODY):
        return {}
    rows = await connection.fetch(_TAKE, *(list(column) for column in zip(*wanted, strict=True)))
    taken: dict[str, int] = {}
    for row in rows:
        taken[row["order_id"]] = taken.get(row["order_id"], 0) + 1
    return taken
