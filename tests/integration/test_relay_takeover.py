"""Several relays, frozen ones, and servers that go away."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import asyncpg
import pytest

from services.kit.migrations import migrate
from services.local.brokers import Tansu
from services.local.placing import remove_place
from services.local.ports import Ports
from services.local.postgres import Postgres
from services.local.supervisor import Supervisor
from services.relay.at_least_once import AtLeastOnce
from services.relay.delivery import Outcome
from services.relay.loop import Relay
from services.relay.rows import Row
from services.relay.session import LockSession
from tests.integration.relay_world import (
    create_topics,
    emptied,
    ids,
    name,
    put,
    read,
    relay,
    running,
    sync,
    until,
    value_of,
)


async def owns(one: Relay, count: int) -> None:
    async def so_many() -> bool:
        return len(one.owned_shards) == count

    await until(so_many)


async def test_a_second_relay_gets_its_share_and_leaves_it_when_it_ends(
    fresh_database: str, kafka: str
) -> None:
    async with relay(fresh_database, kafka) as first:
        await owns(first, 4)
        async with relay(fresh_database, kafka) as second:
            await owns(second, 2)
            await owns(first, 2)
            assert not set(first.owned_shards) & set(second.owned_shards)
        await owns(first, 4)


async def test_two_relays_keep_the_order_while_shards_change_hands(
    fresh_database: str, kafka: str
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)
    async with relay(fresh_database, kafka) as first:
        await owns(first, 4)
        async with relay(fresh_database, kafka) as second:
            n = 0
            while len(second.owned_shards) < 2:
                n += 1
                await put(fresh_database, [sync(topic, f"o{order}", n) for order in range(20)])
            await emptied(fresh_database)
    seen: dict[bytes | None, list[int]] = {}
    for record in await read(kafka, topic):
        seen.setdefault(record.key, []).append(int(dict(record.headers)["ce_sequence"]))
    assert all(list(dict.fromkeys(each)) == list(range(1, n + 1)) for each in seen.values())
    assert len(seen) == 20


class Freezing(AtLeastOnce):
    """Stands still between the acknowledgement and the deletion, once."""

    def __init__(self, kafka: str) -> None:
        super().__init__({"bootstrap_servers": kafka})
        self.frozen = asyncio.Event()
        self.thawed = asyncio.Event()

    async def publish(self, rows: Sequence[Row]) -> Outcome:
        outcome = await super().publish(rows)
        if not self.thawed.is_set():
            self.frozen.set()
            await self.thawed.wait()
        return outcome


async def test_a_frozen_relay_has_lost_its_shards_and_deletes_nothing_when_it_thaws(
    fresh_database: str, kafka: str
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)
    await put(fresh_database, [sync(topic, "order", n) for n in range(1, 4)])
    delivery = Freezing(kafka)
    async with running(Relay(fresh_database, delivery, application_name="frozen")) as frozen:
        await delivery.frozen.wait()
        # What idle_session_timeout does to a process that does not run.
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        await value_of(fresh_database, f"{ended} WHERE application_name = 'frozen'")
        async with relay(fresh_database, kafka) as other:
            await owns(other, 4)
            await emptied(fresh_database)
            await put(fresh_database, [sync(topic, "order", n) for n in range(4, 6)])
            await emptied(fresh_database)
            delivery.thawed.set()
            await owns(frozen, 2)
            await owns(other, 2)
            await put(fresh_database, [sync(topic, "order", 6)])
            await emptied(fresh_database)
    found = ids(await read(kafka, topic))
    assert list(dict.fromkeys(found)) == [f"order-{n}" for n in range(1, 7)]
    assert len(found) == 9


async def test_the_session_of_a_process_that_stands_still_ends_by_itself(
    fresh_database: str,
) -> None:
    session = LockSession(fresh_database, lambda: None, "relay")
    async with session, session.use() as connection:
        assert await connection.fetchval("SHOW idle_session_timeout") == "10s"
        assert await connection.fetchval("SHOW transaction_timeout") == "20s"


@pytest.fixture
async def own_servers() -> AsyncIterator[tuple[Postgres, Tansu, Supervisor]]:
    """A database and a broker that may be killed; both come back on their ports."""
    data = Path(tempfile.mkdtemp(prefix="crossroads-relay-"))
    logs = data / "logs"
    logs.mkdir()
    ports = Ports()
    database, broker = Postgres(data, ports.take(), logs), Tansu(data, ports.take(), logs)
    await database.prepare()
    await broker.prepare()
    supervisor = Supervisor(data)
    supervisor.add(database.program(environment=dict(os.environ), stage=1))
    supervisor.add(broker.program(environment=dict(os.environ), stage=0, after_start=None))
    await supervisor.wait_ready(["postgres", "broker"], seconds=60)
    await migrate(database.dsn)
    yield database, broker, supervisor
    await supervisor.stop()
    remove_place(data, "postgres")
    shutil.rmtree(data)


def kill(supervisor: Supervisor, program: str) -> None:
    (pid,) = [each.pid for each in supervisor.processes if each.name == program]
    os.kill(pid, signal.SIGKILL)


async def test_killed_servers_come_back_and_everything_stored_arrives_in_order(
    own_servers: tuple[Postgres, Tansu, Supervisor],
) -> None:
    database, broker, supervisor = own_servers
    topic, kafka = name("sync"), broker.bootstrap_servers

    async def stored(n: int) -> bool:
        try:
            await put(database.dsn, [sync(topic, "order", n)])
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    async with relay(database.dsn, kafka) as one:
        await create_topics(kafka, topic)
        await until(lambda: stored(1))
        await emptied(database.dsn)
        kill(supervisor, "postgres")
        await supervisor.wait_ready(["postgres"], seconds=60)
        await until(lambda: stored(2))

        async def only_second_arrived() -> bool:
            return len(set(ids(await read(kafka, topic)))) == 2

        await until(only_second_arrived)
        assert list(dict.fromkeys(ids(await read(kafka, topic)))) == ["order-1", "order-2"]
        # The embedded broker comes back empty, under another cluster id: what is stored waits
        # until its topic is there.
        kill(supervisor, "broker")
        await put(database.dsn, [sync(topic, "order", n) for n in range(3, 6)])
        await supervisor.wait_ready(["broker"], seconds=60)
        await create_topics(kafka, topic)
        await emptied(database.dsn)
        assert ids(await read(kafka, topic)) == ["order-3", "order-4", "order-5"]

        async def ready() -> bool:
            return one.ready()[0]

        await until(ready)
