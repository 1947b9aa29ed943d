"""Thousands of orders that wait on one mapping are woken in pages, beside other orders."""

import pytest

from benchmarks.scale.load import load
from benchmarks.scale.waiting import measure
from tests.acceptance.stack import running_stack

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


async def test_others_are_served_while_ten_thousand_orders_are_woken() -> None:
    """X05. Judged by order and not by the clock: who came later did not wait for the last."""
    with running_stack(session_seconds=30) as stack:
        async with load(stack) as running:
            found = await measure(running, orders=10_000, rate=30, seconds=10)
            found.tell()
        await stack.quiet()
        books = await stack.audit()
    create = books["operations"]["order.create"]
    assert (create["waiting"], create["failed"], create["refused"]) == (0, 0, 0)
    assert found.during.p99 < found.woken_seconds * 1000 / 2, found
