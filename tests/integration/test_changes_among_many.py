"""The list of changes among very many orders goes by indexes, whatever is asked (X02)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from services.kit.database import Pool, open_pool
from services.records import changes
from services.records.changes import ChangeFilter

MANY = 100_000
NOW = datetime(2026, 11, 1, tzinfo=UTC)

_TENANTS = """
INSERT INTO tenants (id, slug, name, systems)
SELECT 't' || n, 'tenant-' || n, 'Tenant ' || n, '[]' FROM generate_series(0, 49) AS n
"""
_ORDERS = """
INSERT INTO orders (id, origin_id, destination_id, origin_number, destination_number, command_id,
                    correlation_id, mapping, delivery, receipt, progress, origin_document,
                    accepted_at)
SELECT lpad(n::text, 24, '0'), 't' || n % 25, 't' || 25 + n % 25, 'N' || n, 'D' || n, 'c', 'c',
    'destination_mapped', 'sent', 'none', 'no_progress', '{}', now()
FROM generate_series(1, $1::integer) AS n
"""
_CHANGES = """
INSERT INTO order_changes (id, order_id, origin_id, destination_id, proposer_id, command_id, status,
                           change_types, amended, changes, created_at, updated_at)
SELECT lpad(n::text, 24, '0'), lpad(n::text, 24, '0'), 't' || n % 25, 't' || 25 + n % 25,
    't' || n % 25, 'c', CASE WHEN n % 100 = 0 THEN 'requested' ELSE 'synced' END,
    ARRAY[CASE WHEN n % 10 = 0 THEN 'po_change' ELSE 'note_change' END],
    '{"origin":{},"master":{},"destination":{}}', '{"origin":[],"destination":[]}',
    $2::timestamptz + n * interval '1 second', $2::timestamptz + n * interval '2 seconds'
FROM generate_series(1, $1::integer) AS n
"""
LATE = timedelta(seconds=MANY - 100)
FILTERS = {
    "pending": ChangeFilter(status="requested"),
    "settled": ChangeFilter(status="synced"),
    "none": ChangeFilter(status="rejected"),
    "numbers": ChangeFilter(numbers=("N25", "D50", "N51")),
    "types": ChangeFilter(types=("po_change",)),
    "rare": ChangeFilter(types=("supply_change",)),
    "as_of": ChangeFilter(since=NOW + LATE),
    "updated_as_of": ChangeFilter(since=NOW + 2 * LATE, moved=True),
    "between": ChangeFilter(since=NOW, until=NOW + timedelta(seconds=100)),
    "partner": ChangeFilter(status="requested", partner_id="t25"),
}


@pytest.fixture
async def many(fresh_database: str) -> AsyncIterator[Pool]:
    filling = await asyncpg.connect(fresh_database)
    for query, values in ((_TENANTS, ()), (_ORDERS, (MANY,)), (_CHANGES, (MANY, NOW))):
        await filling.execute(query, *values)
    await filling.execute("ANALYZE orders, order_changes")
    await filling.close()
    async with await open_pool(fresh_database, application_name="test many") as pool:
        yield pool


def nodes(plan: dict[str, Any]) -> list[tuple[str, str]]:
    """(kind, table) of every scan of a plan."""
    own = [(plan["Node Type"], plan["Relation Name"])] if "Relation Name" in plan else []
    return own + [found for each in plan.get("Plans", []) for found in nodes(each)]


async def test_x02_no_list_reads_a_whole_table_and_each_finds_what_fits(many: Pool) -> None:
    await no_list_reads_a_whole_table(many, FILTERS, limit=50)
    await each_filter_finds_what_fits_the_newest_first(many)
    await several_tenants_share_one_list(many)
    await one_pair_has_everything(many)
    # A type has no index: among its own many, a tenant's are looked through from the newest on.
    few = {name: wanted for name, wanted in FILTERS.items() if not wanted.types}
    await no_list_reads_a_whole_table(many, few, limit=3001)


async def several_tenants_share_one_list(many: Pool) -> None:
    """Of tenants 0 and 1, and of tenant 25, which is the other side of 0: each change once."""
    own = [n for n in range(MANY, 0, -1) if n % 25 in (0, 1)]
    for limit in (10, len(own) - 1, len(own), len(own) + 1):
        async with many.acquire() as connection:
            wanted = ChangeFilter(since=NOW)
            found = await changes.find(connection, ["t25", "t1", "t0"], wanted, limit)
        assert [int(each.change.id) for each in found.changes] == own[:limit]
        assert found.complete == (limit >= len(own))


async def one_pair_has_everything(many: Pool) -> None:
    for table in ("orders", "order_changes"):
        await many.execute(f"UPDATE {table} SET origin_id = 't0', destination_id = 't25'")
        await many.execute(f"VACUUM (ANALYZE) {table}")


async def no_list_reads_a_whole_table(
    many: Pool, filters: Mapping[str, ChangeFilter], *, limit: int
) -> None:
    for name, wanted in filters.items():
        for side in ("origin_id", "destination_id"):
            query, values = changes.statement(side, wanted, limit)
            rows = await many.fetch(
                f"EXPLAIN (FORMAT JSON) {query}", ["t0"], wanted.partner_id, "t0", *values
            )
            [plan] = orjson.loads(rows[0][0])
            read = nodes(plan["Plan"])
            assert ("Seq Scan", "order_changes") not in read, f"{name} by {side}, {limit}"
            assert ("Seq Scan", "orders") not in read, f"{name} by {side}, {limit}"


async def each_filter_finds_what_fits_the_newest_first(many: Pool) -> None:
    """Of tenant 0, which has every 25th order."""
    own = range(MANY - MANY % 25, 0, -25)
    expected = {
        "pending": [n for n in own if n % 100 == 0],
        "settled": [n for n in own if n % 100],
        "none": [],
        "numbers": [50, 25],
        "types": [n for n in own if n % 10 == 0],
        "rare": [],
        "as_of": [n for n in own if n >= MANY - 100],
        "updated_as_of": [n for n in own if n >= MANY - 100],
        "between": [75, 50, 25],
        "partner": [n for n in own if n % 100 == 0],
    }
    for name, wanted in FILTERS.items():
        async with many.acquire() as connection:
            found = await changes.find(connection, ["t0"], wanted, 3000)
        ids = [int(each.change.id) for each in found.changes]
        assert (ids, found.complete) == (expected[name], True), name
        assert all(
            each.origin_number == f"N{n}" for each, n in zip(found.changes, ids, strict=True)
        )
