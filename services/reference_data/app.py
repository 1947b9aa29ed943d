"""The reference-data process: upserts through the pipeline, and topics for every tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from schemas.topics import REFERENCE
from services.commands.worker import worker
from services.kit import process
from services.kit.database import open_pool
from services.kit.process import Parts
from services.kit.settings import Settings
from services.reference_data.topics import TopicReconciler

SERVICE = "reference-data"
SUMMARY = (
    "Takes in tenants, pairs, master records and mappings, in any order, "
    "and lets go on what waited for them."
)


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Parts]:
    """The parts of this process. Raises what `worker` raises."""
    name = f"crossroads {SERVICE} topics"
    async with await open_pool(settings.database_url, application_name=name, max_size=1) as pool:
        reconciler = TopicReconciler(settings, pool)
        work = {"topics": reconciler.run}
        async with worker(
            settings, service=SERVICE, base=REFERENCE, summary=SUMMARY, work=work
        ) as parts:
            yield parts


def run(settings: Settings | None = None) -> int:
    """Serve until SIGTERM; the exit code."""
    return process.run(SERVICE, build, settings)
