"""A gateway on a real database, with a broker that the test answers for."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from schemas import operations
from services.gateway.board import AnswerBoard
from services.gateway.bodies import Patience
from services.gateway.hub import Hub, Reader, look_in
from services.gateway.rates import Rates
from services.gateway.routes import application
from services.gateway.sending import OutgoingCommand
from services.kit.cloudevents import Record, Source
from services.kit.database import Pool, open_pool, transaction
from services.kit.errors import BrokerAway
from services.kit.health import Health
from services.kit.listening import Listener
from services.kit.outbox import PUBLISHED_CHANNEL
from services.kit.reading_role import open_reading_pool
from services.records import credentials
from tests.integration.hub import MIDNIGHT_MS, mappings, order, two_companies
from tests.integration.hub import Hub as Pipe
from tests.integration.hub import hub as hub_of

# All that a tenant's system does with orders.
SCOPES = tuple(scope for scope in operations.SCOPES if scope.startswith("order"))
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
class Taken(Broker):
    """Hands every command to the real pipeline, and publishes at once what it causes.

    With `keep` nothing is published: what was caused stands in the outbox.
    """

    pipe: Pipe | None = None
    keep: bool = False
    offsets: "itertools.count[int]" = field(default_factory=itertools.count)

    async def send(self, commands: Sequence[OutgoingCommand]) -> None:
        await super().send(commands)
        assert self.pipe is not None
        for command in commands:
            offset = next(self.offsets)
            await self.pipe.process(
                Record(
                    source=Source("gateway-cluster", command.topic, 0, offset),
                    key=command.key.encode(),
                    value=command.value,
                    headers=tuple(command.headers()),
                    timestamp_ms=MIDNIGHT_MS + offset * 1000,
                )
            )
        await self.publish()

    async def publish(self) -> None:
        """Let the broker have all there is."""
        if self.keep:
            return
        async with transaction(self.pool) as connection:
            await connection.execute("DELETE FROM outbox")
            await connection.execute(f"NOTIFY {PUBLISHED_CHANNEL}")


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

    async def ask(
        self, key: str, path: str, body: Any, *, partner: str | None = None, **headers: str
    ) -> httpx.Response:
        """POST a JSON body below /v1/."""
        sent = {"X-API-Key": key, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if partner is not None:
            sent["X-Dest-Tenant-Name"] = partner
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return await self.client.post(f"/v1/{path}", content=content, headers=sent)

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
async def gateway(
    dsn: str,
    *,
    rate_limit: str | None = None,
    patience: Patience | None = None,
    pipe: Pipe | None = None,
) -> AsyncIterator[World]:
    """A running gateway, but for its port; with `pipe` its commands are really done."""
    stopping = asyncio.Event()
    async with (
        await open_pool(dsn, application_name="test", max_size=4) as pool,
        await open_reading_pool(dsn, application_name="test", max_size=4) as reading,
    ):
        broker = Broker(pool) if pipe is None else Taken(pool, pipe=pipe)
        board = AnswerBoard(look_in(pool))
        listener = Listener(dsn, [PUBLISHED_CHANNEL], application_name="test")
        hub = Hub(
            pool, Reader(reading), broker, board, Rates(rate_limit), patience=patience or Patience()
        )
        app = application(hub, Health())
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


@dataclass
class Trade:
    """A gateway, the pipeline behind it, and a key for each of three companies."""

    world: World
    pipe: Pipe
    acme: str
    haul: str
    eve: str

    async def ordered(self, number: str = "A1", to: str = "haul", **changes: Any) -> str:
        """The id of an order that ACME created and that was sent to Haul, or to Eve."""
        response = await self.world.ask(
            self.acme, "order/create", order(number, **changes), partner=to
        )
        assert (response.status_code, response.json()["status"]) == (200, "synced"), response.text
        found = await self.world.ask(self.acme, "order/get", {"order_number": number}, partner=to)
        order_id: str = found.json()["_id"]
        return order_id


@asynccontextmanager
async def trading(dsn: str) -> AsyncIterator[Trade]:
    """A gateway with the real pipeline behind it; ACME sends orders to Haul, and some to Eve."""
    async with hub_of(dsn) as pipe, gateway(dsn, pipe=pipe) as world:
        await two_companies(pipe, "acme", "haul")
        eve = {"slug": "eve", "name": "EVE Haul", "systems": [{"name": "tms"}]}
        await pipe.reference("tenant", eve)
        await pipe.reference("pair", {"origin": "acme", "destination": "eve"})
        await pipe.reference("mapping", *mappings("eve", "tms", "d"))
        await pipe.pool.execute("DELETE FROM outbox")
        keys = [
            (await world.credential(slug, scopes=SCOPES)).api_key
            for slug in ("acme", "haul", "eve")
        ]
        yield Trade(world, pipe, *keys)
