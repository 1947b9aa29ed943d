"""`/livez`, `/readyz` and `/metrics`, the same for every process."""

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from services.kit import metrics

Check = Callable[[], tuple[bool, str]]


class Health:
    """What a process says about itself.

    A check answers at once from what is known, `(fine, one sentence)`; asking it costs nothing.
    """

    def __init__(self, checks: Mapping[str, Check] | None = None) -> None:
        self._checks: dict[str, Check] = dict(checks or {})
        self._draining = False

    def drain(self) -> None:
        """The process is ending: it is not ready any more."""
        self._draining = True

    def ready(self) -> tuple[bool, dict[str, str]]:
        """Whether the process can do its work, and each check's sentence by its name."""
        fine, told = not self._draining, {}
        if self._draining:
            told["process"] = "draining"
        for name, check in self._checks.items():
            good, told[name] = check()
            fine = fine and good
        return fine, told


def health_routes(health: Health) -> list[BaseRoute]:
    """The three routes: 200 or 503; `/livez` depends on nothing but the event loop.

    Plain routes, because a mounted application answers 307 without a trailing slash.
    """

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        fine, told = health.ready()
        return JSONResponse({"ready": fine, "checks": told}, 200 if fine else 503)

    async def exposition(_: Request) -> Response:
        return Response(metrics.exposition(), headers={"content-type": metrics.CONTENT_TYPE})

    return [
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", exposition, methods=["GET"]),
    ]
