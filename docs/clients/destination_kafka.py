"""A destination on Kafka: take in what the hub sends, once and in order, and say so.

KAFKA=127.0.0.1:8101 TENANT=hauler python destination_kafka.py taken.sqlite
"""

import asyncio
import json
import os
import sqlite3
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

KAFKA, TENANT = os.environ["KAFKA"], os.environ["TENANT"]
GROUP = os.environ.get("GROUP", f"{TENANT}-tms")
LARGEST = 8 * 1024 * 1024


def take_in(database: sqlite3.Connection, headers: dict[str, str], value: bytes) -> bool:
    """Keep a record; False for a repeat. In your system: its own work, in the same transaction."""
    order, sequence = headers["ce_subject"], int(headers["ce_sequence"])
    known = "SELECT coalesce(max(sequence), 0) FROM taken WHERE order_id = ?"
    with database:
        [newest] = database.execute(known, [order]).fetchone()
        if sequence <= newest:
            return False
        if sequence != newest + 1:  # what came before was lost on this side: ask for it, loudly
            raise RuntimeError(f"{order} jumped from {newest} to {sequence}")
        row = (headers["ce_id"], order, sequence, headers["ce_type"], value)
        database.execute("INSERT INTO taken VALUES (?, ?, ?, ?, ?)", row)
    return True


async def confirm(producer: AIOKafkaProducer, headers: dict[str, str]) -> None:
    """Tell the hub that an order arrived, and our number for it; a repeat does nothing twice."""
    receipt = {
        "ce_specversion": "1.0",
        "ce_id": f"receipt/{headers['ce_id']}",
        "ce_source": f"/{TENANT}/tms",
        "ce_type": "crossroads.order.receipt.v1",
        "ce_desttenant": headers["ce_origintenant"],
    }
    order_id = headers["ce_subject"]
    body = {
        "order": {"order_id": order_id},
        "status": "received",  # or rejected, or failed, with reason_code and message
        "destination_order_number": f"T-{order_id[-8:].upper()}",
    }
    sent = [(name, text.encode()) for name, text in receipt.items()]
    topic, value = f"crossroads.orders.{TENANT}", json.dumps(body).encode()
    await producer.send_and_wait(topic, value, key=order_id.encode(), headers=sent)


async def main(database: sqlite3.Connection) -> None:
    consumer = AIOKafkaConsumer(
        f"crossroads.sync.{TENANT}", bootstrap_servers=KAFKA, group_id=GROUP,
        enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed",
        max_partition_fetch_bytes=LARGEST,
    )  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=KAFKA, acks="all")
    async with consumer, producer:
        async for record in consumer:
            headers = {name: text.decode() for name, text in record.headers}
            fresh = take_in(database, headers, record.value)
            if headers["ce_type"] == "crossroads.order.created.v1":
                # For a repeat, too: the first receipt may not have gone out.
                await confirm(producer, headers)
            await consumer.commit()  # after the work, never before
            words = headers["ce_subject"], headers["ce_sequence"], headers["ce_type"]
            print("took" if fresh else "knew", *words, flush=True)


if __name__ == "__main__":
    kept = sqlite3.connect(sys.argv[1])
    kept.execute(
        "CREATE TABLE IF NOT EXISTS taken (ce_id TEXT PRIMARY KEY, order_id TEXT, sequence INTEGER,"
        " type TEXT, value BLOB, UNIQUE (order_id, sequence))"
    )
    asyncio.run(main(kept))
