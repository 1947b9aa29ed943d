"""A process that is frozen, overtaken by its twin and thawed does nothing twice."""

import signal
import time

import pytest

from tests.acceptance.brokers import on_each
from tests.acceptance.stack import Stack, until
from tests.acceptance.storm import Storm, storm

pytestmark = [pytest.mark.timeout(360), on_each()]
REPLICAS = {"relay": 2, "order_intake": 2, "status_update": 2}
SENT_MEANWHILE = 40
TOLD_MEANWHILE = 12


async def frozen_and_thawed(running: Storm, name: str, number: int) -> None:
    """Freeze one of two, wait until the other has done everything, thaw it."""
    stack = running.stack

    async def freeze() -> None:
        stack.send(name, signal.SIGSTOP, number)

    began, sent, told = time.monotonic(), running.sent, len(running.ledger.steps)
    try:
        await running.hurt(f"{name} {number + 1} frozen", freeze)
        # Some for each partition and shard: of what it held, the other must take over everything.
        await until(
            lambda: (
                running.sent >= sent + SENT_MEANWHILE
                and len(running.ledger.steps) >= told + TOLD_MEANWHILE
            ),
            "orders and their ways beside the frozen one",
        )
        known = [each for each in running.ledger.expected.values() if not each.late]
        await until(
            lambda: all(running.ledger.answers[each.id].ids for each in known),
            f"the answers to all that was sent while {name} {number + 1} was frozen",
        )
        running.figures.append(f"  all it held answered after {time.monotonic() - began:.1f} s")
    finally:
        stack.send(name, signal.SIGCONT, number)
    thawed = running.sent
    await until(lambda: running.sent >= thawed + 50, "load on the thawed process")


@pytest.mark.parametrize("name", ["relay", "order-intake", "status-update"])
async def test_a_frozen_process_thawed_after_the_other_took_over_doubles_nothing(
    stack: Stack, name: str
) -> None:
    async with storm(stack, seed=21) as running:

        async def work() -> None:
            # Each in turn: whichever had the partitions and shards was frozen once.
            for number in range(2):
                await frozen_and_thawed(running, name, number)

        await running.under_load(work, orders=200)
        await stack.all_ready()
        await running.judge()
        running.tell(f"{name} frozen and thawed")
