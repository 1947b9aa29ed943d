"""The gateway's producer when its broker is killed and comes back, with or without its topics."""

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from schemas.topics import ORDERS
from services.gateway.producing import close_producer, open_producer
from services.gateway.sending import KafkaSender, OutgoingCommand
from services.kit.errors import BrokerAway
from services.kit.kafka import TopicAdmin, TopicSpec, client_arguments
from services.kit.settings import Settings
from services.local.brokers import BROKERS
from services.local.ports import Ports
from services.local.supervisor import Supervisor
from tests.integration.forgetful import between
from tests.integration.relay_world import read, until
from tests.servers import no_archives

DATABASE = "postgresql://nobody@127.0.0.1:1/none"


def command(number: str) -> OutgoingCommand:
    return OutgoingCommand(
        topic=ORDERS, type="crossroads.order.create.v1", key=number, value=b"{}", id=number,
        origin="acme", tenant_id="1", partner="blue", system=None, instance=None, strict=False,
        correlation_id=number,
    )  # fmt: skip


@asynccontextmanager
async def own_broker(kind: str) -> AsyncIterator[tuple[Settings, Supervisor]]:
    """A broker that may be killed, and comes back on its port."""
    data = Path(tempfile.mkdtemp(prefix="crossroads-gateway-"))
    (data / "logs").mkdir()
    broker = BROKERS[kind](data, Ports().take(), data / "logs")
    await broker.prepare()
    supervisor = Supervisor(data)
    supervisor.add(broker.program(environment=dict(os.environ), stage=0, after_start=None))
    await supervisor.wait_ready(["broker"], seconds=60)
    yield (
        Settings(
            database_url=DATABASE,
            kafka_bootstrap_servers=broker.bootstrap_servers,
            metadata_max_age_ms=500,
            _env_file=None,
        ),
        supervisor,
    )
    await supervisor.stop()
    shutil.rmtree(data)


async def create_topic(settings: Settings) -> None:
    async with TopicAdmin(settings) as admin:
        assert await admin.create_missing([TopicSpec(ORDERS, 1)]) == {ORDERS: None}


async def killed_and_back(supervisor: Supervisor) -> None:
    (broker,) = supervisor.processes
    os.kill(broker.pid, signal.SIGKILL)

    async def anew() -> bool:
        (now,) = supervisor.processes
        return now.ready and now.pid not in (0, broker.pid)

    await until(anew)


async def sent(sender: KafkaSender, number: str) -> bool:
    try:
        await sender.send([command(number)])
    except BrokerAway:
        return False
    return True


async def keys(settings: Settings) -> list[bytes | None]:
    return [each.key for each in await read(settings.kafka_bootstrap_servers, ORDERS)]


async def test_no_command_is_acknowledged_by_a_broker_that_came_back_without_the_topic():
    async with own_broker("tansu") as (settings, supervisor):
        await create_topic(settings)
        sender = KafkaSender(settings)
        sender.start()
        await until(lambda: sent(sender, "before"))
        await killed_and_back(supervisor)
        assert not await sent(sender, "refused")
        async with TopicAdmin(settings) as admin:
            assert await admin.names() == set()
        await create_topic(settings)
        await until(lambda: sent(sender, "after"))
        await sender.close()
        assert b"after" in await keys(settings)


async def test_the_embedded_brokers_producer_is_not_idempotent():
    async with own_broker("tansu") as (settings, _):
        producer = await open_producer(client_arguments(settings), max_request_size=1024)
        assert producer._txn_manager is None
        await close_producer(producer)


@pytest.mark.skipif(no_archives() is not None, reason=str(no_archives()))
async def test_apache_kafkas_producer_is_idempotent_and_outlives_a_kill_of_the_broker():
    async with own_broker("kafka") as (settings, supervisor):
        await create_topic(settings)
        sender = KafkaSender(settings)
        sender.start()
        await until(lambda: sent(sender, "before"))
        assert sender._producer is not None
        assert sender._producer._txn_manager.has_pid()
        await killed_and_back(supervisor)
        await until(lambda: sent(sender, "after"))
        assert await keys(settings) == [b"before", b"after"]
        # As after a crash of the broker's machine that took records with it: the numbers differ.
        first = sender._producer
        numbers = first._txn_manager._sequence_numbers
        numbers[TopicPartition(ORDERS, 0)] += 5
        assert not await sent(sender, "refused")
        await until(lambda: sent(sender, "by another"))
        assert sender._producer is not first
        await sender.close()
        assert await keys(settings) == [b"before", b"after", b"by another"]


@pytest.mark.skipif(no_archives() is not None, reason=str(no_archives()))
async def test_a_command_whose_acknowledgement_was_lost_is_on_apache_kafka_once(
    monkeypatch: pytest.MonkeyPatch,
):
    async with own_broker("kafka") as (settings, _):
        await create_topic(settings)
        async with between(settings.kafka_bootstrap_servers, monkeypatch) as network:
            sender = KafkaSender(settings)
            sender.start()
            await until(lambda: sent(sender, "before"))
            network.losses = 1
            assert await sent(sender, "its answer is lost")
            assert network.lost == 1
            await sender.close()
        assert await keys(settings) == [b"before", b"its answer is lost"]
