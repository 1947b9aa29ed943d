"""`make bench`: the hub beside what one would write oneself, and beside the least it can cost."""

import argparse
import asyncio
import contextlib
import json
import logging
import sys
import time
from typing import Any

from benchmarks import spring
from benchmarks.callers import callers, room_for
from benchmarks.changes import Changes, ChangeSides, change_sides
from benchmarks.figures import Run, median, ratios, told
from benchmarks.fill import Filled, gets
from benchmarks.fill import fill as fill_tables
from benchmarks.latency import latency
from benchmarks.listing import listing
from benchmarks.memory import long_run, resident
from benchmarks.operations import operations
from benchmarks.orders import messages
from benchmarks.over_http import over_http
from benchmarks.pictures import pictures
from benchmarks.progress import Progress
from benchmarks.report import tell
from benchmarks.sides import (
    PARTITIONS,
    Limit,
    Side,
    hub,
    hub_run,
    java,
    plain,
    progress,
    run,
    topics,
)
from benchmarks.stack import BenchStack, bench_stack
from benchmarks.topics import make, tail
from services.local.archives import unavailable
from tests.acceptance.words import Companies

PEERS = ("plain", "spring")
PARTS = (
    *("throughput", "latency", "http", "progress", "pictures"),
    *("changes", "operations", "callers"),
)
# The plain service needs no more to show its pace.
PLAIN_SHARE = 5
WARM_SHARE = 2


class Bench:
    """The measurements on one ready stack."""

    def __init__(
        self, stack: BenchStack, asked: argparse.Namespace, companies: Companies, hub_side: Side
    ) -> None:
        self._stack = stack
        self._asked = asked
        self._companies = companies
        self._hub = hub_side

    async def throughput(self, limit: Limit, peers: list[Side]) -> dict[str, Any]:
        """Alternating rounds, after one to warm every partition and every process."""
        count = self._asked.orders
        runs: dict[str, list[Run]] = {}
        for number in range(self._asked.rounds + 1):
            orders = count if number else count // WARM_SHARE
            fresh = messages(self._companies, orders)
            done = {
                "hub": await hub_run(self._stack, self._hub, fresh),
                "limit": await limit.run(fresh),
            }
            for peer in peers:
                share = PLAIN_SHARE if peer.name == "plain" else 1
                done[peer.name] = await run(self._stack, peer, fresh[: orders // share])
            what = f"round {number}" if number else "to warm up"
            say(f"{what}: " + ", ".join(f"{name} {r.rate:,.0f}/s" for name, r in done.items()))
            if number:
                for name, each in done.items():
                    runs.setdefault(name, []).append(each)
        best = {name: median(of) for name, of in runs.items()}
        return {
            "orders": count,
            "rates": {name: [each.rate for each in of] for name, of in runs.items()},
            "median": {name: told(each) for name, each in best.items()},
            "ratio": {
                name: ratios([each.rate for each in runs["hub"]], [each.rate for each in of])
                for name, of in runs.items()
                if name != "hub"
            },
        }

    async def latency(self, limit: Limit) -> dict[str, Any]:
        """The hub's, and the limit's."""
        asked = self._asked
        count = int(asked.rate * asked.seconds)
        sent = messages(self._companies, count)
        first = await latency(self._stack, self._hub, sent, rate=asked.rate)
        async with limit.running() as side:
            sent = messages(self._companies, count)
            second = await latency(self._stack, side, sent, rate=asked.rate)
        limit.passed(count)
        return {
            "rate": asked.rate,
            "hub": first.told(),
            "limit": second.told(),
            "ratio_p50": first.p50 / second.p50,
            "ratio_p99": first.p99 / second.p99,
        }

    async def http(self) -> dict[str, Any]:
        """Creates over HTTP."""
        asked = self._asked
        return await over_http(
            self._stack, self._companies, requests=asked.requests,
            connections=asked.connections, rounds=asked.rounds,
        )  # fmt: skip

    async def progress(self, own: Side) -> dict[str, Any]:
        """The driver's side."""
        asked = self._asked
        return await Progress(self._stack, self._companies, self._hub, own).measure(
            commands=asked.orders, rounds=asked.rounds, rate=asked.rate, seconds=asked.seconds
        )

    async def pictures(self) -> dict[str, Any]:
        """Pictures over HTTP."""
        asked = self._asked
        return await pictures(
            self._stack, self._hub, self._companies,
            size=int(asked.picture_mib * 1024 * 1024), at_once=asked.pictures,
        )  # fmt: skip

    async def changes(self, sides: ChangeSides) -> dict[str, Any]:
        """Updates, and proposals that are accepted."""
        asked = self._asked
        return await Changes(self._stack, self._companies, self._hub, sides).measure(
            commands=asked.orders, rounds=asked.rounds, rate=asked.rate, seconds=asked.seconds
        )

    async def operations(self) -> dict[str, Any]:
        """Each operation over HTTP, one call at a time."""
        return await operations(self._stack, self._companies, self._hub, calls=self._asked.calls)

    async def callers(self) -> dict[str, Any]:
        """Many callers who wait at once."""
        return await callers(self._stack, self._hub, self._companies, count=self._asked.callers)

    async def listing(self, sides: ChangeSides) -> dict[str, Any]:
        """The list of changes among many."""
        count = self._asked.listed
        say(f"listing: fills the tables with {count:,} orders and as many changes")
        return await listing(self._stack, self._companies, self._hub, sides, count=count)

    async def memory(self) -> dict[int, dict[str, float]]:
        """Before, and as the long run goes."""
        said = "memory: so many more orders pass the hub: "
        say(f"{said}{self._asked.memory_orders:,}")
        begun = {0: resident(self._stack)}
        return begun | await long_run(
            self._stack, self._hub, self._companies, self._asked.memory_orders
        )

    async def scale(self) -> dict[str, Any]:
        """Cost an order on the table as it is and among many; then `get` by number."""
        asked, runs = self._asked, dict[str, Run]()
        filled: Filled | None = None
        for state in ("before", "filled"):
            if state == "filled":
                say(f"fills the tables with {asked.scale:,} orders")
                filled = await fill_tables(str(self._stack.line["database"]), asked.scale)
            rounds = []
            for number in range(asked.rounds + 1):
                fresh = messages(self._companies, asked.orders)
                done = await hub_run(self._stack, self._hub, fresh)
                rounds += [done] if number else []
            runs[state] = median(rounds)
        assert filled is not None
        cost = {state: sum(each.cpu_us.values()) for state, each in runs.items()}
        return {
            "orders": asked.scale,
            "fill_seconds": filled.seconds,
            "database_gigabytes": filled.gigabytes,
            **{state: told(each) for state, each in runs.items()},
            "cost_ratio": cost["filled"] / cost["before"],
            "rate_ratio": runs["filled"].rate / runs["before"].rate,
            "get_ms": (await gets(self._stack, self._companies, filled)).told(),
        }


async def measure(stack: BenchStack, asked: argparse.Namespace) -> dict[str, Any]:
    """All that is asked for, on a stack that is ready."""
    began = time.monotonic()
    companies = Companies(asked.seed)
    await stack.refer(companies)
    names = ["limit", *asked.peers]
    own_topics = [topic for name in names for topic in topics(name)]
    await make(stack.kafka, *own_topics, partitions=PARTITIONS)
    found: dict[str, Any] = {"broker": stack.broker, "left_out": asked.left_out}
    async with contextlib.AsyncExitStack() as until_end:
        enter = until_end.enter_async_context
        sync = f"crossroads.sync.{companies.destination}"
        hub_side = hub(stack, companies, await enter(tail(stack.kafka, sync)))
        limit = Limit(stack, await enter(tail(stack.kafka, topics("limit")[1])))
        bench = Bench(stack, asked, companies, hub_side)
        if "throughput" in asked.parts:
            async with contextlib.AsyncExitStack() as meanwhile:
                running = []
                for name in asked.peers:
                    counted = await enter(tail(stack.kafka, topics(name)[1]))
                    start = {"plain": plain, "spring": java}[name](stack, companies, counted)
                    running.append(await meanwhile.enter_async_context(start))
                found["throughput"] = await bench.throughput(limit, running)
        said = await enter(tail(stack.kafka, f"crossroads.sync.{companies.origin}"))
        sides = change_sides(stack, companies, hub_side, said)
        for part, measured in {
            "latency": lambda: bench.latency(limit),
            "http": bench.http,
            "progress": lambda: bench.progress(progress(stack, companies, said)),
            "pictures": bench.pictures,
            "changes": lambda: bench.changes(sides),
            "operations": bench.operations,
            "callers": bench.callers,
        }.items():
            if part in asked.parts:
                say(f"{part}, {time.monotonic() - began:.0f} s after the stack was ready")
                found["latency_ms" if part == "latency" else part] = await measured()
        if asked.listed:
            found["listing"] = await bench.listing(sides)
        if asked.scale:
            found["scale"] = await bench.scale()
        if asked.memory_orders:
            found["memory_mb"] = await bench.memory()
        await stack.quiet()
    await stack.audit()
    return found


def say(text: str) -> None:
    """Talk, beside the data."""
    print(text, file=sys.stderr, flush=True)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--broker", choices=("kafka", "tansu"), help="kafka, where Java and Maven are there")
    add("--orders", type=int, default=10_000, help="orders a round")
    add("--rounds", type=int, default=3)
    add("--rate", type=float, default=50, help="orders a second, for the latency")
    add("--seconds", type=float, default=20, help="how long at that rate")
    add("--requests", type=int, default=2_000, help="HTTP requests a round")
    add("--connections", type=int, default=32, help="HTTP requests at a time")
    add("--pictures", type=int, default=32, help="pictures over HTTP at once; at most 32")
    add("--picture-mib", type=float, default=5, help="their size in MiB; at most 10")
    add("--calls", type=int, default=200, help="HTTP calls of each operation")
    add("--callers", type=int, default=10_000, help="callers who wait at once; at most 12,000")
    add("--listed", type=int, default=0, help="changes of so many orders, filled by COPY, listed")
    add("--memory-orders", type=int, default=0, help="a long run; memory is told on the way")
    add("--scale", type=int, default=0, help="a table of so many orders, filled by COPY")
    add("--intakes", type=int, default=1, help="order-intake processes")
    deliveries = ("at-least-once", "exactly-once")
    add("--delivery", choices=deliveries, default=deliveries[0], help="the hub's, of its records")
    add("--only", choices=PARTS, action="append", help="what to measure; repeatable")
    add("--without", choices=PEERS, action="append", default=[], help="a peer to leave out")
    add("--seed", type=int, default=1)
    add("--json", action="store_true", help="the figures as one object")
    asked = parser.parse_args()
    alone = asked.memory_orders or asked.scale or asked.listed
    asked.parts = asked.only or ([] if alone else list(PARTS))
    asked.left_out = {}
    if asked.broker is None:
        why = unavailable()
        asked.broker = "kafka" if why is None else "tansu"
        if why is not None:
            asked.left_out["Apache Kafka"] = why
    asked.peers = [name for name in PEERS if name not in asked.without]
    if "spring" in asked.peers and (why := spring.missing(asked.broker)):
        asked.peers.remove("spring")
        asked.left_out["the Spring service"] = why
    return asked


def main() -> None:
    """Start a stack, measure, print, end it."""
    asked = _asked()
    # A topic has no leader for a moment after its creation, which the driver's clients report.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    for what, why in asked.left_out.items():
        say(f"left out: {what}: {why}")
    if "spring" in asked.peers and "throughput" in asked.parts:
        spring.build()
    if "callers" in asked.parts:
        room_for(asked.callers)
    began = time.monotonic()
    with bench_stack(asked.broker, intakes=asked.intakes, delivery=asked.delivery) as stack:
        found = asyncio.run(measure(stack, asked))
    found |= {"intakes": asked.intakes, "delivery": asked.delivery}
    if asked.json:
        print(json.dumps(found, indent=2))
    else:
        tell(found)
    say(f"took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
