"""The relay's process: one loop over the outbox, with what tells of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.kit import process
from services.kit.database import open_session
from services.kit.kafka import client_arguments
from services.kit.migrations import require_current
from services.kit.process import Parts
from services.kit.settings import Settings
from services.relay.at_least_once import AtLeastOnce
from services.relay.delivery import Delivery
from services.relay.exactly_once import ExactlyOnce
from services.relay.loop import Relay

SERVICE = "relay"


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Parts]:
    """The parts of this process.

    Raises SchemaTooOld where the database was not migrated far enough, and what means that the
    database is away.
    """
    name = f"crossroads {SERVICE}"
    session = await open_session(settings.database_url, application_name=name)
    try:
        await require_current(session)
    finally:
        await session.close()
    arguments = client_arguments(settings)
    delivery: Delivery = (
        ExactlyOnce(arguments, settings.deployment)
        if settings.delivery == "exactly-once"
        else AtLeastOnce(arguments)
    )
    relay = Relay(settings.database_url, delivery, application_name=name)
    yield Parts(work={"relay": relay.run}, checks={"relay": relay.ready})


def run(settings: Settings | None = None) -> int:
    """Serve until SIGTERM; the exit code."""
    return process.run(SERVICE, build, settings)
