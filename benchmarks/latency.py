"""Accepted on the input topic to readable on the destination's, at a steady rate."""

import asyncio
import time
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer

from benchmarks.figures import Latency
from benchmarks.sides import Side
from benchmarks.stack import BenchStack
from benchmarks.topics import Message, consumer, meanwhile
from tests.acceptance.stack import until
from tests.acceptance.wire import sender

# The embedded broker answers an empty fetch after half of its wait: so little that the reader adds
# no more than 2 ms. Apache Kafka answers when there is something.
FETCH_WAIT_MS = {"tansu": 4, "kafka": 200}


async def latency(
    stack: BenchStack, side: Side, sent: Sequence[Message], *, rate: float
) -> Latency:
    """Milliseconds; `rate` in commands a second. Before the first its topic may not be served."""
    first, *others = sent
    there = side.tail.count
    wanted = {each.command_id for each in sent}
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
                # What was sent before may still come: the tail counts a moment later than this.
                if read > there and (cause := side.cause_of(record)) in wanted:
                    readable.setdefault(cause, now)

    async with (
        sender(stack.kafka) as own,
        consumer(stack.kafka, side.target, fetch_wait_ms=FETCH_WAIT_MS[stack.broker]) as reader,
        meanwhile(follow(reader)),
    ):
        await until(lambda: read >= there, "the reader to catch up")
        await own.send(side.source, first.key, first.value, first.headers)
        await until(lambda: first.command_id in readable, "the first record")
        began = clock()
        for n, each in enumerate(others):
            await asyncio.sleep(max(0.0, began + n / rate - clock()))
            await own.send(side.source, each.key, each.value, each.headers)
            accepted[each.command_id] = clock()
        await until(lambda: len(readable) == len(sent), "the last record")
    # A record can be read before its sender has its acknowledgement: that is no time at all.
    return Latency.of([max(0.0, readable[id_] - at) for id_, at in accepted.items()])
