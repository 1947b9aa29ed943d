"""A worker process: the stream of one kind of topics, the lane loop, and what tells of both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from starlette.routing import BaseRoute

from schemas.topics import ORDERS, SLUG
from services.commands.asyncapi import asyncapi_routes
from services.commands.gauges import Gauges
from services.commands.intake_clock import IntakeClock
from services.commands.lane_loop import LaneLoop
from services.commands.pipeline import Pipeline
from services.commands.upkeep import Upkeep
from services.kit.database import open_pool, transaction
from services.kit.migrations import require_current
from services.kit.process import Parts, Work
from services.kit.settings import Settings
from services.kit.stream import Stream

POOL_SIZE = 6


@asynccontextmanager
async def worker(
    settings: Settings,
    *,
    service: str,
    base: str,
    summary: str,
    tells: bool = False,
    work: Mapping[str, Work] | None = None,
    routes: Sequence[BaseRoute] = (),
) -> AsyncIterator[Parts]:
    """The parts of a service that reads `base` and every tenant's topic of it.

    `tells`: it also sets the gauges that tell what the database holds, and does the upkeep.
    `work` and `routes` are what the service has besides. Raises SchemaTooOld where the database was
    not migrated far enough, and what means that the database is away.
    """
    pool = await open_pool(
        settings.database_url, application_name=f"crossroads {service}", max_size=POOL_SIZE
    )
    try:
        async with transaction(pool) as connection:
            await require_current(connection)
        stream = Stream(
            settings,
            service=service,
            group=f"{settings.deployment}.{service}",
            pattern=topic_pattern(base),
            work=Pipeline(service),
            pool=pool,
            title=base,
            description=summary,
        )
        lanes = LaneLoop(
            pool,
            settings.database_url,
            service=service,
            wait_seconds=settings.lane_wait_seconds,
        )
        watch: dict[str, Work] = {}
        if tells:
            watch = {"gauges": Gauges(pool).run, "upkeep": Upkeep.of(settings).run}
        if base == ORDERS:
            watch["clock"] = IntakeClock(pool, stream, settings, topic_pattern(base)).run
        yield Parts(
            work={"stream": stream.run, "lanes": lanes.run, **watch, **(work or {})},
            checks={"stream": stream.ready},
            routes=[*asyncapi_routes(service, base, summary), *routes],
        )
    finally:
        await pool.close()


def topic_pattern(base: str) -> str:
    """Matches the base's own topic and every tenant's, and no other."""
    escaped = base.replace(".", r"\.")
    return rf"^{escaped}(\.{SLUG.pattern})?$"
