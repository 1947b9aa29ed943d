"""The reference-data service, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from schemas import topics
from services.commands.lane_loop import LaneLoop
from services.commands.pipeline import Pipeline
from services.kit.database import open_pool, transaction
from services.kit.migrations import require_current
from services.kit.process import Parts, run
from services.kit.settings import Settings
from services.kit.stream import Stream
from services.reference_data import documents
from services.reference_data.topics import TopicReconciler

SERVICE = "reference-data"
TITLE = "Crossroads reference data"
DESCRIPTION = (
    "Tenants, pairs, master records and mappings: idempotent upserts by their keys, in any order."
)
# Matched from its start, so only its end is said.
PATTERN = r"crossroads\.reference(\.[a-z0-9-]{2,40})?$"


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Parts]:
    """What the process consists of: the stream, the lane loop, and the topics' reconciler."""
    pool = await open_pool(settings.database_url, application_name=f"crossroads {SERVICE}")
    try:
        async with transaction(pool) as connection:
            await require_current(connection)
        stream = Stream(
            settings,
            service=SERVICE,
            group=f"{settings.deployment}-{SERVICE}",
            work=Pipeline(SERVICE),
            pool=pool,
            pattern=PATTERN,
            title=topics.REFERENCE,
            description=DESCRIPTION,
        )
        lanes = LaneLoop(pool, settings.database_url, service=SERVICE)
        reconciler = TopicReconciler(settings, pool)
        yield Parts(
            work={"the stream": stream.run, "the lanes": lanes.run, "topics": reconciler.run},
            checks={"stream": stream.ready},
            routes=documents.routes(topics.REFERENCE, TITLE, DESCRIPTION),
        )
    finally:
        await pool.close()


def main() -> int:
    """Run the service until it is told to stop; the exit code."""
    return run(SERVICE, build)
