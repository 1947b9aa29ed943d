"""Many orders that wait on one mapping: woken in pages, and others are not held up meanwhile.

    python -m benchmarks.scale.waiting --orders 100000

The waiting orders come in as any order does, through the topic and the pipeline. Then other orders
of the same two companies are sent at a steady pace: before the mapping comes, and while the waiting
ones are woken and sent. Latency is from the command's acknowledgement to readable on the
destination's topic.
"""

import argparse
import asyncio
import contextlib
import json
import re
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import asyncpg

from benchmarks.figures import Latency
from benchmarks.scale.load import Load, load
from benchmarks.topics import Message, fill
from tests.acceptance.stack import eventually, running_stack, until
from tests.acceptance.storm import send_upsert
from tests.acceptance.wire import Seen, reading, sender

SESSION_SECONDS = 30
DEADLINE_SECONDS = 1800
_PORTION = 1_000
_NUMBER = re.compile(rb'"origin_order_number": ?"([^"]+)"')
KEY = "o-late-0"


@dataclass(frozen=True, slots=True)
class Found:
    """Latencies of other orders before and while the waiting were woken, and how long it took."""

    waiting: int
    filled_seconds: float
    before: Latency
    others: int
    during: Latency
    woken_seconds: float

    def tell(self) -> None:
        filling, waking = self.waiting / self.filled_seconds, self.waiting / self.woken_seconds
        print(f"{self.waiting:,} orders waited on one mapping, brought in through the pipeline in "
              f"{self.filled_seconds:.0f} s ({filling:,.0f}/s)")  # fmt: skip
        print(f"  all woken, mapped, sent and read after {self.woken_seconds:.1f} s "
              f"({waking:,.0f}/s)")  # fmt: skip
        print(f"  other orders, accepted to readable, ms ({self.others} of them meanwhile):")
        for title, found in (("before", self.before), ("meanwhile", self.during)):
            print(f"    {title:10} p50 {found.p50:7.1f}   p99 {found.p99:7.1f}   "
                  f"worst {found.worst:7.1f}")  # fmt: skip


@dataclass(slots=True)
class Numbers:
    """When each order was read on the destination's topic, by its number."""

    at: dict[str, float] = field(default_factory=dict)

    def take(self, seen: Seen) -> None:
        if match := _NUMBER.search(seen.value):
            self.at.setdefault(match[1].decode(), seen.at)


def waiting_messages(running: Load, count: int) -> list[Message]:
    """Orders that lack the mapping of one site, and nothing else."""
    found = []
    for message in running.messages(count):
        body = json.loads(message.value)
        # Its product is named here: without its site nobody knows its tanks.
        body["drops"][0]["site"]["source_id"] = KEY
        found.append(Message(message.key, json.dumps(body).encode(), message.headers))
    return found


@contextlib.asynccontextmanager
async def connected(running: Load) -> AsyncIterator["asyncpg.Connection"]:
    connection = await asyncpg.connect(running.stack.line["database"])
    try:
        yield connection
    finally:
        await connection.close()


async def wait(running: Load, count: int) -> float:
    """Bring in orders until so many wait; how many seconds it took."""
    began = time.monotonic()
    async with connected(running) as connection:

        async def waiters() -> int:
            return int(await connection.fetchval("SELECT count(*) FROM gap_waiters"))

        sent = 0

        async def few_under_way() -> bool:
            return sent - await waiters() < 8 * _PORTION

        async def all_wait() -> bool:
            return await waiters() == count

        while sent < count:
            portion = min(_PORTION, count - sent)
            await fill(running.stack.kafka, running.topic, waiting_messages(running, portion))
            sent += portion
            await eventually(few_under_way, "the orders to be taken in", DEADLINE_SECONDS)
        await eventually(all_wait, f"{count} orders to wait", DEADLINE_SECONDS)
        assert await connection.fetchval("SELECT count(*) FROM gaps") == 1
    return time.monotonic() - began


async def others(running: Load, numbers: Numbers, rate: float, ended: asyncio.Event) -> list[float]:
    """Other orders at a steady pace until it is ended; seconds from accepted to readable."""
    accepted: dict[str, float] = {}
    clock = time.monotonic
    async with sender(running.stack.kafka) as own:
        began = clock()
        while not ended.is_set():
            (message,) = running.messages(1)
            await own.send(running.topic, message.key, message.value, message.headers)
            accepted[message.key.decode()] = clock()
            # The pace, not a wait for anything.
            await asyncio.sleep(max(0.0, began + len(accepted) / rate - clock()))
    await until(lambda: accepted.keys() <= numbers.at.keys(), "the other orders", DEADLINE_SECONDS)
    return [max(0.0, numbers.at[number] - at) for number, at in accepted.items()]


async def measure(running: Load, *, orders: int, rate: float, seconds: float) -> Found:
    """Let `orders` wait, then wake them while others are sent at `rate` a second."""
    filled = await wait(running, orders)
    numbers = Numbers()
    sync = f"crossroads.sync.{running.companies.destination}"
    async with reading(running.stack.kafka, [sync], numbers.take, fetch_wait_ms=10):
        ended = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, ended.set)
        before = await others(running, numbers, rate, ended)
        already = len(numbers.at)
        ended = asyncio.Event()
        going = asyncio.create_task(others(running, numbers, rate, ended))
        began = time.monotonic()
        await map_it(running)
        async with connected(running) as connection:

            async def woken() -> bool:
                return not await connection.fetchval(
                    "SELECT EXISTS (SELECT FROM lane_commands) OR EXISTS (SELECT FROM gaps)"
                )

            await eventually(woken, "all to be woken", DEADLINE_SECONDS)
        ended.set()
        during = await going
        await until(
            lambda: len(numbers.at) == already + orders + len(during),
            "every order on the destination's topic",
            DEADLINE_SECONDS,
        )
        last = max(numbers.at.values())
    return Found(orders, filled, Latency.of(before), len(during), Latency.of(during), last - began)


async def map_it(running: Load) -> None:
    """Send the one mapping they all wait for."""
    (upsert,) = [
        each
        for each in running.companies.late(0)
        if each.kind == "mapping" and each.body["source_id"] == KEY
    ]
    async with sender(running.stack.kafka) as own:
        await send_upsert(own, upsert)


async def main(asked: argparse.Namespace) -> None:
    with running_stack(session_seconds=SESSION_SECONDS) as stack:
        async with load(stack) as running:
            found = await measure(
                running, orders=asked.orders, rate=asked.rate, seconds=asked.seconds
            )
            found.tell()
        await stack.quiet()
        await stack.audit()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.waiting")
    parser.add_argument("--orders", type=int, default=100_000, help="how many wait")
    parser.add_argument("--rate", type=float, default=50, help="other orders a second")
    parser.add_argument("--seconds", type=float, default=20, help="of others before the mapping")
    began = time.monotonic()
    asyncio.run(main(parser.parse_args()))
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)
