"""Each operation over HTTP, one call at a time with the default wait, beside a plain insert."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks.changes import proposed_drops
from benchmarks.figures import Latency
from benchmarks.orders import creates, drawn
from benchmarks.over_http import plain_service
from benchmarks.pictures import PNG
from benchmarks.sides import Side, hub_run
from benchmarks.stack import BenchStack
from tests.acceptance.words import Companies, Order

WARM_SHARE = 10
PICTURE_BYTES = 20_000
# What a command is answered once it is done; `pending` is counted.
DONE = {"synced", "requested", "rejected", "canceled", "error"}
PENDING = "pending"

ORIGIN_SCOPES = (
    *("order:create", "order:read", "order:update", "order:cancel"),
    *("order_change:accept", "order_change:reject", "order_change:read"),
)
DESTINATION_SCOPES = (
    *("order:update_status", "order:save_bol", "order:save_drop", "order:update"),
    *("order:receipt", "order_request:accept"),
)

Call = Callable[[Order, int], Awaitable[httpx.Response]]


@dataclass(frozen=True, slots=True)
class Callers:
    """A client for each company, with a connection that stays open."""

    origin: httpx.AsyncClient
    destination: httpx.AsyncClient


class Operations:
    """Every operation on orders of its own, after a tenth more to warm it."""

    def __init__(
        self, stack: BenchStack, companies: Companies, create: Side, callers: Callers, calls: int
    ) -> None:
        self._stack = stack
        self._companies = companies
        self._create = create
        self._callers = callers
        self._calls = calls
        self._warm = -(-calls // WARM_SHARE)
        self.found: dict[str, dict[str, float]] = {}

    async def all(self) -> None:
        """One operation after the other; what one leaves behind the next is done with."""
        new = self._drawn()
        await self._timed("create", new, self._create_one)
        there = await self._there()
        await self._timed("get", there, self._by_origin("get"))
        for at, name in ((0, "update_status"), (1, "save_bol"), (2, "save_drop")):
            await self._timed(name, there, self._step(name, at))
        await self._timed("save_bol_image", there, self._picture)
        await self._timed("update", there, self._update)
        await self._timed("change/create", there, self._propose)
        await self._timed("change/accept", there, self._settle("change/accept"))
        for order in new:
            _checked(await self._propose(order, 0))
        await self._timed("change/reject", new, self._settle("change/reject"))
        await self._timed("change/all", there, self._listed)
        await self._timed("receipt", there, self._receipt)
        await self._timed("cancel", new, self._by_origin("cancel"))
        async with manual_acceptance(self._stack, self._companies):
            asked = self._drawn()
            for order in asked:
                _checked(await self._create_one(order, 0))
            await self._timed("request/accept", asked, self._accept)

    def _drawn(self) -> list[Order]:
        return drawn(self._companies, self._warm + self._calls)

    async def _there(self) -> list[Order]:
        orders = self._drawn()
        await hub_run(self._stack, self._create, creates(self._companies, orders))
        return orders

    async def _timed(self, name: str, orders: Sequence[Order], call: Call) -> None:
        taken, pending, waits = [], 0, False
        for at, order in enumerate(orders):
            began = time.monotonic()
            answer = await call(order, at)
            seconds = time.monotonic() - began
            unanswered = _checked(answer)
            waits = waits or unanswered
            if at >= self._warm:
                taken.append(seconds)
                pending += unanswered
        if waits:
            # The next operation may be about it.
            await self._stack.quiet()
        self.found[name] = {**Latency.of(taken).told(), "pending": pending}

    async def _create_one(self, order: Order, _: int) -> httpx.Response:
        return await self._callers.origin.post("/v1/order/create", content=order.body)

    def _by_origin(self, path: str) -> Call:
        async def call(order: Order, _: int) -> httpx.Response:
            return await self._callers.origin.post(
                f"/v1/order/{path}", json={"order": {"order_number": order.number}}
            )

        return call

    def _step(self, path: str, at: int) -> Call:
        async def call(order: Order, _: int) -> httpx.Response:
            # One status, a bill, an executed drop, then the end, which is not said.
            step = self._companies.steps(order, statuses=2)[at]
            return await self._callers.destination.post(f"/v1/order/{path}", content=step.body)

        return call

    async def _picture(self, order: Order, at: int) -> httpx.Response:
        content = PNG + at.to_bytes(4, "big") * (PICTURE_BYTES // 4)
        return await self._callers.destination.post(
            "/v1/order/save_bol_image",
            data={"order_number": order.number, "bol_number": "B1"},
            files={"file": (f"{at}.png", content, "image/png")},
            # It is the client's only form: its other calls are JSON.
            headers={"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"},
        )

    async def _update(self, order: Order, _: int) -> httpx.Response:
        body = {"order": {"order_number": order.number}, "note": "Tor 4"}
        return await self._callers.origin.post("/v1/order/update", json=body)

    async def _propose(self, order: Order, _: int) -> httpx.Response:
        body = {"order": {"order_number": order.number}, "drops": proposed_drops(order)}
        return await self._callers.destination.post("/v1/order/change/create", json=body)

    def _settle(self, path: str) -> Call:
        async def call(order: Order, _: int) -> httpx.Response:
            body = {"order": {"origin_order_number": order.number}}
            return await self._callers.origin.post(f"/v1/order/{path}", json=body)

        return call

    async def _listed(self, order: Order, _: int) -> httpx.Response:
        body = {"order_numbers": [order.number]}
        return await self._callers.origin.post("/v1/order/change/all", json=body)

    async def _receipt(self, order: Order, _: int) -> httpx.Response:
        body = {
            "order": {"order_number": order.number},
            "status": "received",
            "destination_order_number": f"n-{order.number}",
        }
        return await self._callers.destination.post("/v1/order/receipt", json=body)

    async def _accept(self, order: Order, _: int) -> httpx.Response:
        body = {
            "order": {"order_number": order.number},
            "destination_order_number": f"n-{order.number}",
        }
        return await self._callers.destination.post("/v1/order/request/accept", json=body)


_BOUNDARY = "0123456789abcdef"


async def operations(
    stack: BenchStack, companies: Companies, create: Side, *, calls: int
) -> dict[str, Any]:
    """Milliseconds of each operation, and of the plain service's insert of the same orders."""
    keys = {
        "origin": await stack.api_key(companies.origin, *ORIGIN_SCOPES),
        "destination": await stack.api_key(companies.destination, *DESTINATION_SCOPES),
    }
    partners = {"origin": companies.destination, "destination": companies.origin}
    clients = {
        side: httpx.AsyncClient(
            base_url=stack.http,
            headers={
                "X-API-Key": key,
                "X-Dest-Tenant-Name": partners[side],
                "Content-Type": "application/json",
            },
            timeout=60,
            trust_env=False,
        )
        for side, key in keys.items()
    }
    async with clients["origin"] as origin, clients["destination"] as destination:
        measured = Operations(stack, companies, create, Callers(origin, destination), calls)
        await measured.all()
    return {"calls": calls, "hub": measured.found, "plain": await _plain(stack, companies, calls)}


@asynccontextmanager
async def manual_acceptance(stack: BenchStack, companies: Companies) -> AsyncIterator[None]:
    """The pair asks for acceptance by hand until the end of the block."""
    await _accepts(stack, companies, "manual")
    try:
        yield
    finally:
        await _accepts(stack, companies, "auto")


async def _accepts(stack: BenchStack, companies: Companies, how: str) -> None:
    pair = {
        "origin": companies.origin,
        "destination": companies.destination,
        "acceptance": how,
    }
    file = stack.data.parent / f"{companies.tag}-pair.json"
    file.write_text(json.dumps({"pairs": [pair]}))
    code, data, talk = await stack.run("reference", "apply", str(file))
    assert code == 0, data + talk


async def _plain(stack: BenchStack, companies: Companies, calls: int) -> dict[str, float]:
    warm = -(-calls // WARM_SHARE)
    taken = []
    async with (
        plain_service(str(stack.line["database"])) as (address, _),
        httpx.AsyncClient(
            base_url=address, headers={"Content-Type": "application/json"}, trust_env=False
        ) as client,
    ):
        for at, order in enumerate(drawn(companies, warm + calls)):
            began = time.monotonic()
            answer = await client.post("/orders", content=order.body)
            seconds = time.monotonic() - began
            assert answer.status_code == 200, answer.text
            taken += [seconds] if at >= warm else []
    return Latency.of(taken).told()


def _checked(answer: httpx.Response) -> bool:
    """Whether it was answered `pending`. AssertionError for what is no answer of an operation."""
    assert answer.status_code == 200, f"{answer.request.url} {answer.status_code} {answer.text}"
    status = answer.json()["status"]
    assert status in DONE or status == PENDING, f"{answer.request.url} {answer.text}"
    return bool(status == PENDING)
