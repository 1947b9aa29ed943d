"""The stream against a real broker and a real PostgreSQL: protocol §1, §2 and §6."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from services.kit import kafka as brokers
from services.kit.database import Pool, open_pool
from services.kit.errors import ServiceMustStop
from services.kit.faults import FaultBound
from services.kit.kafka import TopicAdmin, TopicSpec
from services.kit.settings import Settings
from services.kit.stream import Stream, Tuning
from tests.integration.proxy import Proxy
from tests.integration.stream_world import TABLE, Noting, until

PARTITIONS = 3


class World:
    """One topic, one database, and any number of readers."""

    def __init__(self, settings: Settings, pool: Pool, topic: str) -> None:
        self.settings = settings
        self.pool = pool
        self.topic = topic
        self.producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers)
        self.numbers = itertools.count()

    @asynccontextmanager
    async def reader(
        self,
        work: Noting | None = None,
        *,
        pool: Pool | None = None,
        bound: int = 20,
        grace: float = 5.0,
    ) -> AsyncIterator[Stream]:
        stream = Stream(
            self.settings,
            service="test",
            group=f"group-{self.topic}",
            work=work or Noting(),
            pool=pool or self.pool,
            pattern=rf"^{self.topic.replace('.', '[.]')}([.][a-z0-9-]{{2,40}})?$",
            tuning=Tuning(
                shorter_grace=grace,
                look_every=0.1,
                recheck=0.1,
                bound=FaultBound(bound, 0.05),
            ),
        )
        await stream.start()
        try:
            yield stream
        finally:
            await stream.stop()

    async def send(self, count: int, topic: str | None = None) -> list[str]:
        values = [f"v{next(self.numbers)}" for _ in range(count)]
        for value in values:
            await self.send_one(value.encode(), topic=topic)
        return values

    async def send_one(
        self,
        value: bytes | None,
        *,
        topic: str | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> None:
        partition = 0 if topic else next(self.numbers) % PARTITIONS
        await self.producer.send_and_wait(
            topic or self.topic, value, partition=partition, headers=list(headers)
        )

    async def send_as_one_batch(self, count: int) -> list[str]:
        values = [f"v{next(self.numbers)}" for _ in range(count)]
        batch = self.producer.create_batch()
        for value in values:
            batch.append(key=None, value=value.encode(), timestamp=None)
        await (await self.producer.send_batch(batch, self.topic, partition=0))
        return values

    async def seen(self) -> list[str]:
        rows = await self.pool.fetch("select value from seen where not poisoned order by value")
        return [row["value"] for row in rows]

    async def see(self, values: Sequence[str]) -> None:
        """Waits until as many records are stored, then checks that these are, each once."""

        async def enough() -> bool:
            return len(await self.seen()) >= len(values)

        await until(enough, f"{len(values)} records stored")
        assert await self.seen() == sorted(values)


async def ready(*streams: Stream) -> None:
    async def all_ready() -> bool:
        return all(stream.ready()[0] for stream in streams)

    await until(all_ready, "the readers are ready")


@pytest.fixture
async def world(fresh_database: str, kafka: str, slug: str) -> AsyncIterator[World]:
    settings = Settings(
        database_url=fresh_database,
        kafka_bootstrap_servers=kafka,
        session_timeout_seconds=10,
        metadata_max_age_ms=500,
        _env_file=None,
    )
    topic = f"stream.{slug}"
    async with TopicAdmin(settings) as admin:
        assert await admin.create_missing([TopicSpec(topic, PARTITIONS)]) == {topic: None}
    pool = await open_pool(fresh_database, application_name="test")
    await pool.execute(TABLE)
    world = World(settings, pool, topic)
    await world.producer.start()
    yield world
    await world.producer.stop()
    await pool.close()


async def test_each_record_takes_effect_once_across_restarts(world: World) -> None:
    values = await world.send(20)
    async with world.reader() as stream:
        await world.see(values)
        await ready(stream)
    values += await world.send(20)
    # The group's offsets are lost with a broker's bookkeeping; the marks are what counts.
    async with world.reader() as stream:
        await world.see(values)
        await ready(stream)

        async def caught_up() -> bool:
            return set(stream.lag().values()) == {0}

        await until(caught_up, "no lag is left")


async def test_a_reader_cut_off_in_the_middle_of_a_batch_repeats_nothing(world: World) -> None:
    holding = asyncio.Event()

    async def hold(_: object) -> None:
        holding.set()
        await asyncio.Event().wait()

    work = Noting()
    work.before = hold
    values = await world.send(10)
    async with world.reader(work) as stream:
        await holding.wait()
        # As a kill does: nothing is drained, the transaction is cut.
        for task in list(stream._subscriber.tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    async with world.reader():
        await world.see(values)


async def test_two_readers_take_each_record_once_through_a_rebalance(world: World) -> None:
    values = await world.send(30)
    async with world.reader() as first:
        await ready(first)
        async with world.reader() as second:
            values += await world.send(60)

            async def shared() -> bool:
                both = first._reader.partitions(), second._reader.partitions()
                return all(both) and len(both[0] | both[1]) == PARTITIONS

            await until(shared, "both have partitions")
            values += await world.send(60)
            await world.see(values)
        values += await world.send(30)
        await world.see(values)


async def test_bad_headers_and_a_poisoned_record_do_not_touch_their_neighbours(
    world: World,
) -> None:
    values = await world.send(3)
    await world.send_one(b"illegible", headers=[("ce_id", b"\xff\xfe")])
    await world.send_one(b"null", headers=[("ce_id", None)])
    await world.send_one(b"bad")
    values += await world.send(3)
    async with world.reader():
        await world.see([*values, "illegible", "null"])

        async def given_up() -> bool:
            found: int = await world.pool.fetchval("select count(*) from seen where poisoned")
            return found == 1

        await until(given_up, "the bad record is given up")


async def test_too_many_faults_end_the_service(world: World) -> None:
    for _ in range(4):
        await world.send_one(b"bad")
    async with world.reader(bound=2) as stream:
        with pytest.raises(ServiceMustStop, match="failed in unforeseen ways"):
            async with asyncio.timeout(60):
                await stream.wait()
        assert stream.ready() == (False, "the stream has failed")
    assert await world.pool.fetchval("select count(*) from seen where poisoned") == 2


async def test_a_database_that_goes_away_fails_readiness_and_loses_and_repeats_nothing(
    world: World,
) -> None:
    async with Proxy.to(world.settings.database_url) as proxy:
        work = Noting()
        pool = await open_pool(proxy.dsn, application_name="through the proxy")
        async with world.reader(work, pool=pool) as stream:
            values = await world.send(10)
            await world.see(values)
            await proxy.cut()
            values += await world.send(10)

            async def unready() -> bool:
                return not stream.ready()[0]

            await until(unready, "readiness fails")
            assert await world.pool.fetchval("select count(*) from stream_faults") == 0
            await proxy.mend()
            await world.see(values)
            await ready(stream)
        pool.terminate()
    assert await world.pool.fetchval("select count(*) from seen where poisoned") == 0


async def test_a_mark_that_went_back_is_followed(world: World) -> None:
    async with world.reader():
        values = await world.send(9)
        await world.see(values)
        # A replica was promoted that had lost the last transactions.
        await world.pool.execute("delete from seen")
        await world.pool.execute("update stream_positions set next_offset = 0")
        values += await world.send(9)
        await world.see(values)


async def test_a_topic_that_appears_is_served_and_a_longer_name_is_not(world: World) -> None:
    async with world.reader() as stream:
        await ready(stream)
        mine, other = f"{world.topic}.acme", f"{world.topic}.acme.more"
        async with TopicAdmin(world.settings) as admin:
            await admin.create_missing([TopicSpec(mine, 1), TopicSpec(other, 1)])
        await world.send(2, topic=other)
        values = await world.send(3, topic=mine)
        await world.see(values)
        assert {each.topic for each in stream._reader.partitions()} == {world.topic, mine}


async def test_the_broker_tells_its_cluster_and_the_ends_of_its_logs(world: World) -> None:
    await world.send(1, topic=world.topic)
    view = brokers.BrokerView(world.settings)
    ends = await view.log_ends([TopicPartition(world.topic, 0), TopicPartition("nowhere", 0)])
    assert [(each.start, each.end) for each in ends.values()] == [(0, 1)]
    assert await view.cluster_id() == await brokers.cluster_id(world.settings)
    await view.close()


async def test_a_log_of_one_batch_of_many_records_ends_behind_the_last_of_them(
    world: World,
) -> None:
    """The embedded broker lists its end too low: restarted, the stream must not read it again."""
    async with world.reader() as stream:
        await ready(stream)
        values = await world.send_as_one_batch(7)
        await world.see(values)
    view = brokers.BrokerView(world.settings)
    listed = await view.log_ends([TopicPartition(world.topic, 0)])
    fetched = await view.fetched_ends(listed)
    assert fetched[TopicPartition(world.topic, 0)].end == 7
    await view.close()
    before = await world.pool.fetchval("select max(lineage) from stream_positions")
    async with world.reader(grace=0) as stream:
        await ready(stream)
        values += await world.send(1)
        await world.see(values)
    assert await world.pool.fetchval("select max(lineage) from stream_positions") == before
