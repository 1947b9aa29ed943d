"""The plain service: what most people would write first for the same task.

    python -m benchmarks.peers.plain KAFKA DSN IN_TOPIC OUT_TOPIC ORIGIN DESTINATION

FastStream with its defaults, a record at a time; a pydantic model; one transaction that inserts the
order and looks each key up in the hub's own tables of mappings; then the order in the destination's
words goes to its topic. It knows no waiting, no answer, and no outbox: what was stored and not
published when it died is lost to the destination. Until SIGTERM.
"""

import asyncio
import signal
import sys
from datetime import datetime
from typing import Any

import asyncpg
import orjson
from faststream.kafka import KafkaBroker
from pydantic import BaseModel

TABLE = """
CREATE TABLE IF NOT EXISTS benchmark_plain_orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin_number text NOT NULL UNIQUE,
    document jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
)
"""
INSERT = """
INSERT INTO benchmark_plain_orders (origin_number, document) VALUES ($1, $2)
ON CONFLICT (origin_number) DO NOTHING RETURNING id
"""
SYSTEM = """
SELECT t.id, coalesce((SELECT s ->> 'name' FROM json_array_elements(t.systems) AS s LIMIT 1), '')
FROM tenants AS t WHERE t.slug = $1
"""
BY_SOURCE = """
SELECT goid, tanks FROM mappings
WHERE tenant_id = $1 AND system = $2 AND entity = $3 AND source_id = $4
"""
BY_GOID = """
SELECT source_id, source_name, tanks FROM mappings
WHERE tenant_id = $1 AND system = $2 AND goid = $3 ORDER BY is_primary DESC, age LIMIT 1
"""


class Key(BaseModel):
    """A key as it is given."""

    source_id: str
    source_name: str | None = None


class SiteKey(Key):
    tank_id: str | None = None
    product_source_id: str | None = None


class Load(BaseModel):
    terminal: Key | None = None
    supplier: Key | None = None
    price_type: str | None = None


class Drop(BaseModel):
    site: SiteKey
    product: Key | None = None
    volume: int
    loads: list[Load] = []


class Window(BaseModel):
    start: datetime
    end: datetime
    timezone: str = "UTC"


class Order(BaseModel):
    origin_order_number: str
    po: str | None = None
    delivery_window: Window
    note: str | None = None
    drops: list[Drop]
    extra_data: dict[str, Any] = {}


class Mapper:
    """Looks keys up, one by one, from the origin's words to the destination's."""

    def __init__(self, connection: Any, origin: tuple[str, str], target: tuple[str, str]) -> None:
        self._connection = connection
        self._origin = origin
        self._target = target

    async def order(self, order: Order) -> Order:
        drops = [await self._drop(drop) for drop in order.drops]
        return order.model_copy(update={"drops": drops})

    async def _drop(self, drop: Drop) -> Drop:
        return Drop(
            site=await self._site(drop.site),
            product=await self._key("product", drop.product),
            volume=drop.volume,
            loads=[
                Load(
                    terminal=await self._key("terminal", load.terminal),
                    supplier=await self._key("company", load.supplier),
                    price_type=load.price_type,
                )
                for load in drop.loads
            ],
        )

    async def _key(self, entity: str, key: Key | None) -> Key | None:
        if key is None:
            return None
        found = await self._connection.fetchrow(BY_SOURCE, *self._origin, entity, key.source_id)
        other = await self._connection.fetchrow(BY_GOID, *self._target, found["goid"])
        return Key(source_id=other["source_id"], source_name=other["source_name"])

    async def _site(self, key: SiteKey) -> SiteKey:
        found = await self._connection.fetchrow(BY_SOURCE, *self._origin, "site", key.source_id)
        other = await self._connection.fetchrow(BY_GOID, *self._target, found["goid"])
        tank = next(
            (
                tank["tank_goid"]
                for tank in orjson.loads(found["tanks"])
                if key.tank_id == tank["tank_id"]
                or (key.tank_id is None and key.product_source_id == tank["product_source_id"])
            ),
            None,
        )
        told = next((t for t in orjson.loads(other["tanks"]) if t["tank_goid"] == tank), None)
        return SiteKey(
            source_id=other["source_id"],
            source_name=other["source_name"],
            tank_id=told and told["tank_id"],
            product_source_id=told and told["product_source_id"],
        )


async def main(kafka: str, dsn: str, topics: tuple[str, str], tenants: tuple[str, str]) -> None:
    source, target = topics
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    pool = await asyncpg.create_pool(dsn)
    await pool.execute(TABLE)
    sides = [await pool.fetchrow(SYSTEM, slug) for slug in tenants]
    mine, theirs = [(side[0], side[1]) for side in sides if side is not None]
    broker = KafkaBroker(kafka, logger=None)
    publisher = broker.publisher(target)

    @broker.subscriber(source, group_id="benchmark-plain", auto_offset_reset="earliest")
    async def create(order: Order) -> None:
        async with pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(
                INSERT, order.origin_order_number, order.model_dump_json()
            ):
                mapped = await Mapper(connection, mine, theirs).order(order)
            else:
                return
        await publisher.publish(mapped, key=order.origin_order_number.encode())

    await broker.start()
    print("ready", flush=True)
    await ended.wait()
    await broker.stop()
    await pool.close()


if __name__ == "__main__":
    of_kafka, of_database, *names = sys.argv[1:7]
    asyncio.run(main(of_kafka, of_database, (names[0], names[1]), (names[2], names[3])))
