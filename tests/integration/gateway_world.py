"""A gateway on a real database, with a broker that the test answers for."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from services.gateway.board import AnswerBoard
from services.gateway.hub import Hub, look_in
from services.gateway.rates import Rates
from services.gateway.routes import application
from services.gateway.sending import OutgoingCommand
from services.kit.database import Pool, open_pool, transaction
from services.kit.errors import BrokerAway
from services.kit.health import Health
from services.kit.listening import Listener
from services.kit.outbox import PUBLISHED_CHANNEL
from services.records import credentials

ORDER = {
    "origin_order_number": "A-1",
    "delivery_window": {"start": "2026-05-11T08:00:00Z", "end": "2026-05-11T12:00:00Z"},
    "drops": [{"site": {"source_id": "S1", "tank_id": "1"}, "volume": 7500}],
}
BODY = {"status": "synced", "message": None, "log": None, "order": {"po": "first"}}


@dataclass
class Broker:
    """Takes commands for the test to see; `away` makes it fail, `answers` answers at once."""

    pool: Pool
    sent: list[OutgoingCommand] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    away: bool = False
    body: dict[str, Any] | None = None

    async def send(self, commands: Sequence[OutgoingCommand]) -> None:
        if self.away:
            raise BrokerAway
        self.sent += commands
        for command in commands:
            if self.body is not None:
                await settle(self.pool, command, self.body)
        self.arrived.set()

    async def answers(self) -> bool:
        return not self.away


@dataclass
class World:
    """One gateway and what stands around it."""

    pool: Pool
    broker: Broker
    board: AnswerBoard
    client: httpx.AsyncClient
    dsn: str

    async def credential(
        self, *tenants: str, scopes: Sequence[str], operator: bool = False
    ) -> credentials.NewCredential:
        async with transaction(self.pool) as connection:
            return await credentials.create(
                connection, tenants=tenants, scopes=scopes, operator=operator
            )

    async def tenant(self, slug: str, name: str) -> str:
        """Store a tenant with one system; its id."""
        id_ = slug.encode().hex()[:24].ljust(24, "0")
        systems = [{"id": f"{id_[:-1]}s", "name": "Main", "primary": True, "instances": []}]
        await self.pool.execute(
            "INSERT INTO tenants (id, slug, name, systems) VALUES ($1, $2, $3, $4)",
            id_,
            slug,
            name,
            orjson.dumps(systems).decode(),
        )
        return id_

    async def key(
        self, slug: str, *, scopes: Sequence[str] = ("order:create", "order:read")
    ) -> str:
        """An API key of a new tenant."""
        await self.tenant(slug, f"Name of {slug}")
        return (await self.credential(slug, scopes=scopes)).api_key

    async def create(
        self, key: str, body: Any = None, *, partner: str | None = "other", **headers: str
    ) -> httpx.Response:
        sent = {"X-API-Key": key, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if partner is not None:
            sent["X-Dest-Tenant-Name"] = partner
        content = body if isinstance(body, bytes) else orjson.dumps(ORDER if body is None else body)
        return await self.client.post("/v1/order/create", content=content, headers=sent)


async def settle(
    pool: Pool,
    command: OutgoingCommand,
    body: dict[str, Any],
    *,
    outcome: str = "done",
    status: int = 200,
    result_id: int = 0,
) -> None:
    """Store a command's answer as the pipeline does; an outbox id of 0 counts as published."""
    await pool.execute(
        "INSERT INTO commands (tenant_id, command_id, fingerprint, operation, outcome,"
        " http_status, body, result_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        " ON CONFLICT (tenant_id, command_id) DO NOTHING",
        command.tenant_id,
        command.id,
        command.fingerprint,
        command.type,
        outcome,
        status,
        orjson.dumps(body).decode(),
        result_id,
    )


@asynccontextmanager
async def gateway(dsn: str, *, rate_limit: str | None = None) -> AsyncIterator[World]:
    """A running gateway, but for its port."""
    stopping = asyncio.Event()
    async with await open_pool(dsn, application_name="test", max_size=4) as pool:
        broker = Broker(pool)
        board = AnswerBoard(look_in(pool))
        listener = Listener(dsn, [PUBLISHED_CHANNEL], application_name="test")
        app = application(Hub(pool, pool, broker, board, Rates(rate_limit)), Health())
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            work = [
                asyncio.create_task(board.run(stopping)),
                asyncio.create_task(board.announce(listener, stopping)),
                asyncio.create_task(listener.run(stopping)),
            ]
            try:
                yield World(pool, broker, board, client, dsn)
            finally:
                stopping.set()
                await asyncio.gather(*work)
