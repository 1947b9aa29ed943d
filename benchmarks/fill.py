"""A table of many orders: copies of one that the hub has made, in every table that knows it."""

import random
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import asyncpg
import httpx

from benchmarks.figures import Latency
from benchmarks.stack import BenchStack
from tests.acceptance.words import Companies

# By the column that holds the order's id.
TABLES = {
    "orders": "id",
    "commands": "order_id",
    "log_entries": "order_id",
    "order_events": "order_id",
}
CHUNK = 500
# Ids begin with the seconds of their making: the copies are a month older than what comes after.
MONTH_SECONDS = 30 * 86_400
FILL_SECONDS = 3_600
GETS = 1_000


@dataclass(frozen=True, slots=True)
class Filled:
    """How many copies there are, their numbers' stem, and what making them took."""

    count: int
    stem: str
    seconds: float
    gigabytes: float

    def number(self, n: int) -> str:
        """The origin's number of the copy n."""
        return f"{self.stem}-f{n:08}"


async def fill(dsn: str, count: int, tables: Sequence[str] = tuple(TABLES)) -> Filled:
    """Copy the newest order so many times, by COPY, in these tables; then let them settle."""
    connection = await asyncpg.connect(dsn, command_timeout=FILL_SECONDS)
    began = time.monotonic()
    try:
        order = await connection.fetchrow(
            "SELECT id, origin_number FROM orders WHERE delivery = 'sent' ORDER BY id DESC LIMIT 1"
        )
        assert order is not None, "no order to copy"
        logs = await connection.fetch("SELECT id FROM log_entries WHERE order_id = $1", order["id"])
        filled = Filled(count, order["origin_number"].partition("-")[0], 0, 0)
        for table in tables:
            row = await _text(connection, table, TABLES[table], order["id"])
            if row:
                names = [order["id"], order["origin_number"], *(log["id"] for log in logs)]
                await connection.copy_to_table(table, source=_copies(row, names, filled))
        for table in tables:
            await connection.execute(f"VACUUM (ANALYZE) {table}")
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
        return Filled(count, filled.stem, time.monotonic() - began, size / 1e9)
    finally:
        await connection.close()


async def gets(stack: BenchStack, companies: Companies, filled: Filled) -> Latency:
    """Milliseconds of `order/get` by number, one at a time, of copies drawn at random."""
    key = await stack.api_key(companies.origin, "order:read")
    rng = random.Random(1)
    taken = []
    async with httpx.AsyncClient(
        base_url=stack.http, headers={"X-API-Key": key}, trust_env=False
    ) as client:
        for _ in range(GETS):
            number = filled.number(rng.randrange(filled.count))
            at = time.monotonic()
            response = await client.post("/v1/order/get", json={"order_number": number})
            taken.append(time.monotonic() - at)
            assert response.status_code == 200, response.text
            assert response.json()["order"]["origin_order_number"] == number, response.text
    return Latency.of(taken)


async def _text(connection: asyncpg.Connection, table: str, column: str, order_id: str) -> str:
    """The rows of an order as COPY writes them."""
    parts: list[bytes] = []

    async def take(data: bytes) -> None:
        parts.append(bytes(data))

    query = f"SELECT * FROM {table} WHERE {column} = $1"
    await connection.copy_from_query(query, order_id, output=take)
    return b"".join(parts).decode()


async def _copies(row: str, names: Sequence[str], filled: Filled) -> AsyncIterator[bytes]:
    """The rows again for each copy, with names of its own: order id, number, log entries' ids."""
    parts = re.split("|".join(f"({re.escape(name)})" for name in names), row)
    texts = [part for part in parts if part is not None]
    places = [(at, names.index(text)) for at, text in enumerate(texts) if text in names]
    first = int(time.time()) - MONTH_SECONDS
    rng = random.Random(1)
    for begin in range(0, filled.count, CHUNK):
        chunk: list[str] = []
        for n in range(begin, min(begin + CHUNK, filled.count)):
            stem = f"{first + n * MONTH_SECONDS // filled.count:08x}{n & 0xFFFF:04x}"
            own = [f"{stem}{n:08x}{rng.randrange(1 << 12):03x}{at:x}" for at in range(len(names))]
            own[1] = filled.number(n)
            for at, which in places:
                texts[at] = own[which]
            chunk += texts
        yield "".join(chunk).encode()
