"""What the tests of the stream share: a work that notes what it saw, and records made by hand."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import TopicPartition

from services.kit.cloudevents import Record, Source
from services.kit.positions import DatabaseConnection
from services.kit.splitting import Slice

TABLE = """
    create table seen (
        id bigint generated always as identity, topic text, partition int, record_offset bigint,
        value text, poisoned boolean
    )
"""
_SEE = "insert into seen (topic, partition, record_offset, value, poisoned) values ($1,$2,$3,$4,$5)"


class Noting:
    """Writes each record into `seen`; the value `bad` is a fault nobody foresaw."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.before: Callable[[DatabaseConnection], Awaitable[None]] | None = None

    async def process(self, connection: DatabaseConnection, records: Sequence[Record]) -> None:
        self.batches.append([each.source.offset for each in records])
        if self.before is not None:
            await self.before(connection)
        for each in records:
            await self._see(connection, each, poisoned=False)
        if any(each.value == b"bad" for each in records):
            raise LookupError("a fault nobody foresaw")

    async def poisoned(
        self, connection: DatabaseConnection, record: Record, error: BaseException
    ) -> None:
        assert isinstance(error, LookupError)
        await self._see(connection, record, poisoned=True)

    async def _see(self, connection: DatabaseConnection, each: Record, *, poisoned: bool) -> None:
        source, value = each.source, (each.value or b"").decode()
        await connection.execute(
            _SEE, source.topic, source.partition, source.offset, value, poisoned
        )


def slice_of(
    values: Sequence[bytes], *, begin: int = 0, partition: int = 0, lineage: int = 0
) -> Slice:
    """Records of consecutive offsets from `begin` on."""
    records = [
        Record(Source("c", "orders", partition, begin + number), b"k", value, (), 0)
        for number, value in enumerate(values)
    ]
    place = TopicPartition("orders", partition)
    return Slice("c", lineage, place, begin, begin + len(values), records)


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 60.0) -> None:
    """Waits for a condition; fails with `what` was waited for."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.02)
