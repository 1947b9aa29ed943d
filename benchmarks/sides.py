"""Who is measured: the hub, and what it stands beside; each with its topics and processes."""

import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx
from aiokafka import ConsumerRecord

from benchmarks import spring
from benchmarks.figures import Cpu, Run, stages_of
from benchmarks.processes import frozen, program
from benchmarks.stack import SERVERS, SERVICES, BenchStack
from benchmarks.topics import Message, Tail, fill
from tests.acceptance.words import Companies

PARTITIONS = 3  # what a tenant's topics have by default


@dataclass(slots=True)
class Side:
    """One of those measured: `source` is its input topic, `target` where its last record comes."""

    name: str
    source: str
    target: str
    tail: Tail
    # What reads the input topic, and is frozen while that is filled.
    readers: Callable[[], list[int]]
    processes: Callable[[], Mapping[str, list[int]]]
    # Which command a record of `target` came of.
    cause_of: Callable[[ConsumerRecord], str]
    # Whose batches read `source`.
    service: str = "order-intake"


async def run(stack: BenchStack, side: Side, messages: Sequence[Message]) -> Run:
    """Fill the input topic while the side is frozen, thaw it, wait for its last record."""
    before = side.tail.count
    with frozen(side.readers()):
        await fill(stack.kafka, side.source, messages)
        cpu = Cpu({**side.processes(), **stack.pids(*SERVERS)})
        began = time.monotonic()
    seconds = await side.tail.reach(before + len(messages)) - began
    return Run(len(messages), seconds, cpu.used())


def hub(stack: BenchStack, companies: Companies, tail: Tail) -> Side:
    """The hub itself: its processes are those of the stack."""
    return Side(
        "hub",
        f"crossroads.orders.{companies.origin}",
        f"crossroads.sync.{companies.destination}",
        tail,
        lambda: stack.pids("order-intake")["order-intake"],
        lambda: stack.pids(*SERVICES),
        _caused_by,
    )


def progress(stack: BenchStack, companies: Companies, tail: Tail) -> Side:
    """The hub's other way: what the destination says of orders, told to their origin."""
    return Side(
        "progress",
        f"crossroads.progress.{companies.destination}",
        f"crossroads.sync.{companies.origin}",
        tail,
        lambda: stack.pids("status-update")["status-update"],
        lambda: stack.pids(*SERVICES),
        _caused_by,
        "status-update",
    )


def _caused_by(record: ConsumerRecord) -> str:
    return str(dict(record.headers)["ce_causationid"].decode())


def _passed_on(record: ConsumerRecord) -> str:
    """Of a create that passed the limit pipeline, which writes no headers."""
    return f"create-{json.loads(record.value)['origin_order_number']}"


async def hub_run(stack: BenchStack, side: Side, messages: Sequence[Message]) -> Run:
    """A run of the hub, with the seconds its reader's batches spent by stage; then it is quiet."""
    before = await _stages(stack, side.service)
    found = await run(stack, side, messages)
    await stack.quiet()
    after = await _stages(stack, side.service)
    spent = {name: after[name] - before[name] for name in after}
    return Run(found.records, found.seconds, found.cpu, spent)


# As the hub's stream waits there.
FETCH_WAIT_MS = {"tansu": 20, "kafka": 500}


class Limit:
    """The limit pipeline: started for each run, because idle it would poll for nothing."""

    def __init__(self, stack: BenchStack, tail: Tail) -> None:
        self._stack = stack
        self._sent = 0
        self.side = Side(
            "limit", "benchmark.limit.in", "benchmark.limit.out", tail, list, dict, _passed_on
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Side]:
        """The side, when its process has caught up with what was there before."""
        side, before = self.side, self.side.tail.count
        command = (sys.executable, "-m", "benchmarks.limit", self._stack.kafka)
        wait = str(FETCH_WAIT_MS[self._stack.broker])
        async with program(
            *command, str(self._stack.line["database"]), side.source, side.target, wait
        ) as pid:
            await side.tail.reach(before + self._sent)
            yield Side(
                side.name, side.source, side.target, side.tail,
                lambda: [pid], lambda: {"limit": [pid]}, _passed_on,
            )  # fmt: skip

    async def run(self, messages: Sequence[Message]) -> Run:
        """A run of a new process."""
        async with self.running() as side:
            found = await run(self._stack, side, messages)
        self._sent += len(messages)
        return found

    def passed(self, count: int) -> None:
        """So many more records went through it otherwise."""
        self._sent += count


@contextlib.asynccontextmanager
async def plain(stack: BenchStack, companies: Companies, tail: Tail) -> AsyncIterator[Side]:
    """The plain service, running."""
    source, target = topics("plain")
    command = (sys.executable, "-m", "benchmarks.peers.plain", stack.kafka)
    names = (companies.origin, companies.destination)
    async with program(*command, str(stack.line["database"]), source, target, *names) as pid:
        yield Side(
            "plain", source, target, tail, lambda: [pid], lambda: {"plain": [pid]}, _passed_on
        )


@contextlib.asynccontextmanager
async def java(stack: BenchStack, companies: Companies, tail: Tail) -> AsyncIterator[Side]:
    """The Java team's service, running."""
    source, target = topics("spring")
    names = (companies.origin, companies.destination)
    async with spring.spring(
        stack.kafka, str(stack.line["database"]), (source, target), names
    ) as pid:
        yield Side(
            "spring", source, target, tail, lambda: [pid], lambda: {"spring": [pid]}, _passed_on
        )


def topics(name: str) -> tuple[str, str]:
    """A side's input topic and destination topic."""
    return f"benchmark.{name}.in", f"benchmark.{name}.out"


async def _stages(stack: BenchStack, service: str) -> Counter[str]:
    found: Counter[str] = Counter()
    async with httpx.AsyncClient(trust_env=False) as client:
        for url in stack.line["metrics"][service]:
            found.update(stages_of((await client.get(url)).text))
    return found
