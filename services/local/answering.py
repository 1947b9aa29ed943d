"""Whether a broker serves."""

import asyncio

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

CONNECT_SECONDS = 2.0


async def answers(bootstrap_servers: str) -> bool:
    """Whether a broker takes a connection and names a broker to write to, within two seconds."""
    host, _, port = bootstrap_servers.rpartition(":")
    try:
        # Not wait_for: in Python 3.11 it loses a cancelling that comes in the moment of the answer.
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        # The client below would log an error for every attempt.
        return False
    writer.close()
    client = AIOKafkaClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=2_000)
    try:
        await client.bootstrap()
        # Apache Kafka answers before its controller has let the broker in.
        return bool(client.cluster.brokers())
    except (KafkaError, OSError):
        return False
    finally:
        await client.close()
