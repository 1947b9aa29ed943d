"""A network between a broker and its clients that loses answers to requests of one kind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiokafka.client
import pytest
from aiokafka.protocol.produce import ProduceRequest

from tests.integration.proxy import Proxy


class Forgetful(Proxy):
    """Ends a connection in the place of the answer to a request of the kind `key`, `losses` times.

    With it go the answers to whatever was asked beside it.
    """

    key = ProduceRequest.API_KEY
    losses = 0
    lost = 0
    stays_cut = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Both are what the pumps use of them.
        asks = _Asking(reader, self)
        answers = _Answering(writer, asks, self)
        await super()._serve(
            cast("asyncio.StreamReader", asks), cast("asyncio.StreamWriter", answers)
        )


class _Asking:
    """The client's side; `asked` after a request of the kind whose answer may be lost."""

    def __init__(self, reader: asyncio.StreamReader, proxy: Forgetful) -> None:
        self._reader = reader
        self._proxy = proxy
        self._rest = b""
        self._skip = 0
        self.asked = False

    async def read(self, size: int) -> bytes:
        data = await self._reader.read(size)
        self._rest += data
        # A request: its length, then its kind.
        while len(self._rest) >= self._skip + 6:
            head = self._rest[self._skip : self._skip + 6]
            kind = int.from_bytes(head[4:], "big")
            self.asked = self.asked or kind == self._proxy.key
            self._rest = self._rest[self._skip :]
            self._skip = 4 + int.from_bytes(head[:4], "big")
        return data


class _Answering:
    """The server's side, as the client is to see it."""

    def __init__(self, writer: asyncio.StreamWriter, asks: _Asking, proxy: Forgetful) -> None:
        self._writer, self._asks, self._proxy = writer, asks, proxy
        self.transport = writer.transport
        self.drain = writer.drain

    def write(self, data: bytes) -> None:
        if not (self._asks.asked and self._proxy.losses):
            self._asks.asked = False
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
