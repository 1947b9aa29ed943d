"""The gateway on a real port: what becomes of a connection whose body is not read to its end."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import uvicorn

from services.gateway.bodies import Patience
from tests.integration.gateway_world import SCOPES, World, gateway


@dataclass
class Port:
    """Where the gateway listens, and a key for it."""

    number: int
    key: str

    async def ask(self, path: str, *body: bytes, **headers: str) -> bytes:
        """All that comes back until the gateway closes the connection; the body never ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        try:
            sent = {"X-API-Key": self.key, "X-Dest-Tenant-Name": "haul", **headers}
            lines = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in sent.items())
            writer.write(f"POST {path} HTTP/1.1\r\nHost: hub\r\n{lines}\r\n".encode())
            for piece in body:
                writer.write(piece)
            await writer.drain()
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def served(world: World) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    app = world.client._transport.app  # type: ignore[attr-defined]
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def port(fresh_database: str) -> AsyncIterator[Port]:
    patience = Patience(silent=0.2, body=0.5, picture=0.5)
    async with gateway(fresh_database, patience=patience) as world, served(world) as number:
        yield Port(number, await world.key("acme", scopes=SCOPES))


@pytest.mark.parametrize("path", ["/v1/order/update_status", "/v1/blobs"])
async def test_who_stops_sending_is_told_and_let_go(port: Port, path: str) -> None:
    answer = await port.ask(path, b"%PDF-", Content_Length="1000")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"came too slowly" in answer


async def test_who_drips_is_let_go_after_the_whole_time(port: Port) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
    head = f"POST /v1/blobs HTTP/1.1\r\nHost: hub\r\nX-API-Key: {port.key}\r\n"
    writer.write(head.encode() + b"Content-Length: 100000\r\n\r\n")
    answer = asyncio.create_task(reader.read())
    async with asyncio.timeout(20):
        while not answer.done():
            writer.write(b"x")
            await asyncio.wait({answer}, timeout=0.05)
    writer.close()
    assert answer.result().startswith(b"HTTP/1.1 408")


async def test_a_body_beyond_its_limit_ends_the_connection(port: Port) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    for path, chunks, length in (
        ("/v1/order/update_status", 17, "1048577"),
        ("/v1/blobs", 161, "10485761"),
    ):
        announced = await port.ask(path, Content_Length=length)
        assert announced.startswith(b"HTTP/1.1 413")
        unannounced = await port.ask(path, *([chunk] * chunks), Transfer_Encoding="chunked")
        assert unannounced.startswith(b"HTTP/1.1 413")
