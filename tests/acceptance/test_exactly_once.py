"""A whole stack that delivers exactly once is hurt: a `read_committed` reader sees no repeat.

Guarantee 4, beside all others. One story for `make test`; the other faults with the long tests.
"""

import signal
from collections.abc import Awaitable, Callable, Iterator

import pytest

from tests.acceptance.brokers import APACHE, on
from tests.acceptance.stack import Stack, lives, running_stack, until
from tests.acceptance.storm import Storm, storm
from tests.acceptance.test_frozen import frozen_and_thawed

pytestmark = [pytest.mark.timeout(360), on(APACHE)]


@pytest.fixture(scope="module")
def stack(broker: str) -> Iterator[Stack]:
    """Two relays; the broker keeps what it has."""
    with running_stack(broker=broker, delivery="exactly-once", relay=2) as found:
        yield found


async def killed(running: Storm, name: str, number: int = 0) -> None:
    """Kill a process and wait until an order goes through again."""
    stack = running.stack

    async def kill() -> None:
        process = stack.send(name, signal.SIGKILL, number)
        await until(lambda: not lives(process.pid), f"{name} to end")

    await running.hurt(f"{name} {number + 1} killed", kill)
    await running.more_finals(20)


async def relays_killed(running: Storm) -> None:
    """Each of them three times."""
    for number in (0, 1) * 3:
        await killed(running, "relay", number)


async def relays_frozen(running: Storm) -> None:
    """Each in turn, until the other has done everything."""
    for number in range(2):
        await frozen_and_thawed(running, "relay", number)


async def servers_killed(running: Storm) -> None:
    """The database and the broker, twice."""
    for name in ("postgres", "broker") * 2:
        await killed(running, name)


@pytest.mark.parametrize(
    "hurt",
    [
        relays_killed,
        pytest.param(relays_frozen, marks=pytest.mark.long),
        pytest.param(servers_killed, marks=pytest.mark.long),
    ],
)
async def test_nothing_is_repeated_lost_or_out_of_order(
    stack: Stack, hurt: Callable[[Storm], Awaitable[None]]
) -> None:
    async with storm(stack, seed=51) as running:
        await running.under_load(lambda: hurt(running), orders=200)
        await stack.all_ready()
        await running.judge()
        running.tell(f"exactly once, {hurt.__name__.replace('_', ' ')}")
        assert running.ledger.repeats == 0
