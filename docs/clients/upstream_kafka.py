"""An upstream on Kafka: send an order, an update or a cancel, then wait for its final result.

KAFKA=127.0.0.1:8101 TENANT=acme PARTNER=hauler python upstream_kafka.py order.json
… upstream_kafka.py update.json order.update update/ACME-1/2
"""

import asyncio
import json
import os
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

KAFKA, TENANT, PARTNER = os.environ["KAFKA"], os.environ["TENANT"], os.environ["PARTNER"]
# As large as the hub's records may be: a fetch may bring several of them.
LARGEST = 8 * 1024 * 1024
TOPICS = {"order.create": "orders", "order.cancel": "orders", "order.update": "changes"}


async def command(operation: str, number: str, command_id: str, body: dict) -> dict:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": command_id,  # the same at every attempt: sending twice does nothing twice
        "ce_source": f"/{TENANT}/erp",
        "ce_type": f"crossroads.{operation}.v1",
        "ce_desttenant": PARTNER,
    }
    sent = [(name, value.encode()) for name, value in headers.items()]
    async with AIOKafkaConsumer(
        f"crossroads.results.{TENANT}", bootstrap_servers=KAFKA, max_partition_fetch_bytes=LARGEST
    ) as results:
        await results.seek_to_end()  # before the command is sent, or its answer may be missed
        async with AIOKafkaProducer(bootstrap_servers=KAFKA, acks="all") as producer:
            await producer.send_and_wait(
                f"crossroads.{TOPICS[operation]}.{TENANT}",
                json.dumps(body).encode(),
                key=number.encode(),
                headers=sent,
            )
        async for record in results:
            result = json.loads(record.value)
            if result["command_id"] == command_id:
                print(result["outcome"], result["code"], result["body"].get("message"), flush=True)
                if result["outcome"] != "waiting":  # what waits goes on by itself
                    return result
    raise RuntimeError("the consumer ended")


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        said = json.load(file)
    wanted, *known_as = sys.argv[2:] or ["order.create"]
    about = said.get("origin_order_number") or said["order"]["order_number"]
    answer = asyncio.run(command(wanted, about, *(known_as or [f"{wanted}/{about}"]), said))
    sys.exit(0 if answer["http_status"] == 200 else 1)
