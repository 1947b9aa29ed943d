"""`make bench`: the hub beside the least its work can cost, on one stack, in one run."""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import psutil

from benchmarks.figures import Cpu, Latency, Run, median, stages_of
from benchmarks.topics import Message, Tail, fill, make, tail
from tests.acceptance.stack import Stack, running_stack, until
from tests.acceptance.storm import seed_reference
from tests.acceptance.wire import Seen, command_headers, reading, sender
from tests.acceptance.words import Companies

LIMIT_IN, LIMIT_OUT = "benchmark.limit.in", "benchmark.limit.out"
PARTITIONS = 3  # what a tenant's topics have by default
# So little that the reader adds no more than 2 ms to a latency.
FETCH_WAIT_MS = 4
# The hub's own default: a frozen process that is thawed within it keeps its partitions.
SESSION_SECONDS = 30


class Bench:
    """The measurements on one ready stack."""

    def __init__(self, stack: Stack, companies: Companies, sync: Tail, limit: Tail) -> None:
        self._stack = stack
        self._companies = companies
        self._synced = sync
        self._passed = limit
        self._limit_sent = 0
        self._orders = f"crossroads.orders.{companies.origin}"
        self._sync = f"crossroads.sync.{companies.destination}"

    def messages(self, count: int) -> list[Message]:
        """So many orders nobody has sent before."""
        orders = [self._companies.order() for _ in range(count)]
        return [
            Message(
                order.number.encode(),
                order.body,
                command_headers(
                    order.command_id, "order.create", partner=self._companies.destination
                ),
            )
            for order in orders
        ]

    async def hub_run(self, count: int) -> Run:
        """Fill the input topic while the intake is frozen, thaw it, wait for the last sync."""
        before = self._synced.count
        messages = self.messages(count)
        stages = await self._stages()
        intakes = [each.pid for each in self._stack.processes("order-intake")]
        with frozen(intakes):
            await fill(self._stack.kafka, self._orders, messages)
            names = ("order-intake", "relay", "postgres", "broker")
            cpu = Cpu({n: [each.pid for each in self._stack.processes(n)] for n in names})
            began = time.monotonic()
        seconds = await self._synced.reach(before + count) - began
        used = cpu.used()
        await self._stack.quiet()
        after = await self._stages()
        spent = {name: after[name] - stages.get(name, 0.0) for name in after}
        return Run(count, seconds, used, spent)

    async def _stages(self) -> Counter[str]:
        found: Counter[str] = Counter()
        async with httpx.AsyncClient(trust_env=False) as client:
            for url in self._stack.line["metrics"]["order-intake"]:
                found.update(stages_of((await client.get(url)).text))
        return found

    async def limit_run(self, count: int) -> Run:
        """The same with the limit pipeline, on topics of its own."""
        async with self.limit() as pid:
            before = self._passed.count
            self._limit_sent += count
            with frozen([pid]):
                await fill(self._stack.kafka, LIMIT_IN, self.messages(count))
                servers = {n: [each.pid for each in self._stack.processes(n)]
                           for n in ("postgres", "broker")}  # fmt: skip
                cpu = Cpu({"limit": [pid], **servers})
                began = time.monotonic()
            seconds = await self._passed.reach(before + count) - began
            return Run(count, seconds, cpu.used())

    @contextlib.asynccontextmanager
    async def limit(self) -> AsyncIterator[int]:
        """The limit pipeline's process, when it has caught up; its id."""
        before = self._passed.count
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.limit"),
            *(self._stack.kafka, self._stack.line["database"], LIMIT_IN, LIMIT_OUT),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            assert await process.stdout.readline() == b"ready\n"
            await self._passed.reach(before + self._limit_sent)
            yield process.pid
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), 30)

    async def hub_latency(self, rate: float, seconds: float) -> Latency:
        """Accepted on the input topic to readable on the destination's, at a steady rate."""
        return await self._latency(
            self._orders, self._sync, lambda seen: seen.json["order"]["origin_order_number"],
            rate, seconds,
        )  # fmt: skip

    async def limit_latency(self, rate: float, seconds: float) -> Latency:
        """The same through the limit pipeline."""
        async with self.limit():
            return await self._latency(
                LIMIT_IN, LIMIT_OUT, lambda seen: (seen.key or b"").decode(), rate, seconds
            )

    async def _latency(
        self, source: str, target: str, number: Callable[[Seen], str], rate: float, seconds: float
    ) -> Latency:
        messages = self.messages(int(rate * seconds))
        there = (self._synced if target == self._sync else self._passed).count
        accepted: dict[str, float] = {}
        readable: dict[str, float] = {}
        clock = time.monotonic
        read = 0

        def take(seen: Seen) -> None:
            nonlocal read
            read += 1
            if read > there:
                readable.setdefault(number(seen), seen.at)

        async with (
            sender(self._stack.kafka) as own,
            reading(self._stack.kafka, [target], take, fetch_wait_ms=FETCH_WAIT_MS),
        ):
            await until(lambda: read >= there, "the reader to catch up")
            began = clock()
            for n, each in enumerate(messages):
                await asyncio.sleep(max(0.0, began + n / rate - clock()))
                await own.send(source, each.key, each.value, each.headers)
                accepted[each.key.decode()] = clock()
            await until(lambda: len(readable) == len(messages), "the last record")
        # A record can be read before its sender has its acknowledgement: that is no time at all.
        return Latency.of([max(0.0, readable[key] - at) for key, at in accepted.items()])


@contextlib.contextmanager
def frozen(pids: list[int]) -> Any:
    """Processes that do nothing until the end of the block."""
    for pid in pids:
        psutil.Process(pid).send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            psutil.Process(pid).send_signal(signal.SIGCONT)


async def measure(stack: Stack, asked: argparse.Namespace) -> dict[str, Any]:
    companies = Companies(asked.seed)
    async with sender(stack.kafka) as own:
        await seed_reference(stack.kafka, own, companies)
    await make(stack.kafka, LIMIT_IN, LIMIT_OUT, partitions=PARTITIONS)
    sync = f"crossroads.sync.{companies.destination}"
    async with tail(stack.kafka, sync) as synced, tail(stack.kafka, LIMIT_OUT) as passed:
        bench = Bench(stack, companies, synced, passed)
        # The first records of a partition cost a broker more.
        await bench.hub_run(asked.orders // 10)
        await bench.limit_run(asked.orders // 10)
        hub, limit = [], []
        for number in range(asked.rounds):
            hub.append(await bench.hub_run(asked.orders))
            limit.append(await bench.limit_run(asked.orders))
            print(f"round {number + 1}: hub {hub[-1].rate:,.0f}/s, limit {limit[-1].rate:,.0f}/s",
                  file=sys.stderr)  # fmt: skip
        hub_latency = await bench.hub_latency(asked.rate, asked.seconds)
        limit_latency = await bench.limit_latency(asked.rate, asked.seconds)
        await stack.audit()
    best, least = median(hub), median(limit)
    return {
        "orders": asked.orders,
        "throughput": {
            "hub": {
                "orders_per_second": best.rate,
                "cpu_us_per_order": best.cpu_us,
                "stage_us_per_order": best.stage_us,
            },
            "limit": {"records_per_second": least.rate, "cpu_us_per_record": least.cpu_us},
            "ratio": best.rate / least.rate,
        },
        "latency_ms": {
            "rate": asked.rate,
            "hub": vars_of(hub_latency),
            "limit": vars_of(limit_latency),
            "ratio_p50": hub_latency.p50 / limit_latency.p50,
            "ratio_p99": hub_latency.p99 / limit_latency.p99,
        },
    }


def vars_of(latency: Latency) -> dict[str, float]:
    return {"p50": latency.p50, "p99": latency.p99, "worst": latency.worst}


def tell(found: dict[str, Any]) -> None:
    throughput, latency = found["throughput"], found["latency_ms"]
    print(f"create, topic to topic, {found['orders']:,} orders a round, the median round:")
    print(f"  hub    {throughput['hub']['orders_per_second']:9,.0f} orders/s")
    print(f"  limit  {throughput['limit']['records_per_second']:9,.0f} records/s")
    print(f"  ratio  {throughput['ratio']:9.2f}")
    for side, name in (("hub", "cpu_us_per_order"), ("limit", "cpu_us_per_record")):
        used = ", ".join(f"{n} {us:.0f}" for n, us in throughput[side][name].items())
        print(f"  CPU, µs each, {side}: {used}; sum {sum(throughput[side][name].values()):.0f}")
    stages = ", ".join(f"{n} {us:.0f}" for n, us in throughput["hub"]["stage_us_per_order"].items())
    print(f"  order-intake, µs an order by the clock: {stages}")
    print(f"accepted to readable at {latency['rate']:g} orders/s, ms:")
    for side in ("hub", "limit"):
        of = latency[side]
        print(f"  {side:6} p50 {of['p50']:6.1f}   p99 {of['p99']:6.1f}   worst {of['worst']:6.1f}")
    print(f"  ratio  p50 {latency['ratio_p50']:6.1f}   p99 {latency['ratio_p99']:6.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--orders", type=int, default=10_000, help="orders a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=50, help="orders a second, for the latency")
    parser.add_argument("--seconds", type=float, default=20, help="how long at that rate")
    parser.add_argument("--intakes", type=int, default=1, help="order-intake processes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="the figures as one object")
    asked = parser.parse_args()
    began = time.monotonic()
    with running_stack(session_seconds=SESSION_SECONDS, order_intake=asked.intakes) as stack:
        found = asyncio.run(measure(stack, asked))
    if asked.json:
        print(json.dumps(found, indent=2))
    else:
        tell(found)
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
