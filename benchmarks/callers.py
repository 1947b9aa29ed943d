"""Many callers who wait at once: what the gateway holds for each, beside a plain service.

Nobody decides while they come, for order-intake is frozen: each command is on its topic, and each
caller waits for a result. When all are there it is thawed, and every caller is answered.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from benchmarks.figures import Latency
from benchmarks.orders import drawn
from benchmarks.over_http import plain_service
from benchmarks.pictures import watched
from benchmarks.processes import frozen
from benchmarks.sides import Side
from benchmarks.stack import BenchStack
from services.kit.open_files import allow
from tests.acceptance.stack import until
from tests.acceptance.words import Companies, Order

# The most that the hub grants: on a slow machine the first must not leave before the last comes.
WAIT_SECONDS = 60
# Sent at a time; a server's queue of connections that it has not taken yet is short.
AT_ONCE = 100
GATHER_SECONDS = 55.0
ANSWER_SECONDS = 120.0
# Of files besides the sockets: logs, databases, libraries.
OTHER_FILES = 500

Meanwhile = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Crowd:
    """Callers on plain sockets: how many wait now and did at most, and what each was answered."""

    address: str
    path: str
    headers: dict[str, str]
    waiting: int = 0
    most: int = 0
    answered: dict[str, int] = field(default_factory=dict)
    taken: list[float] = field(default_factory=list)

    async def come(self, orders: Sequence[Order], then: Meanwhile) -> None:
        """All of them; `then` is done when the last one waits."""
        gate = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for order in orders:
                group.create_task(self._call(order, gate))
            await until(
                lambda: self.waiting + len(self.taken) == len(orders), "all to wait", GATHER_SECONDS
            )
            await then()

    async def _call(self, order: Order, gate: asyncio.Semaphore) -> None:
        at = urlsplit(self.address)
        head = {**self.headers, "Idempotency-Key": order.command_id}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        request = (
            f"POST {self.path} HTTP/1.1\r\nHost: {at.netloc}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(order.body)}\r\n{lines}\r\n"
        )
        began = time.monotonic()
        async with gate:
            reader, writer = await asyncio.open_connection(at.hostname, at.port)
            writer.write(request.encode() + order.body)
            await writer.drain()
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            async with asyncio.timeout(WAIT_SECONDS + ANSWER_SECONDS):
                whole = await reader.read()
        finally:
            self.waiting -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        self.taken.append(time.monotonic() - began)
        head_, _, body = whole.partition(b"\r\n\r\n")
        code = head_.split(b" ", 2)[1].decode()
        word = json.loads(body).get("status") if code == "200" else code
        self.answered[str(word)] = self.answered.get(str(word), 0) + 1


def room_for(callers: int) -> None:
    """Let this process, and those it starts, hold so many connections open.

    SystemExit, in words, where this machine's hard limit does not allow it.
    """
    wanted = callers + OTHER_FILES
    if (allowed := allow(wanted)) < wanted:
        raise SystemExit(f"{callers:,} callers need {wanted:,} open files; {allowed:,} are allowed")


async def callers(
    stack: BenchStack, create: Side, companies: Companies, *, count: int
) -> dict[str, Any]:
    """So many creates at once on the gateway, then on the plain service that only waits."""
    key = await stack.api_key(companies.origin, "order:create")
    headers = {
        "X-API-Key": key,
        "X-Dest-Tenant-Name": companies.destination,
        "Prefer": f"wait={WAIT_SECONDS}",
    }
    (gateway,) = stack.pids("gateway")["gateway"]
    found: dict[str, Any] = {"callers": count}
    # What a process loads with its first callers is not held because of the others.
    warm = Crowd(stack.http, "/v1/order/create", headers)
    await warm.come(drawn(companies, AT_ONCE), _nothing)
    crowd = Crowd(stack.http, "/v1/order/create", headers)
    with contextlib.ExitStack() as ice:
        ice.enter_context(frozen(create.readers()))

        async def thaw() -> None:
            ice.close()

        found["hub"] = await _measured(crowd, gateway, drawn(companies, count), thaw)
    await stack.quiet()
    async with AsyncExitStack() as until_end:
        address, pid = await until_end.enter_async_context(
            plain_service(str(stack.line["database"]))
        )
        client = await until_end.enter_async_context(
            httpx.AsyncClient(base_url=address, trust_env=False, timeout=60)
        )

        async def release() -> None:
            assert (await client.post("/release")).status_code == 200

        warm = Crowd(address, "/waiting", {})
        await warm.come(drawn(companies, AT_ONCE), release)
        assert (await client.post("/hold")).status_code == 200
        crowd = Crowd(address, "/waiting", {})
        found["plain"] = await _measured(crowd, pid, drawn(companies, count), release)
    return found


async def _nothing() -> None:
    """The warming callers are answered as they come."""


async def _measured(
    crowd: Crowd, pid: int, orders: Sequence[Order], release: Meanwhile
) -> dict[str, Any]:
    released = began = time.monotonic()

    async def then() -> None:
        nonlocal released
        released = time.monotonic()
        await release()

    with watched(pid) as held:
        await crowd.come(orders, then)
        ended = time.monotonic()
    assert sum(crowd.answered.values()) == len(orders), crowd.answered
    return {
        "before_mb": held.before,
        "most_mb": held.most,
        "after_mb": held.after,
        "kb_each": (held.most - held.before) * 1000 / len(orders),
        "at_once": crowd.most,
        "answered": dict(sorted(crowd.answered.items())),
        "gathered_seconds": released - began,
        "answered_seconds": ended - released,
        "worst_ms": Latency.of(crowd.taken).worst,
    }
