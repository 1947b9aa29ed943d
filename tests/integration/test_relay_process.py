"""The relay as a process of its own: killed, ended, and refusing what it cannot do."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.relay_world import (
    a_cause,
    create_topics,
    emptied,
    final,
    ids,
    name,
    put,
    read,
    sync,
    until,
    value_of,
)
from tests.servers import TANSU, brokers

PROGRAM = "import sys; from services.relay.app import run; sys.exit(run())"
ROOT = Path(__file__).parents[2]
LAST = "SELECT last_value FROM outbox_id_seq"


@asynccontextmanager
async def process(dsn: str, kafka: str, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {
        "CROSSROADS_DATABASE_URL": dsn,
        "CROSSROADS_KAFKA_BOOTSTRAP_SERVERS": kafka,
    }
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, cwd=ROOT, env=environment | more,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield started
    finally:
        with suppress(ProcessLookupError):
            started.kill()
        await started.communicate()


async def test_killed_again_and_again_it_loses_nothing_and_keeps_the_order(
    fresh_database: str, kafka: str
) -> None:
    topic, results = name("sync"), name("results")
    await create_topics(kafka, topic, results)
    stored = 0

    async def write_until_seen(seen: int) -> None:
        nonlocal stored
        while await value_of(fresh_database, LAST) < seen:
            stored += 1
            cause = a_cause()
            await put(
                fresh_database,
                [sync(topic, "order", stored, cause), final(results, "order", cause)],
            )

    for kill in range(1, 4):
        async with process(fresh_database, kafka) as relay:
            await write_until_seen(kill * 60)

            async def some_went(left: int = stored) -> bool:
                query = "SELECT count(*) FROM outbox"
                return int(await value_of(fresh_database, query)) < left

            await until(some_went)
            relay.send_signal(signal.SIGKILL)
    async with process(fresh_database, kafka) as relay:
        # A row of its own: the one that ends in order has published.
        await write_until_seen(int(await value_of(fresh_database, LAST)) + 1)
        await emptied(fresh_database)
        relay.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(relay.wait(), 15) == 0
    first_occurrences = list(dict.fromkeys(ids(await read(kafka, topic))))
    assert first_occurrences == [f"order-{n}" for n in range(1, stored + 1)]
    assert len(set(ids(await read(kafka, results)))) == stored


@pytest.mark.skipif(brokers()[0] != TANSU, reason="Another broker than the embedded one is given.")
@pytest.mark.one_broker
async def test_a_broker_without_transactions_ends_it_with_a_reason_where_they_are_asked_for(
    fresh_database: str, kafka: str
) -> None:
    async with process(fresh_database, kafka, CROSSROADS_DELIVERY="exactly-once") as relay:
        _, said = await asyncio.wait_for(relay.communicate(), 20)
    assert relay.returncode == 2
    assert b"CROSSROADS_DELIVERY is exactly-once, which this broker cannot do" in said


@pytest.mark.one_broker
async def test_a_database_without_its_tables_ends_it_with_a_reason(
    empty_database: str, kafka: str
) -> None:
    async with process(empty_database, kafka) as relay:
        _, said = await asyncio.wait_for(relay.communicate(), 20)
    assert relay.returncode == 1
    assert b"crossroads db migrate" in said
