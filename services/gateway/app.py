"""The gateway's process: everything it works with, put together in one place."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from services.gateway.board import MOST_CALLERS, AnswerBoard
from services.gateway.hub import Hub, Reader, look_in
from services.gateway.rates import Rates
from services.gateway.routes import application
from services.gateway.sending import KafkaSender
from services.gateway.watch import Watch
from services.kit import process
from services.kit.database import open_pool
from services.kit.health import Health
from services.kit.listening import Listener
from services.kit.migrations import require_current
from services.kit.open_files import allow
from services.kit.outbox import PUBLISHED_CHANNEL
from services.kit.process import Parts
from services.kit.reading_role import open_reading_pool
from services.kit.settings import Settings

log = structlog.get_logger()

SERVICE = "gateway"
# The callers there is room for, each a connection, and what else is open.
_OPEN_FILES = MOST_CALLERS + 500


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Parts]:
    """Everything the gateway needs; its own application is served on the HTTP port.

    Raises SchemaTooOld, ReadingRoleRefused, and what `is_away` knows when the database does not
    answer at the start.
    """
    if (allowed := allow(_OPEN_FILES)) < _OPEN_FILES:
        log.warning("fewer files may be open than there is room for callers", allowed=allowed)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            await open_pool(settings.database_url, application_name=SERVICE)
        )
        async with pool.acquire() as connection:
            await require_current(connection)
        reading = await stack.enter_async_context(
            await open_reading_pool(settings.reading_address, application_name=SERVICE)
        )
        sender = KafkaSender(settings)
        stack.push_async_callback(sender.close)
        sender.start()
        board = AnswerBoard(look_in(pool))
        listener = Listener(settings.database_url, [PUBLISHED_CHANNEL], application_name=SERVICE)
        hub = Hub(
            pool=pool,
            reading=Reader(reading),
            sender=sender,
            board=board,
            rates=Rates(settings.http_rate_limit),
        )
        watch = Watch(hub)
        health = Health(watch.checks())
        yield Parts(
            app=application(hub, health),
            health=health,
            work={
                "answers": board.run,
                "announcements": lambda stopping: board.announce(listener, stopping),
                "listener": listener.run,
                "watch": watch.run,
            },
        )


def run(settings: Settings | None = None) -> int:
    """Serve until SIGTERM; the exit code."""
    return process.run(SERVICE, build, settings)
