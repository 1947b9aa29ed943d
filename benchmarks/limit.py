"""The limit pipeline: the least that reading, storing and writing can cost on this machine.

    python -m benchmarks.limit KAFKA DSN IN_TOPIC OUT_TOPIC FETCH_WAIT_MS

Reads from the beginning, stores what each poll returned by one insert of raw rows in one
transaction, writes every value to the other topic, and goes on when all are acknowledged. It knows
no order, no duplicate and no answer. One process, as the hub's order-intake. Until SIGTERM.
"""

import asyncio
import signal
import sys

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.acceptance.wire import partitions_of

BATCH = 1000

TABLE = """
CREATE TABLE IF NOT EXISTS benchmark_raw (
    partition int NOT NULL, position bigint NOT NULL, key bytea, value bytea NOT NULL,
    PRIMARY KEY (partition, position)
)
"""
INSERT = """
INSERT INTO benchmark_raw (partition, position, key, value)
SELECT * FROM unnest($1::int[], $2::bigint[], $3::bytea[], $4::bytea[])
"""


async def main(kafka: str, dsn: str, source: str, target: str, fetch_wait_ms: str) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    connection = await asyncpg.connect(dsn)
    await connection.execute(TABLE)
    await connection.execute("TRUNCATE benchmark_raw")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=int(fetch_wait_ms),
    )
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", max_request_size=8 << 20)
    await consumer.start()
    await producer.start()
    consumer.assign(await partitions_of(kafka, [source]))
    print("ready", flush=True)
    try:
        while not ended.is_set():
            polled = await consumer.getmany(timeout_ms=10, max_records=BATCH)
            records = [record for batch in polled.values() for record in batch]
            if not records:
                continue
            async with connection.transaction():
                await connection.execute(
                    INSERT,
                    [record.partition for record in records],
                    [record.offset for record in records],
                    [record.key for record in records],
                    [record.value for record in records],
                )
            sent = [await producer.send(target, record.value, key=record.key) for record in records]
            await asyncio.gather(*sent)
    finally:
        await producer.stop()
        await consumer.stop()
        await connection.execute("DROP TABLE benchmark_raw")
        await connection.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:6]))
