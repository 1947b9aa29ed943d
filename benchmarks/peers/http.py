"""The plain HTTP service: it validates with the hub's schema, inserts, and answers. Nothing else.

    python -m benchmarks.peers.http DSN PORT

FastAPI and asyncpg on uvicorn, one process, loopback. No Kafka, no mapping, no idempotency.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

import asyncpg
import orjson
import uvicorn
from fastapi import FastAPI, Request

from schemas.orders import CreateOrder

TABLE = """
CREATE TABLE IF NOT EXISTS benchmark_http_orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin_number text NOT NULL UNIQUE,
    document json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
)
"""
INSERT = "INSERT INTO benchmark_http_orders (origin_number, document) VALUES ($1, $2) RETURNING id"
PICTURES = """
CREATE TABLE IF NOT EXISTS benchmark_http_pictures (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, content bytea NOT NULL
)
"""
INSERT_PICTURE = "INSERT INTO benchmark_http_pictures (content) VALUES ($1) RETURNING id"


def application(dsn: str) -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(dsn) as pool:
            await pool.execute(TABLE)
            await pool.execute(PICTURES)
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)
    released = asyncio.Event()

    @app.post("/orders")
    async def create(order: CreateOrder, request: Request) -> dict[str, int | str]:
        document = orjson.dumps(order).decode()
        number = order["origin_order_number"]
        return {
            "status": "stored",
            "id": await request.app.state.pool.fetchval(INSERT, number, document),
        }

    @app.post("/waiting")
    async def wait(order: CreateOrder) -> dict[str, str]:
        # The least one can hold: the caller, and its order as it was read.
        await released.wait()
        return {"status": "released", "number": order["origin_order_number"]}

    @app.post("/release")
    async def release() -> dict[str, str]:
        released.set()
        return {"status": "released"}

    @app.post("/hold")
    async def hold() -> dict[str, str]:
        released.clear()
        return {"status": "held"}

    @app.post("/pictures")
    async def keep(request: Request) -> dict[str, int | str]:
        # As one writes it: the body, then the row.
        content = await request.body()
        return {
            "status": "stored",
            "id": await request.app.state.pool.fetchval(INSERT_PICTURE, content),
        }

    return app


if __name__ == "__main__":
    uvicorn.run(
        application(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning",
        access_log=False,
    )  # fmt: skip
