"""A network between a broker and its clients that loses answers to produce requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiokafka.client
import pytest
from aiokafka.protocol.produce import ProduceRequest

from tests.integration.proxy import Proxy

_PRODUCE = ProduceRequest.API_KEY.to_bytes(2, "big")


class Forgetful(Proxy):
    """Ends a connection in the place of the answer to a produce request, `losses` times."""

    losses = 0
    lost = 0
    stays_cut = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Both are what the pumps use of them.
        asks = _Asking(reader)
        answers = _Answering(writer, asks, self)
        await super()._serve(
            cast("asyncio.StreamReader", asks), cast("asyncio.StreamWriter", answers)
        )


class _Asking:
    """The client's side; `produces` after a produce request."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.produces = False

    async def read(self, size: int) -> bytes:
        data = await self._reader.read(size)
        # Behind the length of the request; a client waits for each answer before it asks again.
        self.produces = self.produces or data[4:6] == _PRODUCE
        return data


class _Answering:
    """The server's side, as the client is to see it."""

    def __init__(self, writer: asyncio.StreamWriter, asks: _Asking, proxy: Forgetful) -> None:
        self._writer, self._asks, self._proxy = writer, asks, proxy
        self.transport = writer.transport
        self.drain = writer.drain

    def write(self, data: bytes) -> None:
        if not (self._asks.produces and self._proxy.losses):
            self._asks.produces = False
            self._writer.write(data)
            return
        self._proxy.losses -= 1
        self._proxy.lost += 1
        self.transport.abort()
        if self._proxy.stays_cut and self._proxy._server is not None:
            self._proxy._server.close()


@asynccontextmanager
async def between(kafka: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Forgetful]:
    """Have this process's connections to the broker go through a network of this kind."""
    connect = aiokafka.client.create_conn
    async with Forgetful.to(f"kafka://{kafka}") as proxy:
        there, here = int(kafka.rpartition(":")[2]), int(proxy.dsn.rpartition(":")[2])

        # By the port: the broker itself says where it is to be reached.
        async def through(host: str, port: int, **more: Any) -> Any:
            return await connect(host, here if port == there else port, **more)

        with monkeypatch.context() as patch:
            patch.setattr(aiokafka.client, "create_conn", through)
            yield proxy
            proxy.losses = 0
