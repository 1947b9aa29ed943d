"""Accepted on the input topic to readable on the destination's, at a steady rate."""

import asyncio
import json
import time

from aiokafka import AIOKafkaConsumer

from benchmarks.figures import Latency
from benchmarks.orders import messages
from benchmarks.sides import Side
from benchmarks.stack import BenchStack
from benchmarks.topics import consumer, meanwhile
from tests.acceptance.stack import until
from tests.acceptance.wire import sender
from tests.acceptance.words import Companies

# The embedded broker answers an empty fetch after half of its wait: so little that the reader adds
# no more than 2 ms. Apache Kafka answers when there is something.
FETCH_WAIT_MS = {"tansu": 4, "kafka": 200}


async def latency(
    stack: BenchStack, side: Side, companies: Companies, *, rate: float, seconds: float
) -> Latency:
    """Milliseconds; `rate` in orders a second. One goes before: its topic must be served."""
    first, *orders = messages(companies, 1 + int(rate * seconds))
    there = side.tail.count
    accepted: dict[str, float] = {}
    readable: dict[str, float] = {}
    clock = time.monotonic
    read = 0

    async def follow(own: AIOKafkaConsumer) -> None:
        nonlocal read
        while True:
            polled = await own.getmany(timeout_ms=200)
            now = clock()
            for record in (each for records in polled.values() for each in records):
                read += 1
                if read > there:
                    readable.setdefault(_number(record.value), now)

    async with (
        sender(stack.kafka) as own,
        consumer(stack.kafka, side.target, fetch_wait_ms=FETCH_WAIT_MS[stack.broker]) as reader,
        meanwhile(follow(reader)),
    ):
        await until(lambda: read >= there, "the reader to catch up")
        await own.send(side.source, first.key, first.value, first.headers)
        await until(lambda: first.key.decode() in readable, "the first record")
        began = clock()
        for n, each in enumerate(orders):
            await asyncio.sleep(max(0.0, began + n / rate - clock()))
            await own.send(side.source, each.key, each.value, each.headers)
            accepted[each.key.decode()] = clock()
        await until(lambda: len(readable) == 1 + len(orders), "the last record")
    # A record can be read before its sender has its acknowledgement: that is no time at all.
    return Latency.of([max(0.0, readable[key] - at) for key, at in accepted.items()])


def _number(record: bytes) -> str:
    """The order's number: of a sync, or of a record that passed the limit pipeline."""
    value = json.loads(record)
    return str(value.get("order", value)["origin_order_number"])
