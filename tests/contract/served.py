"""A gateway with the real pipeline behind it, on a port of loopback, in a thread of its own."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import uvicorn

from schemas.operations import SCOPES
from tests.conftest import _copy, _drop, dsn_of
from tests.integration.gateway_world import trading
from tests.servers import Servers


@dataclass(frozen=True, slots=True)
class Served:
    """Where it is, and credentials that may do everything: ACME's, its partner's, an operator's."""

    url: str
    key: str
    client_id: str
    client_secret: str
    operator_key: str
    partners_key: str


@contextmanager
def served(servers: Servers, postgres_dsn: str, template: str) -> Iterator[Served]:
    """A gateway on a database of its own, for as long as the block."""
    name = f"served_{secrets.token_hex(4)}"
    dsn = dsn_of(postgres_dsn, name)
    servers.loop.run(_copy(postgres_dsn, template, name))
    whole = AsyncExitStack()
    try:
        yield servers.loop.run(_open(whole, dsn))
    finally:
        servers.loop.run(whole.aclose())
        servers.loop.run(_drop(postgres_dsn, name))


async def _open(whole: AsyncExitStack, dsn: str) -> Served:
    trade = await whole.enter_async_context(trading(dsn))
    everything = await trade.world.credential("acme", scopes=SCOPES)
    operator = await trade.world.credential("acme", scopes=SCOPES, operator=True)
    partner = await trade.world.credential("haul", scopes=SCOPES)
    app = trade.world.client._transport.app  # type: ignore[attr-defined]
    url = await whole.enter_async_context(_listening(app))
    return Served(
        url,
        everything.api_key,
        everything.client_id,
        everything.client_secret,
        operator.api_key,
        partner.api_key,
    )


@asynccontextmanager
async def _listening(app: object) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, lifespan="off")  # type: ignore[arg-type]
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
