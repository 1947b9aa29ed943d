"""The database away under load, then back: it catches up, loses nothing, and no process grows."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.acceptance.stack import Process, Stack, until
from tests.acceptance.storm import storm

pytestmark = pytest.mark.timeout(480)

SERVICES = (
    "order-intake",
    "status-update",
    "change-acceptance",
    "reference-data",
    "relay",
    "gateway",
)
RATE = 80
# What a process may take more than before at its worst: some batches of a thousand orders and what
# was decided of them, never all that waits.
GROWTH_MB = 128


@dataclass(slots=True)
class Memory:
    """The resident memory of processes in MB: at the begin, at its highest, at the end."""

    processes: list[Process]
    before: dict[str, float] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)
    now: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        for each in self.processes:
            megabytes = psutil.Process(each.pid).memory_info().rss / 1e6
            self.before.setdefault(each.name, megabytes)
            self.peak[each.name] = max(megabytes, self.peak.get(each.name, 0.0))
            self.now[each.name] = megabytes

    def figures(self) -> list[str]:
        return [
            f"{name}: {self.before[name]:.0f} MB before, {self.peak[name]:.0f} at its highest, "
            f"{self.now[name]:.0f} after"
            for name in self.before
        ]


@contextlib.asynccontextmanager
async def watched(stack: Stack) -> AsyncIterator[Memory]:
    """The memory of the hub's own processes, looked at twice a second."""
    memory = Memory([each for name in SERVICES for each in stack.processes(name)])
    memory.look()

    async def look() -> None:
        while True:
            await asyncio.sleep(0.5)
            memory.look()

    task = asyncio.create_task(look())
    try:
        yield memory
        memory.look()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def database_away(stack: Stack, seconds: float) -> None:
    """Stop the server, keep it from starting again for so long, and wait until it serves."""
    (postgres,) = stack.processes("postgres")
    # The server changes into its data directory, and starts in none that says no version.
    version = Path(psutil.Process(postgres.pid).cwd()) / "PG_VERSION"
    aside = version.rename(version.with_name("PG_VERSION.aside"))
    try:
        stack.send("postgres", signal.SIGINT)
        began = time.monotonic()
        await until(
            lambda: not any(each.ready for name in SERVICES for each in stack.processes(name)),
            "every service to say that it is not ready",
        )
        # The length of the outage, not a wait for anything.
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
    finally:
        aside.rename(version)
    await stack.up_again(postgres)


@pytest.mark.parametrize(
    "seconds", [10, pytest.param(60, marks=pytest.mark.long)], ids=lambda seconds: f"{seconds}s"
)
async def test_the_database_away_under_load_costs_nothing_but_time(
    stack: Stack, seconds: float
) -> None:
    async with storm(stack, seed=61) as running, watched(stack) as memory:

        async def outage() -> None:
            await running.more_finals(200)
            # A process that has not worked yet is smaller than it will ever be again.
            memory.before.clear()
            memory.look()
            began = running.sent
            await running.hurt(
                f"PostgreSQL away for {seconds} s", lambda: database_away(stack, seconds)
            )
            running.figures.append(f"  {running.sent - began} orders sent meanwhile")
            sent, at = running.sent, time.monotonic()
            known = [
                each for each in list(running.ledger.expected.values())[:sent] if not each.late
            ]
            await until(
                lambda: all(running.ledger.answers[each.id].ids for each in known),
                "the answers to all that was sent meanwhile",
            )
            running.figures.append(f"  caught up {time.monotonic() - at:.1f} s after the first")

        await running.under_load(outage, orders=RATE * 5, rate=RATE)
        await running.judge()
        memory.look()
        running.figures += memory.figures()
        running.tell("the database away under load")
        died = [each for each in memory.processes if each not in running_now(stack)]
        assert not died, "nobody may die of a database that is away"
        grown = {name: memory.peak[name] - memory.before[name] for name in memory.before}
        assert all(each < GROWTH_MB for each in grown.values()), grown


def running_now(stack: Stack) -> list[Process]:
    """The hub's own processes as they are now."""
    return [each for name in SERVICES for each in stack.processes(name)]
