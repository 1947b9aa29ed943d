"""The driver's side beside create: statuses alone, and the mix of a day."""

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.figures import Cpu, Run, rounds_beside_create
from benchmarks.latency import latency
from benchmarks.orders import creates, drawn, messages, statuses, ways
from benchmarks.processes import frozen
from benchmarks.sides import Side, hub_run
from benchmarks.stack import SERVERS, BenchStack
from benchmarks.topics import Message, fill
from tests.acceptance.words import Companies

# A day of one order: its create, nine statuses, a bill of lading and an executed drop.
STATUSES = 9
COMMANDS = 1 + STATUSES + 2


class Progress:
    """Measured in alternating rounds: create alone, statuses alone, a mixed day."""

    def __init__(
        self, stack: BenchStack, companies: Companies, create: Side, progress: Side
    ) -> None:
        self._stack = stack
        self._companies = companies
        self._create = create
        self._progress = progress

    async def measure(
        self, *, commands: int, rounds: int, rate: float, seconds: float
    ) -> dict[str, Any]:
        """Throughput of as many commands of each kind; then latency at a steady rate."""
        return {
            "commands": commands,
            **await rounds_beside_create(lambda: self._round(commands), rounds),
            "rate": rate,
            "latency_ms": await self._latency(rate, int(rate * seconds)),
        }

    async def _round(self, commands: int) -> dict[str, Run]:
        companies, stack = self._companies, self._stack
        orders = drawn(companies, commands)
        created = await hub_run(stack, self._create, creates(companies, orders))
        few = -(-commands // STATUSES)
        said = statuses(companies, orders[:few], STATUSES)
        updated = await hub_run(stack, self._progress, said)
        days = max(1, commands // COMMANDS)
        # Orders that are under way: those of the round that have said nothing yet.
        under_way = orders[few : few + days] or orders[:days]
        return {
            "create": created,
            "update_status": updated,
            "mixed day": await self._mixed(
                messages(companies, len(under_way)), ways(companies, under_way, STATUSES)
            ),
        }

    async def _mixed(self, new: Sequence[Message], said: Sequence[Message]) -> Run:
        """New orders, and the ways of as many others, at once."""
        stack, create, progress = self._stack, self._create, self._progress
        goals = [
            (side.tail, side.tail.count + len(sent))
            for side, sent in ((create, new), (progress, said))
        ]
        with frozen([*create.readers(), *progress.readers()]):
            await fill(stack.kafka, create.source, new)
            await fill(stack.kafka, progress.source, said)
            cpu = Cpu({**create.processes(), **stack.pids(*SERVERS)})
            began = time.monotonic()
        ended = max([await tail.reach(count) for tail, count in goals])
        used = cpu.used()
        await stack.quiet()
        return Run(len(new) + len(said), ended - began, used)

    async def _latency(self, rate: float, count: int) -> dict[str, Any]:
        companies, stack = self._companies, self._stack
        orders = drawn(companies, count)
        created = await latency(stack, self._create, creates(companies, orders), rate=rate)
        few = -(-count // STATUSES)
        said = statuses(companies, orders[:few], STATUSES)
        updated = await latency(stack, self._progress, said, rate=rate)
        await stack.quiet()
        return {
            "create": created.told(),
            "update_status": updated.told(),
            "ratio_p50": updated.p50 / created.p50,
            "ratio_p99": updated.p99 / created.p99,
        }
