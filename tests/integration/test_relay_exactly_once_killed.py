"""Delivery exactly once when processes and servers are killed, or stand still (guarantee 4)."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from services.kit.migrations import migrate
from services.local.placing import remove_place
from services.local.ports import Ports
from services.local.postgres import Postgres
from services.local.supervisor import Supervisor
from tests.integration.relay_world import (
    a_cause,
    a_deployment,
    create_topics,
    emptied,
    exact_relay,
    final,
    ids,
    left,
    name,
    on_transactions,
    put,
    read,
    sync,
    until,
    value_of,
)
from tests.integration.test_relay_process import process

pytestmark = on_transactions()

EXACTLY_ONCE = {"CROSSROADS_DELIVERY": "exactly-once"}


class Story:
    """Syncs of one order and their results, stored one after the other."""

    def __init__(self, dsn: str, kafka: str) -> None:
        self.dsn, self.kafka = dsn, kafka
        self.syncs, self.results = name("sync"), name("results")
        self.stored: list[str] = []

    async def store(self, count: int) -> None:
        for _ in range(count):
            cause = a_cause()
            number = len(self.stored) + 1
            rows = [
                sync(self.syncs, "order", number, cause),
                final(self.results, "order", cause),
            ]
            await put(self.dsn, rows)
            self.stored.append(f"final-{cause.hex()}")

    async def some_went(self) -> None:
        """Wait until fewer rows are left than now."""
        before = await left(self.dsn)

        async def fewer() -> bool:
            return await left(self.dsn) < before

        await until(fewer)

    async def check(self) -> None:
        """Everything is on its topics once, in order."""
        syncs = ids(await read(self.kafka, self.syncs, committed=True))
        results = ids(await read(self.kafka, self.results, committed=True))
        assert syncs == [f"order-{n + 1}" for n in range(len(self.stored))]
        assert results == self.stored


async def begun(dsn: str, kafka: str) -> Story:
    story = Story(dsn, kafka)
    await create_topics(kafka, story.syncs, story.results)
    return story


async def test_killed_again_and_again_it_repeats_nothing_and_keeps_the_order(
    fresh_database: str, kafka: str
) -> None:
    settings = EXACTLY_ONCE | {"CROSSROADS_DEPLOYMENT": await a_deployment(kafka)}
    story = await begun(fresh_database, kafka)
    for _ in range(3):
        await story.store(30)
        async with process(fresh_database, kafka, **settings) as relay:
            await story.some_went()
            await story.store(10)
            relay.send_signal(signal.SIGKILL)
    async with process(fresh_database, kafka, **settings) as relay:
        await emptied(fresh_database)
        relay.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(relay.wait(), 15) == 0
    await story.check()


async def test_frozen_and_thawed_after_the_other_took_over_it_repeats_nothing_and_lives_on(
    fresh_database: str, kafka: str
) -> None:
    settings = EXACTLY_ONCE | {"CROSSROADS_DEPLOYMENT": await a_deployment(kafka)}
    story = await begun(fresh_database, kafka)
    async with (
        process(fresh_database, kafka, **settings) as first,
        process(fresh_database, kafka, **settings) as second,
    ):
        # Each in turn: one of them has the order.
        for frozen in (first, second, first):
            await story.store(20)
            frozen.send_signal(signal.SIGSTOP)
            await story.store(20)
            # What idle_session_timeout does to it after ten seconds; the other's begins anew.
            ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            await value_of(fresh_database, f"{ended} WHERE application_name = 'crossroads relay'")
            await emptied(fresh_database)
            frozen.send_signal(signal.SIGCONT)
            await story.store(20)
            await emptied(fresh_database)
        assert (first.returncode, second.returncode) == (None, None)
    await story.check()


async def test_a_database_killed_in_between_repeats_nothing(kafka: str) -> None:
    """Deletions commit asynchronously: what the crash undoes is found to have gone out."""
    async with own_database() as (database, supervisor):
        story = await begun(database.dsn, kafka)
        async with exact_relay(database.dsn, kafka, await a_deployment(kafka)):
            for _ in range(3):
                await story.store(40)
                await story.some_went()
                await killed_and_back(supervisor, "postgres")

                async def answers() -> bool:
                    try:
                        return await left(database.dsn) >= 0
                    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                        return False

                await until(answers)
            await story.store(5)
            await emptied(database.dsn)
    await story.check()


@asynccontextmanager
async def own_database() -> AsyncIterator[tuple[Postgres, Supervisor]]:
    """A migrated database that may be killed, and comes back on its port."""
    data = Path(tempfile.mkdtemp(prefix="crossroads-relay-"))
    (data / "logs").mkdir()
    database = Postgres(data, Ports().take(), data / "logs")
    await database.prepare()
    supervisor = Supervisor(data)
    supervisor.add(database.program(environment=dict(os.environ), stage=0))
    await supervisor.wait_ready(["postgres"], seconds=60)
    await migrate(database.dsn)
    yield database, supervisor
    await supervisor.stop()
    remove_place(data, "postgres")
    shutil.rmtree(data)


async def killed_and_back(supervisor: Supervisor, program: str) -> None:
    (one,) = [each for each in supervisor.processes if each.name == program]
    os.kill(one.pid, signal.SIGKILL)

    async def anew() -> bool:
        (now,) = [each for each in supervisor.processes if each.name == program]
        return now.ready and now.pid not in (0, one.pid)

    await until(anew)
