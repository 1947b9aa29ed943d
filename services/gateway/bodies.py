"""Request bodies: taken in within their limit and read as JSON (K31)."""

from typing import Any

from starlette.requests import Request

from services.gateway.problems import Problem, entry, too_large
from services.kit import jsonlimits
from services.kit.cloudevents import Unreadable


async def take_body(request: Request, limit: int = jsonlimits.MAX_BYTES) -> bytes:
    """The whole body, at most `limit` bytes. Raises Problem 413 without reading on."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise too_large(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def parse_body(body: bytes) -> Any:
    """The JSON value of a body. Raises Problem 422 with the one entry that says what is wrong."""
    try:
        return jsonlimits.parse(body)
    except Unreadable as error:
        if error.reason == "too-large":
            raise too_large(jsonlimits.MAX_BYTES) from None
        kind = "json_invalid" if error.reason == "not-json" else error.reason.replace("-", "_")
        raise Problem(422, [entry(["body", *error.path], error.detail, kind)]) from None
