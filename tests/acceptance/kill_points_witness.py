"""Asks every process of a stack whether it is ready, many times a second, and keeps the answers."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import httpx

from tests.acceptance.stack import Stack

EVERY_SECONDS = 0.1
READY, NOT_READY = 200, 503


@dataclass(slots=True)
class Said:
    """One answer: its status (None: nobody answered) and what it said."""

    at: float
    status: int | None
    words: str


@dataclass(slots=True)
class Witness:
    """What each process said of itself, by name and number."""

    said: dict[str, list[Said]] = field(default_factory=dict)

    async def all_not_ready(self, since: float, seconds: float = 60) -> None:
        """Wait until every process has said 503 since that moment (protocol §2)."""
        await self._until(lambda: not self._never(NOT_READY, since), "all said 503", seconds)

    async def all_ready(self, since: float, seconds: float = 90) -> None:
        """Wait until every process has said 200 since that moment, and says so now."""
        await self._until(
            lambda: not self._never(READY, since) and all(self._now(n) == READY for n in self.said),
            "all say 200",
            seconds,
        )

    async def _until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            now = {name: said[-1:] for name, said in self.said.items()}
            assert time.monotonic() < deadline, f"not {what} within {seconds:g} s: {now}"
            await asyncio.sleep(EVERY_SECONDS)

    def told(self, since: float) -> str:
        """When each process said 503 for the first time since that moment, in seconds."""
        first = {
            name: min(
                (each.at - since for each in said if each.at > since and each.status == NOT_READY),
                default=None,
            )
            for name, said in self.said.items()
        }
        return ", ".join(
            f"{name} {'never' if at is None else f'{at:.1f} s'}" for name, at in first.items()
        )

    def _never(self, status: int, since: float) -> list[str]:
        return [
            name
            for name, said in self.said.items()
            if not any(each.at > since and each.status == status for each in said)
        ]

    def _now(self, name: str) -> int | None:
        return self.said[name][-1].status if self.said[name] else None


@contextlib.asynccontextmanager
async def witness(stack: Stack) -> AsyncIterator[Witness]:
    """Ask until the block ends."""
    found = Witness()
    addresses = {
        f"{name} {number + 1}" if number else name: address.replace("/metrics", "/readyz")
        for name, of_name in stack.line["metrics"].items()
        for number, address in enumerate(of_name)
    }

    async def ask(http: httpx.AsyncClient, name: str, address: str) -> None:
        said = found.said[name] = []
        while True:
            try:
                answer = await http.get(address)
                said.append(Said(time.monotonic(), answer.status_code, answer.text))
            except httpx.TransportError as error:
                said.append(Said(time.monotonic(), None, repr(error)))
            # The pace of the questions, not a wait for anything.
            await asyncio.sleep(EVERY_SECONDS)

    async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
        tasks = [asyncio.create_task(ask(http, *each)) for each in addresses.items()]
        try:
            yield found
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
