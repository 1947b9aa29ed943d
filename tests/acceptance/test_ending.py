"""The end by SIGTERM under load, and the next start on what it left."""

import asyncio

import pytest

from tests.acceptance.brokers import APACHE, on_each
from tests.acceptance.stack import Stack, lives, until
from tests.acceptance.storm import CREATE, storm

pytestmark = [pytest.mark.timeout(360), on_each(long_on=APACHE)]


async def test_a_stack_ended_under_load_leaves_nothing_running_and_goes_on_at_the_next_start(
    stack: Stack,
) -> None:
    async with storm(stack, seed=31) as running:
        load = asyncio.create_task(running.load(rate=25, enough=lambda: False))
        await until(lambda: running.finals >= 100, "100 final results")
        pids = [each.pid for each in stack.processes()]
        told = dict(running.ledger.syncs)
        await asyncio.to_thread(stack.stop)
        assert not any(lives(pid) for pid in pids)
        load.cancel()
        await asyncio.wait([load])
    await asyncio.to_thread(stack.start)
    await stack.quiet()
    books = await stack.audit()
    create = books["operations"][CREATE]
    # What was told before the end is in the books after it.
    assert create["done"] >= len(told), books
    async with storm(stack, seed=32) as running:
        await running.load(rate=25, enough=lambda: running.sent >= 50)
        await running.judge(lost=create["waiting"])
        running.tell(f"SIGTERM under load, {create['accepted']} orders kept")
