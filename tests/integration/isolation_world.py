"""Three tenants: two trade, and whatever they say carries a word that the third must never meet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from schemas.operations import OPERATIONS, SCOPES, Operation
from services.kit.database import Pool
from tests.integration.gateway_world import Taken, World, gateway
from tests.integration.hub import Hub, mapping, mappings, order, two_companies
from tests.integration.hub import hub as hub_of

CANARY = "kanari"
# Volumes can only say it in digits.
CANARY_VOLUME = 739157
NUMBER = f"{CANARY}-no-1"
GIVEN_NUMBER = f"{CANARY}-no-2"
SECRETS = (CANARY, str(CANARY_VOLUME))
REQUESTED_NUMBER = f"{CANARY}-no-3"
# As long as the others, so that answers are as long, too.
NO_NUMBER = "nobody-no-0"
NOWHERE = "0" * 24
PDF = b"%PDF-1.7\r\n" + CANARY.encode() * 9

_SITE = {"source_id": f"{CANARY}-main"}
_CREATE = order(
    NUMBER,
    po=f"{CANARY} po",
    note=f"{CANARY} note",
    extra_data={CANARY: [f"{CANARY} extra", CANARY_VOLUME]},
    supply_owner={"source_id": f"{CANARY}-sup", "source_name": f"{CANARY} says so"},
    drops=[
        {
            "site": {**_SITE, "tank_id": "1"},
            "product": {"source_id": f"{CANARY}-reg"},
            "volume": CANARY_VOLUME,
            "extra_data": {"gate": f"{CANARY} gate"},
            "loads": [{"terminal": {"source_id": f"{CANARY}-north"}, "contract": f"{CANARY}-c",
                       "price_type": "contract"}],
        }
    ],
)  # fmt: skip
_STATUS = {
    "progress_status": "arrived_at_load",
    "location": {"source_id": "d-north", "source_name": f"{CANARY} rack"},
    "assigned_to": f"{CANARY} driver",
    "hauled_by": f"{CANARY} carrier",
}
_BOL = {
    "bol_number": f"{CANARY}-bol",
    "terminal": {"source_id": "d-north"},
    "bol_date": "2026-11-23T09:30:00Z",
    "details": [
        {
            "supplier": {"source_id": "d-sup"},
            "product": {"source_id": "d-reg"},
            "net_volume": CANARY_VOLUME,
            "gross_volume": CANARY_VOLUME,
        }
    ],
}
_DROP = {
    "site": {"source_id": "d-main"},
    "mode": "append",
    "details": [
        {
            "product": {"source_id": "d-reg"},
            "quantity": CANARY_VOLUME,
            "tank": {"tank_id": "1"},
            "post_drop_time": "2026-11-23T11:00:00Z",
        }
    ],
}
_GAP = {"source_id": f"{CANARY}-unmapped"}

# Members of every operation at once: each takes its own, and names the others as ignored (K31).
_BODY = {
    **_STATUS,
    **_BOL,
    "location": {"source_id": "e-north"},
    "terminal": {"source_id": "e-north"},
    "site": {"source_id": "e-main"},
    "mode": "append",
    "details": [
        {
            "supplier": {"source_id": "e-sup"},
            "product": {"source_id": "e-reg"},
            "net_volume": 1,
            "gross_volume": 1,
            "quantity": 1,
            "post_drop_time": "2026-11-23T11:00:00Z",
        }
    ],
    "assigned_to": "Eve",
    "hauled_by": "Eve",
    "bol_number": "E-1",
    "file_name": "e.pdf",
    "content": "JVBERi0xLjcK",
    "status": "received",
    "destination_order_number": "E-2",
    "reason_code": "e",
    "note": "mine now",
}
_OVERRIDES: dict[str, dict[str, Any]] = {"change.all": {"status": "requested"}}


@dataclass
class Strangers:
    """ACME's orders for Haul with papers and changes, and the keys and ids around them.

    `change_ids` are by what became of them: `rejected` and `requested`.
    """

    world: World
    pipe: Hub
    keys: Mapping[str, str]
    order_id: str = ""
    requested_id: str = ""
    blob_id: str = ""
    change_ids: Mapping[str, str] = field(default_factory=dict)
    tenant_ids: dict[str, str] = field(default_factory=dict)

    async def told(self, who: str, path: str, body: Any, partner: str, **headers: str) -> Any:
        """What a command of one of the two is answered, which must be a 200."""
        response = await self.world.ask(self.keys[who], path, body, partner=partner, **headers)
        assert response.status_code == 200, response.text
        return response.json()

    async def by_eve(
        self, operation: Operation, body: Mapping[str, Any], partner: str = "acme"
    ) -> httpx.Response:
        """Eve asks for an operation."""
        headers = {"X-API-Key": self.keys["eve"], "Prefer": "wait=0.4"}
        if operation.base is not None:
            headers["X-Dest-Tenant-Name"] = partner
        return await self.world.client.request(
            operation.method, operation.path, content=orjson.dumps(body), headers=headers
        )

    async def everything_stored_for(self, tenant: str) -> str:
        """All of a tenant's log entries, answers and lanes, and the records on its topics."""
        id_ = self.tenant_ids[tenant]
        pool, texts = self.world.pool, []
        for table in ("log_entries", "commands", "lane_commands", "gaps"):
            rows = await pool.fetch(f"SELECT t::text FROM {table} AS t WHERE tenant_id = $1", id_)
            texts += [row[0] for row in rows]
        for record in await self.pipe.outgoing():
            if record["topic"].endswith(f".{tenant}"):
                texts.append(str(record))
        return "\n".join(texts)


def served() -> Iterator[Operation]:
    """The operations on orders that the hub takes by now."""
    for operation in OPERATIONS:
        if (
            operation.name.startswith(("order.", "change."))
            and operation.document is not None
            and operation.name != "order.create"
        ):
            yield operation


def body_of(operation: Operation, order: Mapping[str, str]) -> dict[str, Any]:
    """A body that names an order and passes the operation's schema."""
    return {**_BODY, **_OVERRIDES.get(operation.name, {}), "order": dict(order), **order}


def bodies_by_number(operation: Operation, number: str) -> Iterator[dict[str, Any]]:
    """Bodies that name an order by its number, each way the operation has."""
    if operation.name == "change.all":
        yield {"order_numbers": [number]}
    elif operation.name in {"change.accept", "change.reject"}:
        for side in ("origin", "destination"):
            yield {**_BODY, "order": {f"{side}_order_number": number}}
    else:
        yield body_of(operation, {"order_number": number})


def secrets_in(text: str, *own: str) -> list[str]:
    """The canaries in a text, beside what the asker said itself."""
    for word in own:
        text = text.replace(word, "")
    return [secret for secret in SECRETS if secret in text]


@contextmanager
def counted(pools: Sequence[Pool]) -> Iterator[list[str]]:
    """The statements that these pools' connections run."""
    statements: list[str] = []

    def note(record: Any) -> None:
        statements.append(record.query)

    holders: list[Any] = [holder for pool in pools for holder in getattr(pool, "_holders")]  # noqa: B009
    connections = [holder._con for holder in holders if holder._con is not None]
    for connection in connections:
        connection.add_query_logger(note)
    try:
        yield statements
    finally:
        for connection in connections:
            connection.remove_query_logger(note)


@asynccontextmanager
async def strangers(dsn: str) -> AsyncIterator[Strangers]:
    """ACME trades with Haul and with Eve; Eve and Haul have nothing to do with each other."""
    async with hub_of(dsn) as pipe, gateway(dsn, pipe=pipe) as world:
        await two_companies(pipe, "acme", "haul")
        await pipe.reference(
            "tenant",
            {"slug": "haul", "name": f"{CANARY} Haul", "systems": [{"name": "tms"}]},
            {"slug": "eve", "name": "EVE Haul", "systems": [{"name": "tms"}]},
        )
        await pipe.reference("pair", {"origin": "acme", "destination": "eve"})
        await pipe.reference("mapping", *mappings("eve", "tms", "e"))
        words = (("product", "reg", "product_REGULAR"), ("terminal", "north", "terminal_NORTH1"),
                 ("company", "sup", "company_SUPPLY"), ("site", "main", "site_MAIN01"))  # fmt: skip
        await pipe.reference(
            "mapping", *(mapping("acme", "dispatch", *word, prefix=CANARY) for word in words)
        )
        await world.pool.execute("DELETE FROM outbox")
        keys = {
            slug: (await world.credential(slug, scopes=SCOPES)).api_key
            for slug in ("acme", "haul", "eve")
        }
        made = Strangers(world, pipe, keys)
        rows = await world.pool.fetch("SELECT slug, id FROM tenants")
        made.tenant_ids = {row["slug"]: row["id"] for row in rows}
        await _trade(made)
        yield made


async def _trade(made: Strangers) -> None:
    """An order with status, papers, a picture, a gap, and every word of it a canary."""
    secret_key = {"Idempotency_Key": f"{CANARY}-key", "X_Correlation_ID": f"{CANARY}-correlation"}
    await made.told("acme", "order/create", _CREATE, "haul", **secret_key)
    found = await made.told("haul", "order/get", {"order_number": NUMBER}, "acme")
    made.order_id = found["_id"]
    named = {"order": {"order_number": NUMBER}}
    for path, body in (("update_status", _STATUS), ("save_bol", _BOL), ("save_drop", _DROP)):
        await made.told("haul", f"order/{path}", {**named, **body}, "acme")
    picture = await made.world.client.post(
        "/v1/order/save_bol_image",
        data={"order_number": NUMBER, "bol_number": f"{CANARY}-bol", "note": f"{CANARY} note"},
        files={"file": (f"{CANARY}.pdf", PDF)},
        headers={"X-API-Key": made.keys["haul"], "X-Dest-Tenant-Name": "acme"},
    )
    assert picture.status_code == 200, picture.text
    made.blob_id = picture.json()["bol_photo"]["blob_id"]
    received = {**named, "status": "received", "destination_order_number": GIVEN_NUMBER,
                "reason_code": f"{CANARY} code", "message": f"{CANARY} receipt"}  # fmt: skip
    await made.told("haul", "order/receipt", received, "acme")
    made.change_ids = await _changes(made, named)
    await _requested(made)
    waits = {**_STATUS, **named, "location": _GAP}
    assert (await made.told("haul", "order/update_status", waits, "acme"))["status"] != "synced"
    assert isinstance(made.world.broker, Taken)
    await made.world.broker.publish()


async def _changes(made: Strangers, named: Mapping[str, Any]) -> dict[str, str]:
    """A change that a second one supersedes."""
    proposed = [
        (await made.told("haul", "order/change/create", {**named, "note": note}, "acme"))
        for note in (f"{CANARY} change", f"{CANARY} other change")
    ]
    old, new = (each["order_change"]["id"] for each in proposed)
    return {"rejected": old, "requested": new}


async def _requested(made: Strangers) -> None:
    """An order that Haul has not accepted yet."""
    pair = {"origin": "acme", "destination": "haul"}
    await made.pipe.reference("pair", {**pair, "acceptance": "manual"})
    created = {**_CREATE, "origin_order_number": REQUESTED_NUMBER}
    assert (await made.told("acme", "order/create", created, "haul"))["status"] == "requested"
    await made.pipe.reference("pair", {**pair, "acceptance": "auto"})
    found = await made.told("haul", "order/get", {"order_number": REQUESTED_NUMBER}, "acme")
    made.requested_id = found["_id"]
