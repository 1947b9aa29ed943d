"""Pictures over HTTP: what the gateway holds in memory while they come, beside a plain service."""

import asyncio
import os
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from benchmarks.orders import creates, drawn
from benchmarks.over_http import plain_service
from benchmarks.sides import Side, hub_run
from benchmarks.stack import BenchStack
from tests.acceptance.words import Companies

SAMPLE_SECONDS = 0.01
WARM = 4
PNG = b"\x89PNG\r\n\x1a\n"
MEGABYTE = 1e6

Send = Callable[[httpx.AsyncClient, bytes, int], Awaitable[httpx.Response]]


@dataclass(slots=True)
class Held:
    """Resident megabytes of a process: before, at most meanwhile, and after."""

    before: float = 0.0
    most: float = 0.0
    after: float = 0.0


async def pictures(
    stack: BenchStack, create: Side, companies: Companies, *, size: int, at_once: int
) -> dict[str, Any]:
    """So many pictures one at a time, then all at once; `size` in bytes."""
    (order,) = drawn(companies, 1)
    await hub_run(stack, create, creates(companies, [order]))
    key = await stack.api_key(companies.destination, "order:save_bol")
    headers = {"X-API-Key": key, "X-Dest-Tenant-Name": companies.origin, "Prefer": "wait=30"}
    (gateway,) = stack.pids("gateway")["gateway"]

    async def save(client: httpx.AsyncClient, content: bytes, number: int) -> httpx.Response:
        return await client.post(
            "/v1/order/save_bol_image",
            headers=headers,
            data={"order_number": order.number, "bol_number": f"B{number}"},
            files={"file": (f"{number}.png", content, "image/png")},
        )

    async def store(client: httpx.AsyncClient, content: bytes, _: int) -> httpx.Response:
        return await client.post("/pictures", content=content)

    found: dict[str, Any] = {"bytes": size, "at_once": at_once}
    async with AsyncExitStack() as until_end:
        address, pid = await until_end.enter_async_context(
            plain_service(str(stack.line["database"]))
        )
        found["hub"] = await _measured(stack.http, save, gateway, size, at_once)
        found["plain"] = await _measured(address, store, pid, size, at_once)
    await stack.quiet()
    return found


async def _measured(address: str, send: Send, pid: int, size: int, at_once: int) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=address, timeout=120, trust_env=False, limits=limits
    ) as client:
        # What a process loads with its first pictures is not held because of the others.
        await _one_by_one(client, send, _drawn(WARM, size))
        found = {}
        for name, how in (("one", _one_by_one), ("many", _all_at_once)):
            contents = _drawn(at_once, size)
            with watched(pid) as held:
                began = time.monotonic()
                taken = await how(client, send, contents)
                seconds = time.monotonic() - began
            found[name] = {
                "before_mb": held.before,
                "most_mb": held.most,
                "after_mb": held.after,
                "pictures_per_second": len(contents) / seconds,
                "p50_ms": statistics.median(taken) * 1000,
                "worst_ms": max(taken) * 1000,
            }
        return found


def _drawn(count: int, size: int) -> list[bytes]:
    """Pictures by their first bytes; no two are alike, so none is stored already."""
    return [PNG + os.urandom(size - len(PNG)) for _ in range(count)]


async def _one_by_one(
    client: httpx.AsyncClient, send: Send, contents: Sequence[bytes]
) -> list[float]:
    return [await _timed(client, send, content, at) for at, content in enumerate(contents)]


async def _all_at_once(
    client: httpx.AsyncClient, send: Send, contents: Sequence[bytes]
) -> list[float]:
    calls = [_timed(client, send, content, at) for at, content in enumerate(contents)]
    return list(await asyncio.gather(*calls))


async def _timed(client: httpx.AsyncClient, send: Send, content: bytes, number: int) -> float:
    at = time.monotonic()
    answer = await send(client, content, number)
    taken = time.monotonic() - at
    good = answer.status_code == 200 and answer.json()["status"] in ("synced", "stored")
    assert good, f"{answer.status_code} {answer.text}"
    return taken


@contextmanager
def watched(pid: int) -> Iterator[Held]:
    """Looks at a process a hundred times a second, by a thread: the loop is busy sending."""
    process = psutil.Process(pid)

    def resident() -> float:
        return float(process.memory_info().rss) / MEGABYTE

    held = Held(before=resident())
    held.most = held.before
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            held.most = max(held.most, resident())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield held
    finally:
        ended.set()
        thread.join()
        held.after = resident()
        held.most = max(held.most, held.after)
