"""How the demonstration's companies send: aiokafka and httpx, as anybody would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer

from services.cli.demo.broken import BrokenRecord, Headers, command_headers
from services.cli.demo.day import DayOrder
from services.cli.demo.trade import ORIGIN
from services.cli.demo.trips import Step

ORDERS = "crossroads.orders"
PROGRESS = "crossroads.progress"
CHANGES = "crossroads.changes"
REFERENCE = "crossroads.reference"
_TYPES = {"tenants": "tenant", "pairs": "pair", "records": "record", "mappings": "mapping"}
_CONCURRENT_REQUESTS = 8
# What HTTP may say of a valid command at once; `pending` while the process that decides is dead.
HONEST = {"pending", "origin_mapped", "master_mapped", "destination_mapped", "synced"}

# A new tenant's topics are served within ten seconds, on a slow machine too.
PATIENT = {"Prefer": "wait=25"}

Position = tuple[str, int, int]
Outgoing = tuple[str, bytes, bytes, Headers]


@dataclass(frozen=True, slots=True)
class ReferenceItem:
    """One upsert: its list in the file form, and its body."""

    list: str
    body: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The ce_type."""
        return f"crossroads.reference.upsert-{_TYPES[self.list]}.v1"


@dataclass(frozen=True, slots=True)
class Command:
    """What a tenant asks of the order it calls by `number`; `partner` is the other side."""

    tenant: str
    partner: str
    operation: str
    id: str
    number: str
    body: Mapping[str, Any]


class Upstream:
    """The senders of the story."""

    def __init__(self, bootstrap_servers: str, http: str) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers, acks="all", max_request_size=2 * 1024 * 1024
        )
        self.client = httpx.AsyncClient(base_url=http, timeout=30, trust_env=False)
        self._gate = asyncio.Semaphore(_CONCURRENT_REQUESTS)

    async def start(self) -> None:
        """Connect to the broker."""
        await self._producer.start()

    async def stop(self) -> None:
        """Hand over what is left, and disconnect."""
        await self._producer.stop()
        await self.client.aclose()

    async def send(self, topic: str, key: bytes, value: bytes, headers: Headers) -> Position:
        """Send one record; returns where it stands once the broker has acknowledged it."""
        [position] = await self._send_all([(topic, key, value, headers)])
        return position

    async def order(self, order: DayOrder) -> Position:
        """An order on the sender's own topic: the suffix says who it is."""
        [position] = await self.records([order])
        return position

    async def records(self, records: Sequence[DayOrder | BrokenRecord]) -> list[Position]:
        """The records of a day that go by topic, in their order; where each of them stands."""
        return await self._send_all([_record(record) for record in records])

    async def reference(
        self, items: Sequence[ReferenceItem], run: str, *, tenant: str | None = None
    ) -> None:
        """Upserts: as the operator, or as a tenant on its own topic."""
        topic = REFERENCE if tenant is None else f"{REFERENCE}.{tenant}"
        sent = []
        for at, item in enumerate(items):
            headers: Headers = [
                ("ce_specversion", b"1.0"),
                ("ce_id", f"{run}-{at:04}".encode()),
                ("ce_source", b"/crossroads/demo"),
                ("ce_type", item.kind.encode()),
            ]
            if tenant is None:
                headers.append(("ce_origintenant", b"operator"))
            key = json.dumps(item.body, sort_keys=True)[:200].encode()
            sent.append((topic, key, json.dumps(item.body).encode(), headers))
        await self._send_all(sent)

    async def http_order(
        self,
        body: Mapping[str, Any],
        key: str,
        *,
        destination: str,
        command_id: str,
        system: str | None = None,
        patient: bool = True,
    ) -> httpx.Response:
        """An order over HTTP; a few at a time. Who is not `patient` waits as long as anybody."""
        headers = {
            "X-API-Key": key,
            "X-Dest-Tenant-Name": destination,
            "Idempotency-Key": command_id,
        }
        if system is not None:
            headers["X-Origin-System-Name"] = system
        if patient:
            headers |= PATIENT
        async with self._gate:
            return await self.client.post("/v1/order/create", json=dict(body), headers=headers)

    async def steps(self, hauler: str, number: str, steps: Sequence[Step]) -> None:
        """What a hauler says of one order: on its own topic, and in order, for the key is one."""
        await self._send_all([_step_record(hauler, number, step) for step in steps])

    async def http_step(self, step: Step, key: str, *, patient: bool = True) -> httpx.Response:
        """The same over HTTP; a few at a time."""
        headers = _step_headers(step.command_id, key) | (PATIENT if patient else {})
        async with self._gate:
            return await self.client.post(path_of(step.operation), json=step.body, headers=headers)

    async def http_picture(
        self, number: str, step: Step, content: bytes, key: str
    ) -> httpx.Response:
        """A picture of a bill as a form, as a browser or a phone sends it."""
        fields = {"order_number": number, "bol_number": step.wanted["bol_number"]}
        if step.wanted["note"] is not None:
            fields["note"] = step.wanted["note"]
        return await self.client.post(
            path_of(step.operation),
            data=fields,
            files={"file": (step.wanted["file_name"], content, "image/png")},
            headers=_step_headers(step.command_id, key) | PATIENT,
        )

    async def record(self, command: Command) -> None:
        """A command on its tenant's own topic, keyed by the number of its order."""
        headers = command_headers(
            command.id, command.partner, kind=f"crossroads.{command.operation}.v1",
            source=f"/{command.tenant}/desk",
        )  # fmt: skip
        value = json.dumps(command.body, ensure_ascii=False).encode()
        topic = topic_of(command.operation, command.tenant)
        await self.send(topic, command.number.encode(), value, headers)

    async def request(self, command: Command, key: str) -> httpx.Response:
        """The same over HTTP."""
        headers = {
            "X-API-Key": key,
            "X-Dest-Tenant-Name": command.partner,
            "Idempotency-Key": command.id,
            **PATIENT,
        }
        return await self.client.post(
            path_of(command.operation), json=dict(command.body), headers=headers
        )

    async def _send_all(self, records: Sequence[Outgoing]) -> list[Position]:
        futures = [
            await self._producer.send(topic, key=key, value=value, headers=headers)
            for topic, key, value, headers in records
        ]
        acknowledged = await asyncio.gather(*futures)
        return [(told.topic, told.partition, told.offset) for told in acknowledged]


def _record(record: DayOrder | BrokenRecord) -> Outgoing:
    own = f"{ORDERS}.{ORIGIN}"
    if isinstance(record, BrokenRecord):
        return (
            ORDERS if record.shared else own,
            record.key,
            record.value,
            record.headers,
        )
    value = json.dumps(record.body, ensure_ascii=False).encode()
    headers = command_headers(record.command_id, record.destination)
    return own, record.number.encode(), value, headers


# Where HTTP takes what is not named after its type.
_PATHS = {
    "order.request-accept": "/v1/order/request/accept",
    "order.request-reject": "/v1/order/request/reject",
    "change.propose": "/v1/order/change/create",
    "change.accept": "/v1/order/change/accept",
    "change.reject": "/v1/order/change/reject",
}


def path_of(operation: str) -> str:
    """Where HTTP takes an operation: `order.update-status` at /v1/order/update_status."""
    return _PATHS.get(operation) or f"/v1/{operation.replace('.', '/').replace('-', '_')}"


def topic_of(operation: str, tenant: str) -> str:
    """The tenant's own topic for what settles an order, or changes it."""
    changes = operation == "order.update" or operation.startswith("change.")
    return f"{CHANGES if changes else ORDERS}.{tenant}"


def _step_headers(command_id: str, key: str) -> dict[str, str]:
    return {"X-API-Key": key, "X-Dest-Tenant-Name": ORIGIN, "Idempotency-Key": command_id}


def _step_record(hauler: str, number: str, step: Step) -> Outgoing:
    kind, source = f"crossroads.{step.operation}.v1", f"/{hauler}/telematics"
    headers = command_headers(step.command_id, ORIGIN, kind=kind, source=source)
    value = json.dumps(step.body, ensure_ascii=False).encode()
    return f"{PROGRESS}.{hauler}", number.encode(), value, headers
