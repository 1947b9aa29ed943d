"""The list of changes among many: `order/change/all` by several filters, before and after."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx

from benchmarks.changes import ChangeSides, proposals
from benchmarks.figures import Latency
from benchmarks.fill import FILL_SECONDS, MONTH_SECONDS, Filled, fill
from benchmarks.orders import creates, drawn
from benchmarks.sides import Side, hub_run
from benchmarks.stack import BenchStack
from tests.acceptance.words import Companies

LISTS = 100
WARM = 5

# A change of each copied order, made on the server: COPY would bring the same bytes from here. Its
# id and its time go by the order's; of each twenty one is pending, four were rejected.
_CHANGES = """
INSERT INTO order_changes (id, order_id, origin_id, destination_id, proposer_id, command_id, status,
    stale, reason_code, change_types, amended, changes, created_at, updated_at)
SELECT left(o.id, 8) || left(o.hash, 16), o.id, c.origin_id, c.destination_id, c.proposer_id,
    'copy-' || o.id, (ARRAY['requested', 'rejected', 'synced'])[
        CASE WHEN o.draw % 20 = 0 THEN 1 WHEN o.draw % 20 < 5 THEN 2 ELSE 3 END],
    false, c.reason_code, ARRAY[(ARRAY['volume_change', 'note_change', 'po_change',
        'delivery_window_change'])[1 + o.draw % 4]], c.amended, c.changes, o.at, o.at
FROM (
    SELECT id, md5(id) AS hash, ('x' || left(md5(id), 4))::bit(16)::int AS draw,
        to_timestamp(('x' || left(id, 8))::bit(32)::bigint) AS at
    FROM orders WHERE starts_with(origin_number, $1)
) AS o
CROSS JOIN (SELECT * FROM order_changes ORDER BY id DESC LIMIT 1) AS c
"""


async def listing(
    stack: BenchStack, companies: Companies, create: Side, sides: ChangeSides, *, count: int
) -> dict[str, Any]:
    """Milliseconds of the list by each filter: of one change, and of so many."""
    orders = drawn(companies, 1)
    await hub_run(stack, create, creates(companies, orders))
    await hub_run(stack, sides.destinations, proposals(companies, orders))
    key = await stack.api_key(companies.origin, "order_change:read")
    async with httpx.AsyncClient(
        base_url=stack.http, headers={"X-API-Key": key}, trust_env=False, timeout=60
    ) as client:
        empty = await _by_filters(client, filters(orders[0].number))
        filled, seconds, gigabytes = await _fill(str(stack.line["database"]), count)
        many = await _by_filters(client, filters(filled.number(count // 2)))
    return {
        "orders": count,
        "fill_seconds": seconds,
        "database_gigabytes": gigabytes,
        "filters": {
            name: {
                "empty": empty[name],
                "filled": of,
                "ratio_p50": of["p50"] / empty[name]["p50"],
                "ratio_p99": of["p99"] / empty[name]["p99"],
            }
            for name, of in many.items()
        },
    }


def filters(number: str) -> dict[str, dict[str, Any]]:
    """What is asked for, by how it is told; the copies are of the thirty days before now."""
    now = datetime.now(UTC)
    middle = now - timedelta(seconds=MONTH_SECONDS / 2)

    def between(span: timedelta) -> Mapping[str, str]:
        return {"start": middle.isoformat(), "end": (middle + span).isoformat()}

    return {
        "one order": {"order_numbers": [number]},
        "pending": {"status": "requested"},
        "accepted": {"status": "synced"},
        "a type nobody proposed": {"change_types": ["destination_change"]},
        "rejected within an hour": {"status": "rejected", "between": between(timedelta(hours=1))},
        "one type within ten minutes": {
            "change_types": ["note_change"],
            "between": between(timedelta(minutes=10)),
        },
        "since a minute ago": {"as_of": (now - timedelta(minutes=1)).isoformat()},
        "moved since a minute ago": {"updated_as_of": (now - timedelta(minutes=1)).isoformat()},
    }


async def _by_filters(
    client: httpx.AsyncClient, asked: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, float]]:
    return {name: await _listed(client, body) for name, body in asked.items()}


async def _listed(client: httpx.AsyncClient, body: Mapping[str, Any]) -> dict[str, float]:
    taken, rows = [], 0
    for at in range(WARM + LISTS):
        began = time.monotonic()
        answer = await client.post("/v1/order/change/all", json=dict(body))
        seconds = time.monotonic() - began
        assert answer.status_code == 200, answer.text
        rows = len(answer.json()["changes"])
        taken += [seconds] if at >= WARM else []
    return {**Latency.of(taken).told(), "rows": rows}


async def _fill(dsn: str, count: int) -> tuple[Filled, float, float]:
    """Orders by COPY, then a change of each; the seconds of both, and the gigabytes.

    No list reads what else the hub keeps of an order.
    """
    filled = await fill(dsn, count, ["orders"])
    began = time.monotonic()
    connection = await asyncpg.connect(dsn, command_timeout=FILL_SECONDS)
    try:
        await connection.execute(_CHANGES, f"{filled.stem}-f")
        await connection.execute("VACUUM (ANALYZE) order_changes")
        made = await connection.fetchval("SELECT count(*) FROM order_changes")
        assert made > count, f"{made} changes of {count} orders"
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
    finally:
        await connection.close()
    return filled, filled.seconds + time.monotonic() - began, size / 1e9
