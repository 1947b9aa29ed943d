"""The pipeline on a real database, fed with records as a stream would feed it.

History is given as commands: tenants, mappings and orders all come in through the pipeline.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import orjson

from services.commands.lane_loop import LaneLoop
from services.commands.pipeline import Pipeline
from services.domain.accounting import problems
from services.kit.cloudevents import Record, Source
from services.kit.database import Pool, open_pool, transaction
from services.kit.outbox import unpack_headers
from services.records import accounting

T = TypeVar("T")

MIDNIGHT_MS = 1_790_000_000_000
WAIT_SECONDS = 900.0
_BASES = {"upsert": "reference", "update": "progress", "save": "progress"}


class Hub:
    """Feeds a pipeline and looks at what it stored."""

    def __init__(self, pool: Pool, dsn: str) -> None:
        self.pool = pool
        self.pipeline = Pipeline("order-intake")
        self.lanes = LaneLoop(pool, dsn, service="order-intake", wait_seconds=WAIT_SECONDS)
        self._offsets = itertools.count()

    def record(
        self,
        operation: str,
        body: Any,
        *,
        origin: str | None = "operator",
        partner: str | None = None,
        command_id: str | None = None,
        topic: str | None = None,
        headers: Mapping[str, bytes | None] | None = None,
        value: bytes | None = None,
    ) -> Record:
        """A command record, on the topic it belongs on unless told otherwise."""
        offset = next(self._offsets)
        base = (
            f"crossroads.{_BASES.get(operation.split('.')[1].split('-', maxsplit=1)[0], 'orders')}"
        )
        all_headers: dict[str, bytes | None] = {
            "ce_specversion": b"1.0",
            "ce_id": (command_id or f"command-{offset}").encode(),
            "ce_source": b"/test",
            "ce_type": f"crossroads.{operation}.v1".encode(),
        }
        if origin is not None:
            all_headers["ce_origintenant"] = origin.encode()
        if partner is not None:
            all_headers["ce_desttenant"] = partner.encode()
        all_headers.update(headers or {})
        return Record(
            source=Source("test-cluster", topic or base, 0, offset),
            key=f"key-{offset}".encode(),
            value=orjson.dumps(body) if value is None else value,
            headers=tuple(all_headers.items()),
            timestamp_ms=MIDNIGHT_MS + offset,
        )

    async def process(self, *records: Record) -> list[dict[str, Any]]:
        """Take these records in one batch; the outgoing records it caused, in their order."""
        before = await self.pool.fetchval("SELECT coalesce(max(id), 0) FROM outbox")
        async with transaction(self.pool) as connection:
            await self.pipeline.process(connection, records)
        return await self.outgoing(before)

    async def outgoing(self, after: int = 0) -> list[dict[str, Any]]:
        """What stands in the outbox: topic, headers as text, value as JSON."""
        rows = await self.pool.fetch("SELECT * FROM outbox WHERE id > $1 ORDER BY id", after)
        return [
            {
                "id": row["id"],
                "kind": row["kind"],
                "topic": row["topic"],
                "key": row["key"],
                "headers": {
                    name: None if value is None else value.decode("utf-8", "replace")
                    for name, value in unpack_headers(row["headers"])
                },
                "value": _json(row["value"]),
                "raw": row["value"],
            }
            for row in rows
        ]

    async def reference(self, kind: str, *items: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Upsert reference data as the operator."""
        return await self.process(
            *(self.record(f"reference.upsert-{kind}", item) for item in items)
        )

    def create(self, number: str, command_id: str | None = None, **changes: Any) -> Record:
        """An order of acme's for haul."""
        return self.record(
            "order.create", order(number, **changes), command_id=command_id, **BY_ACME
        )

    def status(self, number: str, command_id: str, **said: Any) -> Record:
        """A status of haul's, on its way unless told otherwise."""
        return self.record(
            "order.update-status", status(number, **said), command_id=command_id, **BY_HAUL
        )

    def cancel(self, number: str, command_id: str, **said: Any) -> Record:
        """A cancel of acme's; of haul's with `origin` and `partner` so."""
        who = {name: said.pop(name, BY_ACME[name]) for name in BY_ACME}
        body = {"order": {"order_number": number}, **said}
        return self.record("order.cancel", body, command_id=command_id, **who)

    def accept(self, number: str, command_id: str, given: str, **said: Any) -> Record:
        """Haul accepts an order of acme's under its own number."""
        who = {name: said.pop(name, BY_HAUL[name]) for name in BY_HAUL}
        body = {"order": {"order_number": number}, "destination_order_number": given, **said}
        return self.record("order.request-accept", body, command_id=command_id, **who)

    def reject(self, number: str, command_id: str, **said: Any) -> Record:
        """Haul rejects an order of acme's by hand."""
        who = {name: said.pop(name, BY_HAUL[name]) for name in BY_HAUL}
        body = {"order": {"order_number": number}, **said}
        return self.record("order.request-reject", body, command_id=command_id, **who)

    def receipt(self, number: str, command_id: str, status: str, **said: Any) -> Record:
        """Haul's system says what became of an order."""
        who = {name: said.pop(name, BY_HAUL[name]) for name in BY_HAUL}
        body = {"order": {"order_number": number}, "status": status, **said}
        return self.record("order.receipt", body, command_id=command_id, **who)

    async def drain(self) -> list[dict[str, Any]]:
        """Let the lane loop do all there is to do; what it caused."""
        before = await self.pool.fetchval("SELECT coalesce(max(id), 0) FROM outbox")
        await self.lanes.drain()
        return await self.outgoing(before)


def _json(value: bytes | None) -> Any:
    try:
        return orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return None


def results(outgoing: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The values of the results among outgoing records."""
    return [each["value"] for each in outgoing if ".results." in each["topic"]]


def syncs(outgoing: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The sync records among outgoing records."""
    return [each for each in outgoing if ".sync." in each["topic"]]


@asynccontextmanager
async def hub(dsn: str) -> AsyncIterator[Hub]:
    """A hub on a migrated database."""
    pool = await open_pool(dsn, application_name="test hub", max_size=8)
    try:
        yield Hub(pool, dsn)
    finally:
        await pool.close()


@asynccontextmanager
async def trading(dsn: str) -> AsyncIterator[Hub]:
    """A hub on a migrated database, with acme that sends orders to haul."""
    async with hub(dsn) as opened:
        await two_companies(opened, "acme", "haul")
        yield opened


async def all_well(hub: Hub) -> None:
    """The books balance, and no work was overlooked."""
    async with transaction(hub.pool) as connection:
        assert problems(await accounting.count(connection)) == []
    assert await hub.lanes.sweep() == 0


@asynccontextmanager
async def held_open(hub: Hub, *records: Record) -> AsyncIterator[Callable[[], None]]:
    """A batch that is processed, and committed only when the returned function is called."""
    processed, release = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with transaction(hub.pool) as connection:
            await hub.pipeline.process(connection, records)
            processed.set()
            await release.wait()

    task = asyncio.create_task(hold())
    done = asyncio.ensure_future(processed.wait())
    await asyncio.wait({task, done}, return_when="FIRST_COMPLETED")
    assert processed.is_set(), task
    yield release.set
    release.set()
    await task


async def waits_for_a_lock(hub: Hub, task: asyncio.Task[Any]) -> None:
    """Return when some session waits for a lock; the task must not have ended by then."""
    async with asyncio.timeout(10):
        while not await hub.pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            assert not task.done(), "the other side did not wait"
            await asyncio.sleep(0.01)
    assert not task.done()


def started(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Something that goes on beside what follows."""
    return asyncio.create_task(work)


async def two_companies(hub: Hub, origin: str, destination: str, **pair: Any) -> None:
    """Two tenants with a pair, one site with two tanks, two products, a terminal, a supplier."""
    await hub.reference(
        "tenant",
        {"slug": origin, "name": f"{origin.upper()} Fuels", "systems": [{"name": "dispatch"}]},
        {"slug": destination, "name": f"{destination.upper()} Haul", "systems": [{"name": "tms"}]},
    )
    await hub.reference("pair", {"origin": origin, "destination": destination, **pair})
    await hub.reference("record", *master_records())
    await hub.reference("mapping", *mappings(origin, "dispatch", "o"))
    await hub.reference("mapping", *mappings(destination, "tms", "d"))


def master_records() -> list[dict[str, Any]]:
    """The master data both companies map to."""
    return [
        {"goid": "product_REGULAR", "entity": "product", "name": "Regular"},
        {"goid": "product_DIESEL", "entity": "product", "name": "Diesel"},
        {"goid": "terminal_NORTH1", "entity": "terminal", "name": "North"},
        {"goid": "company_SUPPLY", "entity": "company", "name": "Supply Co"},
        {
            "goid": "site_MAIN01",
            "entity": "site",
            "name": "Main Street",
            "tanks": [
                {"goid": "tank_MAIN01A", "number": 1, "product": "product_REGULAR"},
                {"goid": "tank_MAIN01B", "number": 2, "product": "product_DIESEL"},
            ],
        },
    ]


def mappings(tenant: str, system: str, prefix: str) -> list[dict[str, Any]]:
    """One company's words for all of it; ids begin with `prefix`."""
    words = [
        ("product", "reg", "product_REGULAR"),
        ("product", "dsl", "product_DIESEL"),
        ("terminal", "north", "terminal_NORTH1"),
        ("company", "sup", "company_SUPPLY"),
        ("site", "main", "site_MAIN01"),
    ]
    return [mapping(tenant, system, *word, prefix=prefix) for word in words]


def mapping(
    tenant: str, system: str, entity: str, word: str, goid: str, *, prefix: str
) -> dict[str, Any]:
    """One mapping of a company."""
    item: dict[str, Any] = {
        "tenant": tenant,
        "system": system,
        "entity": entity,
        "source_id": f"{prefix}-{word}",
        "source_name": f"{prefix.upper()} {word}",
        "goid": goid,
    }
    if entity == "site":
        item["tanks"] = [
            {"tank_id": "1", "product_source_id": f"{prefix}-reg", "tank_goid": "tank_MAIN01A"},
            {"tank_id": "2", "product_source_id": f"{prefix}-dsl", "tank_goid": "tank_MAIN01B"},
        ]
    return item


BY_ACME: dict[str, Any] = {"origin": "acme", "partner": "haul"}
BY_HAUL: dict[str, Any] = {"origin": "haul", "partner": "acme"}


def status(number: str, **changes: Any) -> dict[str, Any]:
    """A valid status in the destination's words."""
    said = {
        "order": {"order_number": number},
        "progress_status": "driving_to_load",
        "location": {"source_id": "d-north"},
        **changes,
    }
    return {member: value for member, value in said.items() if value is not ...}


def bol(number: str, **changes: Any) -> dict[str, Any]:
    """A valid bill of lading of one line in the destination's words."""
    return {
        "order": {"order_number": number},
        "bol_number": "B-1",
        "terminal": {"source_id": "d-north"},
        "bol_date": "2026-11-23T09:00:00Z",
        "details": [
            {
                "supplier": {"source_id": "d-sup"},
                "product": {"source_id": "d-reg"},
                "net_volume": 4987.25,
                "gross_volume": 5000,
            }
        ],
        **changes,
    }


def late_drops() -> list[dict[str, Any]]:
    """Drops whose product the origin has not mapped yet."""
    [drop] = order("")["drops"]
    return [{**drop, "product": {"source_id": "o-late"}}]


# What closes the gap of `late_drops`.
LATE_PRODUCT = ("acme", "dispatch", "product", "late", "product_REGULAR")


def order(number: str, **changes: Any) -> dict[str, Any]:
    """A valid order of one drop in the origin's words."""
    return {
        "origin_order_number": number,
        "delivery_window": {"start": "2026-11-23T08:00:00Z", "end": "2026-11-23T12:00:00Z"},
        "drops": [
            {
                "site": {"source_id": "o-main", "tank_id": "1"},
                "product": {"source_id": "o-reg"},
                "volume": 5000,
            }
        ],
        **changes,
    }
