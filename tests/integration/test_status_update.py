"""order-intake and status-update beside each other, on real topics: what comes before its order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from services.commands import intake_clock
from services.commands.intake_clock import IntakeClock
from services.commands.lane_loop import LaneLoop
from services.commands.pipeline import Pipeline
from services.kit.kafka import TopicAdmin, TopicSpec
from services.kit.settings import Settings
from services.kit.stream import Stream, Tuning
from tests.integration.hub import Hub, hub, order, results, status, two_companies
from tests.integration.stream_world import until

QUICK = Tuning(look_every=0.1, recheck=0.1)
PARTITIONS = 3


class Deployment:
    """Two companies with topics of their own, and processes that read them when they are wanted."""

    def __init__(self, settings: Settings, world: Hub, origin: str, destination: str) -> None:
        self.settings = settings
        self.world = world
        self.origin, self.destination = origin, destination
        self.orders = f"crossroads.orders.{origin}"
        self.progress = f"crossroads.progress.{destination}"
        self.producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka_bootstrap_servers, acks="all"
        )

    @asynccontextmanager
    async def running(self, service: str, topic: str) -> AsyncIterator[None]:
        """A process's stream, its lane loop, and of order-intake the clock."""
        pool, dsn = self.world.pool, self.settings.database_url
        pattern = "^" + topic.replace(".", r"\.") + "$"
        stream = Stream(
            self.settings, service=service, group=f"{topic}.{service}", work=Pipeline(service),
            pool=pool, pattern=pattern, tuning=QUICK,
        )  # fmt: skip
        work = [stream.run, LaneLoop(pool, dsn, service=service, wait_seconds=1.0).run]
        if topic == self.orders:
            work.append(IntakeClock(pool, stream, self.settings, pattern).run)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each(stop))
            try:
                yield
            finally:
                stop.set()

    async def say(self, topic: str, operation: str, id_: str, body: Any) -> None:
        partner = self.destination if topic == self.orders else self.origin
        await self.produce(topic, operation, id_, body, partner)

    async def produce(self, topic: str, operation: str, id_: str, body: Any, partner: str) -> None:
        """A command to this tenant; the topic says whose it is."""
        headers = {
            "ce_specversion": "1.0",
            "ce_id": id_,
            "ce_source": "/test",
            "ce_type": f"crossroads.{operation}.v1",
            "ce_desttenant": partner,
        }
        await self.producer.send_and_wait(
            topic,
            orjson.dumps(body),
            key=id_.encode(),
            headers=[(name, value.encode()) for name, value in headers.items()],
        )

    async def told(self, command_id: str) -> list[tuple[str, str | None]]:
        """(outcome, code) of everything a command was told."""
        out = results(await self.world.outgoing())
        return [(each["outcome"], each["code"]) for each in out if each["command_id"] == command_id]

    async def is_told(self, command_id: str, outcome: str) -> None:
        async def found() -> bool:
            return outcome in [each for each, _ in await self.told(command_id)]

        await until(found, f"{command_id} {outcome}")


@pytest.fixture
async def deployment(
    kafka: str, fresh_database: str, slug: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Deployment]:
    monkeypatch.setattr(intake_clock, "LOOK_SECONDS", 0.1)
    settings = Settings(
        database_url=fresh_database,
        kafka_bootstrap_servers=kafka,
        session_timeout_seconds=6,
        metadata_max_age_ms=500,
    )
    async with hub(fresh_database) as world:
        origin, destination = f"o{slug}", f"d{slug}"
        await two_companies(world, origin, destination)
        found = Deployment(settings, world, origin, destination)
        async with TopicAdmin(settings) as admin:
            await admin.create_missing(
                [TopicSpec(topic, PARTITIONS) for topic in (found.orders, found.progress)]
            )
        await found.producer.start()
        try:
            yield found
        finally:
            await found.producer.stop()


async def test_k42_a_status_waits_for_its_order_as_long_as_intake_does_not_keep_up(
    deployment: Deployment,
) -> None:
    """The order lies unread on its topic: no deadline counts. Then one is missed, one is not."""
    d = deployment
    await d.say(d.orders, "order.create", "create", order("A1"))
    async with d.running("status-update", d.progress):
        await d.say(d.progress, "order.update-status", "early", status("A1"))
        await d.say(d.progress, "order.update-status", "nobodys", status("A2"))
        await d.is_told("early", "waiting")
        await d.is_told("nobodys", "waiting")
        assert await d.world.pool.fetchval("SELECT counted FROM intake_clock") == 0
        assert await d.world.lanes.end_overdue() == 0
        async with d.running("order-intake", d.orders):
            await d.is_told("early", "done")
            await d.is_told("nobodys", "refused")
            assert await d.told("nobodys") == [
                ("waiting", "lane.order_unknown"),
                ("refused", "request.order_not_found"),
            ]
            await d.say(d.progress, "order.update-status", "late", status("A1"))
            await d.is_told("late", "done")
    assert await d.told("early") == [("waiting", "lane.order_unknown"), ("done", None)]
    assert await d.world.pool.fetchval("SELECT origin_sequence FROM orders") == 2
    assert await d.world.pool.fetchval("SELECT count(*) FROM lane_commands") == 0


async def test_each_takes_effect_once_under_two_processes_of_each_kind(
    deployment: Deployment,
) -> None:
    """Statuses before, while and after their orders are made; per order in the order they came."""
    d = deployment
    orders, statuses = 20, 5

    async def one(number: str) -> None:
        for each in range(statuses):
            if each == 2:
                await d.say(d.orders, "order.create", f"create-{number}", order(number))
            said = status(number, assigned_to=str(each))
            await d.say(d.progress, "order.update-status", f"{number}-{each}", said)

    async with (
        d.running("status-update", d.progress),
        d.running("status-update", d.progress),
        d.running("order-intake", d.orders),
        d.running("order-intake", d.orders),
    ):
        await asyncio.gather(*(one(f"N{number}") for number in range(orders)))

        async def all_done() -> bool:
            done = (
                "SELECT count(*) FROM commands WHERE outcome = 'done' AND operation LIKE 'order%'"
            )
            return bool(await d.world.pool.fetchval(done) == orders * (statuses + 1))

        await until(all_done, "every command done")
    counts = await d.world.pool.fetch("SELECT origin_sequence, waiting FROM orders")
    assert [tuple(row) for row in counts] == [(statuses, 0)] * orders
    assert await d.world.lanes.sweep() == 0
