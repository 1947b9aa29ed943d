"""Full load on a running stack, and what becomes of it: counted every ten seconds."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import asyncpg

from benchmarks.topics import Message, Tail, fill, tail
from tests.acceptance.stack import Stack
from tests.acceptance.storm import seed_reference
from tests.acceptance.wire import command_headers, sender
from tests.acceptance.words import Companies

# So many orders are always under way: batches are full, and little is lost at the end.
AHEAD = 6_000
_PORTION = 500
TICK_SECONDS = 10.0

# Index entries that were read, dead ones too: they tell of rot before any clock does.
_READ = """
SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes
WHERE indexrelname IN ('outbox_pkey', 'stream_positions_pkey')
"""


@dataclass(frozen=True, slots=True)
class Tick:
    """What was synced in some seconds, and index entries read for each of it."""

    seconds: float
    orders: int
    entries: dict[str, float]

    @property
    def rate(self) -> float:
        return self.orders / self.seconds


@dataclass(slots=True)
class Phase:
    """A time of full load."""

    title: str
    ticks: list[Tick] = field(default_factory=list)

    def third(self, number: int) -> list[Tick]:
        """The first (0) or the last (2) third of the ticks."""
        size = max(1, len(self.ticks) // 3)
        return self.ticks[:size] if number == 0 else self.ticks[-size:]

    def rate(self, number: int | None = None) -> float:
        """Orders a second, of all the phase or of a third of it."""
        ticks = self.ticks if number is None else self.third(number)
        return sum(each.orders for each in ticks) / sum(each.seconds for each in ticks)

    def entries(self, index: str, number: int) -> float:
        """Entries of an index that were read for each order, in a third of the phase."""
        ticks = self.third(number)
        return sum(each.entries[index] * each.orders for each in ticks) / max(
            1, sum(each.orders for each in ticks)
        )

    def tell(self) -> None:
        print(self.title)
        print("  orders/s each 10 s: " + " ".join(f"{each.rate:,.0f}" for each in self.ticks))
        print(f"  first third {self.rate(0):,.0f}, last third {self.rate(2):,.0f}, "
              f"all {self.rate():,.0f}")  # fmt: skip
        for index in ("outbox_pkey", "stream_positions_pkey"):
            print(f"  {index}: entries read an order, first third {self.entries(index, 0):.1f}, "
                  f"last third {self.entries(index, 2):.1f}")  # fmt: skip


class Load:
    """Orders of two companies, as many as the stack takes."""

    def __init__(self, stack: Stack, companies: Companies, synced: Tail) -> None:
        self.stack = stack
        self.companies = companies
        self.synced = synced
        self.sent = 0

    async def phase(self, title: str, seconds: float) -> Phase:
        """Full load for so long; then what is under way comes to rest."""
        found = Phase(title)
        stop = asyncio.Event()
        connection = await asyncpg.connect(self.stack.line["database"])
        feeding = asyncio.create_task(self._feed(stop))
        try:
            began = time.monotonic()
            await self.synced.reach(self.synced.count + AHEAD // 4)
            while time.monotonic() - began < seconds:
                found.ticks.append(await self._tick(connection, feeding))
        finally:
            stop.set()
            await feeding
            await connection.close()
        await self.synced.reach(self.sent)
        return found

    async def _tick(self, connection: asyncpg.Connection, feeding: asyncio.Task[None]) -> Tick:
        at, count, read = time.monotonic(), self.synced.count, await _entries(connection)
        await asyncio.wait([feeding], timeout=TICK_SECONDS)
        orders = self.synced.count - count
        now = await _entries(connection)
        entries = {name: (now[name] - read[name]) / max(1, orders) for name in now}
        return Tick(time.monotonic() - at, orders, entries)

    async def _feed(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if self.sent - self.synced.count > AHEAD:
                await asyncio.sleep(0.02)
                continue
            await fill(self.stack.kafka, self.topic, self.messages(_PORTION))
            self.sent += _PORTION

    @property
    def topic(self) -> str:
        return f"crossroads.orders.{self.companies.origin}"

    def messages(self, count: int, *, late: int | None = None) -> list[Message]:
        """Orders nobody has sent before; with `late` they wait for the keys of that number."""
        orders = [self.companies.order(late=late) for _ in range(count)]
        partner = self.companies.destination
        return [
            Message(
                order.number.encode(),
                order.body,
                command_headers(order.command_id, "order.create", partner=partner),
            )
            for order in orders
        ]


@contextlib.asynccontextmanager
async def load(stack: Stack, seed: int = 1) -> AsyncIterator[Load]:
    """Two new companies on a ready stack, and the tail of what the second one gets."""
    companies = Companies(seed)
    async with sender(stack.kafka) as own:
        await seed_reference(stack.kafka, own, companies)
    async with tail(stack.kafka, f"crossroads.sync.{companies.destination}") as synced:
        yield Load(stack, companies, synced)


async def _entries(connection: asyncpg.Connection) -> dict[str, float]:
    return {row[0]: row[1] for row in await connection.fetch(_READ)}
