"""The life of a service's process: start, serve its health, work, drain on SIGTERM, exit code.

A service is one function that opens what it needs and yields its Parts; everything else is here.
"""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp
from uvicorn.loops.auto import auto_loop_factory

from services.kit import metrics
from services.kit.database import is_away
from services.kit.errors import CrossroadsError, ServiceMustStop, SettingsInvalid
from services.kit.health import Check, Health, health_routes
from services.kit.logs import configure_logging
from services.kit.settings import Settings, load_settings

log = structlog.get_logger()

# Seconds. Whoever sends SIGTERM counts on all being over in 15.
DRAIN_SECONDS = 12.0
_SERVER_GRACE_SECONDS = 2

# Batches make many objects that live as long as their transaction; with the default thresholds the
# collector looks at all of them again and again (four times the cost of validating, measured).
_GC_THRESHOLDS = (400_000, 20, 50)

Work = Callable[[asyncio.Event], Awaitable[None]]


@dataclass(slots=True)
class Parts:
    """What a process consists of.

    `work` runs side by side; each takes the stopping event and returns soon after it is set. One
    that raises, or returns earlier, ends the process with exit code 1. `checks` make `/readyz`;
    `routes` come beside the health routes, on the metrics port. With an `app` of the service's own
    that one is served, on the HTTP port instead, and has `health_routes(health)` itself.
    """

    work: Mapping[str, Work] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    routes: Sequence[BaseRoute] = ()
    app: ASGIApp | None = None
    health: Health | None = None


Build = Callable[[Settings], AbstractAsyncContextManager[Parts]]


def run(service: str, build: Build, settings: Settings | None = None) -> int:
    """Runs a service until SIGTERM or SIGINT, or until it fails; returns the exit code.

    0: drained; 1: failed; 2: the settings cannot be used, also where only the work finds that out.
    `build` is entered within the event loop and left when everything else has ended. The port that
    was bound is logged (`listening`).
    """
    try:
        settings = settings or load_settings()
    except SettingsInvalid as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging(settings, service)
    metrics.start(service)
    with asyncio.Runner(loop_factory=auto_loop_factory(use_subprocess=False)) as runner:
        return runner.run(_life(build, settings))


async def _life(build: Build, settings: Settings) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        async with build(settings) as parts:
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_GC_THRESHOLDS)
            await _serve(parts, settings, stopping)
    except Exception as error:  # noqa: BLE001 — nothing outlives it
        causes = list(_leaves(error))
        for each in causes:
            _tell(each)
        return 2 if all(isinstance(each, SettingsInvalid) for each in causes) else 1
    log.info("the service has drained")
    return 0


async def _serve(parts: Parts, settings: Settings, stopping: asyncio.Event) -> None:
    health = parts.health or Health(parts.checks)
    app = parts.app or Starlette(routes=[*health_routes(health), *parts.routes])
    port = settings.metrics_port if parts.app is None else settings.http_port
    listener = _listen(settings.http_host, port)
    host, bound = listener.getsockname()[:2]
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_SERVER_GRACE_SECONDS,
        )
    )
    failures: list[Exception] = []
    serving = asyncio.create_task(
        _guarded(_served(server, listener, stopping), stopping, failures), name="the HTTP server"
    )
    working = [
        asyncio.create_task(_guarded(_worked(name, work, stopping), stopping, failures), name=name)
        for name, work in parts.work.items()
    ]
    log.info("listening", address=f"http://{host}:{bound}", port=bound)
    await stopping.wait()
    health.drain()
    # Health is served until the work has ended; requests of others are not taken any more.
    server.should_exit = parts.app is not None
    if working:
        _, late = await asyncio.wait(working, timeout=DRAIN_SECONDS)
        for task in late:
            log.warning("a task did not end in time and is cancelled", task=task.get_name())
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    server.should_exit = True
    await serving
    if failures:
        raise ExceptionGroup("the service failed", failures)


async def _guarded(
    life: Awaitable[None], stopping: asyncio.Event, failures: list[Exception]
) -> None:
    """A failure drains the others just as SIGTERM does; it is raised when they have ended."""
    try:
        await life
    except Exception as error:  # noqa: BLE001 — raised again at the end
        failures.append(error)
        stopping.set()


async def _worked(name: str, work: Work, stopping: asyncio.Event) -> None:
    await work(stopping)
    if not stopping.is_set():
        raise ServiceMustStop(f"{name} ended by itself")


async def _served(server: uvicorn.Server, listener: socket.socket, stopping: asyncio.Event) -> None:
    await server.serve(sockets=[listener])
    if not stopping.is_set():
        raise ServiceMustStop("the HTTP server ended by itself")


class _Server(uvicorn.Server):
    """A server that leaves the process's signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    listener.setblocking(False)
    return listener


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _tell(error: BaseException) -> None:
    if isinstance(error, CrossroadsError):
        log.error("the service ends", reason=str(error))
    elif is_away(error):
        log.error("the service ends: the database or the network is away", reason=repr(error))
    else:
        log.error("the service ends by an unforeseen error", exc_info=error)
