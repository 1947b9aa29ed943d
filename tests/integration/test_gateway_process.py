"""The gateway as a process of its own: callers that vanish, a broker that is away, SIGTERM."""

import asyncio
import os
import resource
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import httpx
import orjson
import psutil

from schemas.topics import ORDERS
from services.gateway.board import MOST_CALLERS
from services.kit.settings import Settings
from services.records import credentials
from tests.integration.hub import order
from tests.integration.test_gateway_whole import records

READY_SECONDS = 30


@dataclass
class Gateway:
    """A running `crossroads run gateway`."""

    process: asyncio.subprocess.Process
    port: int

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=60)


@asynccontextmanager
async def running(dsn: str, kafka: str, **extra: str) -> AsyncIterator[Gateway]:
    environment: Mapping[str, str] = {
        **os.environ,
        "CROSSROADS_DATABASE_URL": dsn,
        "CROSSROADS_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "CROSSROADS_HTTP_PORT": "0",
        **extra,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.cli", "--data", "/nonexistent", "run", "gateway"),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(READY_SECONDS):
            async for line in process.stderr:
                if b'"listening"' in line:
                    port = orjson.loads(line)["port"]
                    break
            else:
                raise AssertionError("the gateway ended before it listened")
        reading = asyncio.create_task(process.stderr.read())
        yield Gateway(process, port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    await reading


async def key(dsn: str) -> dict[str, str]:
    """The headers of a new tenant's credential, with another tenant named."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "INSERT INTO tenants (id, slug, name) VALUES ('1', 'acme', 'ACME Fuels')"
        )
        async with connection.transaction():
            made = await credentials.create(
                connection,
                tenants=["acme"],
                scopes=["order:create"],
                operator=False,
            )
    finally:
        await connection.close()
    return {"X-API-Key": made.api_key, "X-Dest-Tenant-Name": "blue"}


async def ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.05)


async def test_a_gateway_may_have_a_connection_open_for_each_caller_there_is_room_for(
    fresh_database: str, kafka: str
) -> None:
    """Or as many as its hard limit allows: most systems start a process with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        async with running(fresh_database, kafka) as gateway:
            allowed, _ = psutil.Process(gateway.process.pid).rlimit(psutil.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    most = MOST_CALLERS if hard == resource.RLIM_INFINITY else min(MOST_CALLERS, hard)
    assert allowed >= most


async def test_a_caller_that_vanishes_leaves_its_command_and_sigterm_lets_the_others_go(
    fresh_database: str, kafka: str
) -> None:
    settings = Settings(database_url=fresh_database, kafka_bootstrap_servers=kafka)
    headers = await key(fresh_database)
    async with (
        records(settings, ORDERS) as topic,
        running(fresh_database, kafka) as gateway,
        gateway.client() as client,
    ):
        await ready(client)
        body = orjson.dumps(order("A-1"))
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        lines = [
            "POST /v1/order/create HTTP/1.1",
            "Host: gateway",
            f"Content-Length: {len(body)}",
            "Prefer: wait=60",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        async with asyncio.timeout(20):
            assert (await topic.getone()).value == body
        writer.transport.abort()

        asked = asyncio.create_task(
            client.post(
                "/v1/order/create", json=order("A-2"), headers={**headers, "Prefer": "wait=60"}
            )
        )
        async with asyncio.timeout(20):
            assert (await topic.getone()).key == b"A-2"
        gateway.process.terminate()
        answer = await asked
        assert (answer.status_code, answer.json()["status"]) == (200, "pending")
        async with asyncio.timeout(15):
            assert await gateway.process.wait() == 0


async def test_without_a_broker_it_is_alive_not_ready_and_answers_503(
    fresh_database: str,
) -> None:
    headers = await key(fresh_database)
    async with running(fresh_database, "127.0.0.1:1") as gateway, gateway.client() as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        answer = await client.post("/v1/order/create", json=order("A-1"), headers=headers)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        gateway.process.terminate()
        async with asyncio.timeout(15):
            assert await gateway.process.wait() == 0
