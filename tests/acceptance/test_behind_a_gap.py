"""Many orders behind one gap, each with its whole way told already, while processes are killed."""

import asyncio
import signal
from itertools import cycle

import pytest

from tests.acceptance.brokers import APACHE, on_each
from tests.acceptance.stack import Stack
from tests.acceptance.storm import storm

pytestmark = [pytest.mark.timeout(900), on_each(long_on=APACHE)]
REPLICAS = {"status_update": 2}
VICTIMS = ("status-update", "order-intake", "relay", "reference-data")
LATE = 1
# Senders side by side; each sends one order after the other.
SENDERS = 20


async def behind_a_gap(stack: Stack, *, orders: int, kills: int, seed: int) -> None:
    """X05, K42: eleven steps an order wait for its mapping; each is delivered once, in sequence."""
    async with storm(stack, seed) as running:
        drawn = [running.companies.order(late=LATE) for _ in range(orders)]
        ways = [(order, running.companies.steps(order)) for order in drawn]
        left = iter(ways)
        victims = cycle(VICTIMS)

        async def send() -> None:
            for order, steps in left:
                # Every third order is told of before it is there.
                early = 3 if int(order.number[-1]) % 3 == 0 else 0
                await running.send_steps(order, steps[:early])
                await running.send_order(order, late=True)
                await running.send_steps(order, steps[early:])

        async def kill() -> None:
            name = next(victims)
            await stack.up_again(stack.send(name, signal.SIGKILL))

        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(send())
            for _ in range(kills):
                await kill()
        assert running.finals == 0, "nothing can go on yet"
        await running.map_late(LATE)
        for _ in range(kills):
            await kill()
        await stack.all_ready()
        await running.judge()
        running.tell(f"{orders} orders behind one gap, {2 * kills} processes killed")


async def test_sixty_orders_on_one_gap_go_on_once_and_in_sequence(stack: Stack) -> None:
    await behind_a_gap(stack, orders=60, kills=2, seed=31)


@pytest.mark.long
async def test_a_thousand_orders_on_one_gap_go_on_once_and_in_sequence(stack: Stack) -> None:
    await behind_a_gap(stack, orders=1000, kills=8, seed=32)
