"""What the relay's tests share: rows to store, topics to read, relays to run."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import ConsumerRecord

from schemas.topics import RELAY
from services.kit.outbox import OutgoingRow, RowKind, store
from services.relay.at_least_once import AtLeastOnce
from services.relay.exactly_once import ExactlyOnce
from services.relay.loop import Relay
from tests.servers import TANSU, brokers, no_apache

DEADLINE_SECONDS = 40.0


async def until(
    condition: Callable[[], Awaitable[Any]], *, seconds: float = DEADLINE_SECONDS
) -> Any:
    """What `condition` answers, as soon as it is true."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.02)
        return found


def sync(topic: str, order: str, n: int, cause: bytes | None = None, **more: Any) -> OutgoingRow:
    """The n-th sync record of an order for the tenant of `topic`."""
    return OutgoingRow(
        kind=RowKind.SYNC, topic=topic, key=order.encode(), value=b'{"n":%d}' % n,
        headers=[("ce_id", f"{order}-{n}".encode()), ("ce_sequence", str(n).encode())],
        shard_key=order, stream=f"{order}/{topic}", cause=cause, **more,
    )  # fmt: skip


def final(topic: str, order: str, cause: bytes, **more: Any) -> OutgoingRow:
    """The final result of the command `cause` on an order; with nothing to tell when parked."""
    value = {
        "command_id": cause.hex(), "operation": "order.create", "outcome": "done",
        "http_status": 200, "code": None, "body": {"status": "synced", "message": None, "log": 1},
    }  # fmt: skip
    return OutgoingRow(
        kind=RowKind.FINAL, topic=topic, key=order.encode(), value=orjson.dumps(value),
        headers=[("ce_id", f"final-{cause.hex()}".encode()), ("ce_type", b"result"),
                 ("ce_desttenant", b"acme")],
        shard_key=order, stream=None, cause=cause, **({"told_before": True} | more),
    )  # fmt: skip


def waiting(topic: str, order: str, cause: bytes, shard_key: str | None = None) -> OutgoingRow:
    """A waiting result of the command `cause`."""
    return OutgoingRow(
        kind=RowKind.WAITING, topic=topic, key=order.encode(), value=b'{"outcome":"waiting"}',
        headers=[("ce_id", f"waiting-{cause.hex()}".encode())], shard_key=shard_key or order,
        stream=None, cause=cause,
    )  # fmt: skip


async def put(dsn: str, rows: Sequence[OutgoingRow]) -> list[int]:
    """Store rows in a transaction of their own; their ids."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            return await store(connection, rows)
    finally:
        await connection.close()


async def value_of(dsn: str, query: str, *arguments: Any) -> Any:
    """The one value a query answers."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def left(dsn: str) -> int:
    """How many rows wait in either table."""
    query = "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM outbox_parked)"
    return int(await value_of(dsn, query))


async def emptied(dsn: str) -> None:
    """Wait until every row was published and deleted."""

    async def empty() -> bool:
        return await left(dsn) == 0

    await until(empty)


async def parked(dsn: str, count: int, *, alone: bool = True) -> None:
    """Wait until `count` rows are parked; `alone`: and no other row waits."""
    query = (
        "SELECT (SELECT count(*) FROM outbox_parked) = $1 "
        "AND NOT ($2 AND EXISTS (SELECT FROM outbox))"
    )
    await until(lambda: value_of(dsn, query, count, alone))


def two_orders(
    missing: str, there: str, results: str, held: bytes, free: bytes
) -> list[OutgoingRow]:
    """Order a, of the command `held`, goes to a topic that is missing as well; order b does not."""
    return [
        sync(missing, "order-a", 1, held),
        sync(there, "order-a", 1, held),
        final(results, "order-a", held),
        sync(there, "order-b", 1, free),
        final(results, "order-b", free),
        sync(missing, "order-a", 2),
    ]


async def create_topics(
    kafka: str, *names: str, partitions: int = 1, configs: dict[str, str] | None = None
) -> None:
    """Create topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(name, partitions, 1, topic_configs=configs) for name in names]
        )
    finally:
        await admin.close()


async def read(
    kafka: str, topic: str, partitions: int = 1, *, committed: bool = False
) -> list[ConsumerRecord[bytes, bytes]]:
    """All records of a topic now, by partition and offset; `committed`: of no open transaction."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed" if committed else "read_uncommitted",
    )
    await consumer.start()
    try:
        all_of_it = [TopicPartition(topic, number) for number in range(partitions)]
        ends = await consumer.end_offsets(all_of_it)
        filled = [each for each, end in ends.items() if end]
        consumer.assign(filled)
        found: list[ConsumerRecord[bytes, bytes]] = []
        async with asyncio.timeout(DEADLINE_SECONDS):
            for each in filled:
                # The high water of a fetch: the embedded broker counts the last batch's records
                # as one when it is asked for the end.
                while await consumer.position(each) < (_end(consumer, each, committed) or 1):
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        found.extend(records)
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


def _end(consumer: AIOKafkaConsumer, partition: TopicPartition, committed: bool) -> int | None:
    end: int | None = (
        consumer.last_stable_offset(partition) if committed else consumer.highwater(partition)
    )
    return end


def ids(records: Sequence[ConsumerRecord[bytes, bytes]]) -> list[str]:
    """The ce_id of each record."""
    return [dict(record.headers)["ce_id"].decode() for record in records]


def name(prefix: str) -> str:
    """A topic name that no other test has."""
    return f"{prefix}-{secrets.token_hex(4)}"


def a_cause() -> bytes:
    """A command nobody else has."""
    return secrets.token_bytes(16)


@asynccontextmanager
async def relay(dsn: str, kafka: str) -> AsyncIterator[Relay]:
    """A relay that runs within the block."""
    async with running(Relay(dsn, AtLeastOnce(arguments(kafka)))) as one:
        yield one


def on_transactions() -> list[pytest.MarkDecorator]:
    """Marks of tests that want a broker with transactions: Apache Kafka, not the embedded one."""
    kind = brokers()[-1]
    skipped = pytest.mark.skipif(kind == TANSU, reason=f"No transactions: {no_apache()}")
    found = [pytest.param(kind, marks=skipped)]
    return [
        pytest.mark.one_broker,
        pytest.mark.parametrize("kafka", found, indirect=True, scope="session"),
    ]


async def a_deployment(kafka: str) -> str:
    """A name no other test's relay has, with the topic that relays deliver exactly once by."""
    await create_topics(kafka, RELAY)
    return name("d")


@asynccontextmanager
async def exact_relay(dsn: str, kafka: str, deployment: str) -> AsyncIterator[Relay]:
    """A relay that delivers exactly once, and runs within the block."""
    async with running(Relay(dsn, ExactlyOnce(arguments(kafka), deployment))) as one:
        yield one


def arguments(kafka: str) -> dict[str, Any]:
    """What a delivery is opened with."""
    return {"bootstrap_servers": kafka, "metadata_max_age_ms": 1000}


@asynccontextmanager
async def running(one: Relay) -> AsyncIterator[Relay]:
    """Run a relay within the block; what made it end is raised."""
    stop = asyncio.Event()
    task = asyncio.create_task(one.run(stop))
    try:
        yield one
    finally:
        stop.set()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await task
