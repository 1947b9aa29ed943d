"""Partitions by month: made a year ahead, rows without a month moved, many at once."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest

from services.kit.database import Session, open_session
from services.kit.metrics import REGISTRY
from services.records import months

ADD = """
INSERT INTO log_entries (id, tenant_id, command_id, entry, created_at)
VALUES ($1, 't', 'c', '{}', now() + $2::text::interval)
"""


async def session(dsn: str) -> Session:
    return await open_session(dsn, application_name="test months")


@pytest.mark.parametrize(
    ("day", "after", "expected"),
    [
        (date(2026, 11, 22), 0, date(2026, 11, 1)),
        (date(2026, 11, 30), 1, date(2026, 12, 1)),
        (date(2026, 12, 31), 1, date(2027, 1, 1)),
        (date(2024, 2, 29), 12, date(2025, 2, 1)),
    ],
)
def test_a_month_begins_with_its_first_day(day: date, after: int, expected: date) -> None:
    assert months.month_after(day, after) == expected


async def test_a_year_is_made_ahead_and_rows_without_a_month_are_moved(fresh_database: str) -> None:
    own = await session(fresh_database)
    for name, when in (("a", "0 days"), ("b", "-70 days"), ("c", "70 days"), ("d", "0 days")):
        await own.execute(ADD, name, when)
    assert (await months.measure(own))["log_entries"] == 4
    assert len(await months.missing(own)) == 4
    made = await months.ensure(own)
    assert len(made) == 2 * 13 + 1, "the past month of the one row, too"
    assert await months.measure(own) == {"log_entries": 0, "order_events": 0}
    rows = {"crossroads_default_partition_rows": {"table": "log_entries"}}
    for name, labels in rows.items():
        assert REGISTRY.get_sample_value(name, labels) == 0
    assert await months.missing(own) == []
    assert await own.fetchval("SELECT string_agg(id, '' ORDER BY id) FROM log_entries") == "abcd"
    assert await months.ensure(own) == []
    await own.execute(ADD, "e", "0 days")
    assert (await months.measure(own))["log_entries"] == 0
    await own.close()


async def test_months_made_while_others_write_and_make_them_lose_nothing(
    fresh_database: str,
) -> None:
    makers = [await session(fresh_database) for _ in range(3)]
    writers = [await session(fresh_database) for _ in range(3)]

    async def write(own: Session, number: int) -> None:
        for at in range(60):
            await own.execute(ADD, f"{number}-{at}", f"{at} days")

    async with asyncio.TaskGroup() as group:
        made = [group.create_task(months.ensure(own, ahead=3)) for own in makers]
        for number, own in enumerate(writers):
            group.create_task(write(own, number))
    names = [name for each in made for name in each.result()]
    assert len(names) == len(set(names))
    assert await writers[0].fetchval("SELECT count(*) FROM log_entries") == 180
    assert await months.measure(makers[0]) == {"log_entries": 0, "order_events": 0}
    for own in (*makers, *writers):
        await own.close()
