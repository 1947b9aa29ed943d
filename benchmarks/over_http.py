"""Creates over HTTP, each answered when it was synced, beside a plain service that stores them."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import httpx

from benchmarks.figures import Cpu, Latency
from benchmarks.stack import SERVERS, SERVICES, BenchStack
from tests.acceptance.stack import eventually
from tests.acceptance.words import Companies, Order

WARM = 200
WAIT_SECONDS = 10


async def over_http(
    stack: BenchStack, companies: Companies, *, requests: int, connections: int, rounds: int
) -> dict[str, Any]:
    """Figures of the hub and of the plain service, in alternating rounds; the median of each."""
    key = await stack.api_key(companies.origin, "order:create")
    headers = {"X-API-Key": key, "X-Dest-Tenant-Name": companies.destination}
    hub = Caller(stack.http, "/v1/order/create", connections,
                 headers | {"Prefer": f"wait={WAIT_SECONDS}"}, "synced")  # fmt: skip
    found: dict[str, list[dict[str, Any]]] = {"hub": [], "plain": []}
    async with AsyncExitStack() as until_end:
        address, pid = await until_end.enter_async_context(
            plain_service(str(stack.line["database"]))
        )
        peer = Caller(address, "/orders", connections, {}, "stored")
        for caller in (hub, peer):
            async with caller:
                await caller.call([companies.order() for _ in range(WARM)])
        for _ in range(rounds):
            for name, caller, pids in (
                ("hub", hub, stack.pids(*SERVICES, *SERVERS)),
                ("plain", peer, {"service": [pid], **stack.pids(*SERVERS)}),
            ):
                orders = [companies.order() for _ in range(requests)]
                # New connections each time: servers end those that were idle for 5 s.
                async with caller:
                    found[name].append(await _measured(caller, orders, pids))
            await stack.quiet()
    best = {name: _median(runs) for name, runs in found.items()}
    ratio = best["hub"]["requests_per_second"] / best["plain"]["requests_per_second"]
    return {"connections": connections, "requests": requests, **best, "ratio": ratio}


class Caller:
    """Sends creates over so many connections at a time."""

    def __init__(
        self, address: str, path: str, connections: int, headers: Mapping[str, str], status: str
    ) -> None:
        self._address = address
        self._path = path
        self._connections = connections
        self._clients: list[httpx.AsyncClient] = []
        self._open = AsyncExitStack()
        self._headers = {"Content-Type": "application/json", **headers}
        self._status = status

    async def __aenter__(self) -> Self:
        # A client for each connection: with many of them httpx's pool becomes the cost.
        clients = [
            httpx.AsyncClient(
                base_url=self._address, headers=self._headers, timeout=60, trust_env=False,
                verify=False,
            )
            for _ in range(self._connections)
        ]  # fmt: skip
        self._clients = [await self._open.enter_async_context(each) for each in clients]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def call(self, orders: Sequence[Order]) -> list[float]:
        """The seconds that each took. AssertionError when one is not answered as it should be."""
        taken: list[float] = []
        left = iter(orders)
        async with asyncio.TaskGroup() as group:
            for client in self._clients:
                group.create_task(self._one_connection(client, left, taken))
        return taken

    async def _one_connection(
        self, client: httpx.AsyncClient, left: Iterator[Order], taken: list[float]
    ) -> None:
        for order in left:
            at = time.monotonic()
            response = await client.post(
                self._path, content=order.body, headers={"Idempotency-Key": order.command_id}
            )
            taken.append(time.monotonic() - at)
            good = response.status_code == 200 and response.json()["status"] == self._status
            assert good, f"{response.status_code} {response.text}"


async def _measured(
    caller: Caller, orders: Sequence[Order], pids: Mapping[str, list[int]]
) -> dict[str, Any]:
    cpu = Cpu(pids)
    # Not by Cpu: the whole stack is among this process's children.
    own = time.process_time()
    began = time.monotonic()
    taken = await caller.call(orders)
    seconds = time.monotonic() - began
    own = time.process_time() - own
    used_by = {**cpu.used(), "client": own}
    latency = Latency.of(taken)
    return {
        "requests_per_second": len(orders) / seconds,
        "p50_ms": latency.p50,
        "p99_ms": latency.p99,
        "cpu_us_per_request": {n: used / len(orders) * 1e6 for n, used in used_by.items()},
    }


def _median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return sorted(runs, key=lambda run: float(run["requests_per_second"]))[len(runs) // 2]


@asynccontextmanager
async def plain_service(dsn: str) -> AsyncIterator[tuple[str, int]]:
    """The plain HTTP service, running: its address and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    # FastAPI makes pydantic warn of an alias that it gives each body.
    command = (sys.executable, "-W", "ignore", "-m", "benchmarks.peers.http")
    process = await asyncio.create_subprocess_exec(*command, dsn, str(port))
    address = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=address, trust_env=False) as client:

            async def answers() -> bool:
                try:
                    return (await client.get("/")).status_code == 404
                except httpx.TransportError:
                    return False

            await eventually(answers, "the plain service to answer")
        yield address, process.pid
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)
