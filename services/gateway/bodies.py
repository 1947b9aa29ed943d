"""Request bodies: taken in within their limits of size and time, and read as JSON (K31)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from schemas.errors import unreadable
from services.gateway.problems import Problem, too_large, too_slow
from services.kit import jsonlimits
from services.kit.cloudevents import Unreadable


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a body may take, in seconds: between two pieces, and from the first to the last.

    A picture comes from a cab with a poor connection and has a time of its own.
    """

    silent: float = 15.0
    body: float = 60.0
    picture: float = 300.0


async def receive(
    request: Request,
    take: Callable[[bytes], Awaitable[None]],
    *,
    limit: int,
    silent: float,
    seconds: float,
) -> None:
    """Hand over the body piece by piece as it comes.

    Raises Problem 413 as soon as more than `limit` bytes are announced or there, and 408 after
    `silent` seconds without a piece or when the whole takes longer than `seconds`.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise too_large(limit)
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    size = 0
    clock = asyncio.timeout_at(min(ends, loop.time() + silent))
    try:
        async with clock:
            async for piece in request.stream():
                size += len(piece)
                if size > limit:
                    raise too_large(limit)
                await take(piece)
                clock.reschedule(min(ends, loop.time() + silent))
    except TimeoutError:
        if clock.expired():
            raise too_slow() from None
        raise


async def take_body(
    request: Request, patience: Patience, limit: int = jsonlimits.MAX_BYTES
) -> bytes:
    """The whole body, at most `limit` bytes. Raises Problem 413 and 408 without reading on."""
    pieces: list[bytes] = []

    async def take(piece: bytes) -> None:
        pieces.append(piece)

    await receive(request, take, limit=limit, silent=patience.silent, seconds=patience.body)
    return b"".join(pieces)


def parse_body(body: bytes) -> Any:
    """The JSON value of a body. Raises Problem 422 with an entry for each field at fault."""
    try:
        return jsonlimits.parse(body)
    except Unreadable as error:
        if error.reason == "too-large":
            raise too_large(jsonlimits.MAX_BYTES) from None
        raise Problem(422, unreadable(error.reason, error.in_body)) from None
