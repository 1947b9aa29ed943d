from collections.abc import Awaitable, Callable

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.gateway.edge import Edge
from services.gateway.problems import Problem, too_many, unauthorized
from services.kit.errors import BrokerAway, DatabaseAway


async def get(endpoint: Callable[[Request], Awaitable[Response]], **headers: str) -> httpx.Response:
    inner = Starlette(routes=[Route("/x", endpoint)])

    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        await inner.router(scope, receive, send)

    transport = httpx.ASGITransport(Edge(bare))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.get("/x", headers=headers)


def raising(error: Exception) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_: Request) -> Response:
        raise error

    return endpoint


@pytest.mark.parametrize(
    ("error", "status", "header"),
    [
        (unauthorized("No."), 401, "www-authenticate"),
        (too_many(3), 429, "retry-after"),
        (BrokerAway(), 503, "retry-after"),
        (DatabaseAway(), 503, "retry-after"),
        (asyncpg.CannotConnectNowError("starting up"), 503, "retry-after"),
        (ConnectionRefusedError(), 503, "retry-after"),
    ],
)
async def test_what_is_raised_becomes_its_answer(
    error: Exception, status: int, header: str
) -> None:
    response = await get(raising(error))
    assert response.status_code == status
    assert header in response.headers
    assert list(response.json()) == ["detail"]


async def test_an_unforeseen_fault_is_500_with_the_fixed_text_and_no_trace_of_itself() -> None:
    response = await get(raising(ValueError("a tenant's secret")))
    assert response.status_code == 500
    assert response.json() == {"detail": "Unhandled System Error. Please retry or contact support."}


async def test_the_correlation_id_is_echoed_in_answers_and_in_errors() -> None:
    async def fine(request: Request) -> Response:
        return PlainTextResponse(request.state.correlation_id)

    response = await get(fine, **{"X-Correlation-ID": "c-7"})
    assert (response.text, response.headers["x-correlation-id"]) == ("c-7", "c-7")
    response = await get(raising(Problem(403, "No.")), **{"X-Correlation-ID": "c-8"})
    assert response.headers["x-correlation-id"] == "c-8"
