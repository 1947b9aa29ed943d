"""The outermost layer: ids of commands and correlation, metrics, an answer for what was raised."""

import time
import uuid

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.headers import CORRELATION_ID, IDEMPOTENCY_KEY, correlation_id
from services.gateway.problems import Problem, away, unforeseen
from services.kit.database import is_away
from services.kit.errors import BrokerAway
from services.kit.metrics import HTTP_REQUEST_DURATION_SECONDS, HTTP_REQUESTS_TOTAL

log = structlog.get_logger()

# What no route serves is counted together: a path is a stranger's text.
_NO_ROUTE = "other"


class Edge:
    """Around the whole application; nothing a request raises passes it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        own_id = correlation_id(scope)
        Request(scope).state.correlation_id = own_id
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[CORRELATION_ID] = own_id
                _name_command(scope, message)
            await send(message)

        try:
            await self._app(scope, receive, observed)
        except ClientDisconnect:
            # Nobody is there to be answered; the status is only counted, as proxies count it.
            status = status or 499
        except Exception as error:
            response = _answer_to(error, own_id)
            if status:
                raise
            await response(scope, receive, observed)
        finally:
            route = getattr(scope.get("route"), "path", _NO_ROUTE)
            HTTP_REQUESTS_TOTAL.labels(route, str(status)).inc()
            HTTP_REQUEST_DURATION_SECONDS.labels(route).observe(time.perf_counter() - began)


def name_command(request: Request, key: str | None) -> str:
    """The id of the command this request makes: the caller's key, else a new one.

    Every answer says it from now on (`Idempotency-Key`), a 503 after which nobody knows whether
    the command was taken with them: who gave no key can send the very same command again.
    """
    command_id: str = key or str(uuid.uuid4())
    request.state.command_id = command_id
    return command_id


def _name_command(scope: Scope, message: Message) -> None:
    command_id: str | None = scope["state"].get("command_id")
    if command_id is not None:
        # As it came, in UTF-8: starlette's own headers are Latin-1.
        message["headers"].append((IDEMPOTENCY_KEY.encode(), command_id.encode()))


def _answer_to(error: Exception, own_id: str) -> Response:
    if isinstance(error, Problem):
        return error.response()
    if isinstance(error, BrokerAway):
        log.warning("the broker is away", error=str(error), correlation_id=own_id)
        return away("broker").response()
    if is_away(error):
        log.warning("the database is away", error=str(error), correlation_id=own_id)
        return away("database").response()
    log.error("unforeseen", exc_info=error, correlation_id=own_id)
    return unforeseen().response()
