"""Dead letters read from their topic, the newest first."""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from schemas.topics import DEAD_LETTER
from services.cli.logs_of_topics import logs_of
from services.kit.errors import BrokerAway
from services.kit.kafka import MAX_PARTITION_FETCH_BYTES, client_arguments
from services.kit.placement import LogEnds
from services.kit.settings import Settings

# Offsets looked at in one step back; letters are rare, so one step mostly does.
_STEP = 200
_POLL_MS = 500
# A broker that has the offsets and sends no record for so long is in trouble.
_SILENT_POLLS = 20


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter as it lies on its topic."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    def header(self, name: str) -> str | None:
        """The last header of this name as text: the hub's own come last."""
        found = [value for header, value in self.headers if header == name]
        return None if not found or found[-1] is None else found[-1].decode("utf-8", "replace")

    def line(self) -> dict[str, Any]:
        """What a list shows of it; `id` is partition/offset on the dead-letter topic."""
        told = {name: self.header(f"x-dead-letter-{name}") for name in ("topic", "partition")}
        return {
            "id": f"{self.partition}/{self.offset}",
            "time": datetime.fromtimestamp(self.timestamp_ms / 1000, UTC),
            "reason": self.header("x-dead-letter-reason"),
            "detail": self.header("x-dead-letter-detail"),
            "service": self.header("x-dead-letter-service"),
            "source": f"{told['topic']}/{told['partition']}/{self.header('x-dead-letter-offset')}",
            "tenant": self.header("ce_origintenant"),
            "command_id": self.header("ce_id"),
            "type": self.header("ce_type"),
            "bytes": len(self.value or b""),
        }

    def content(self) -> dict[str, Any]:
        """Key, value and headers; what is not UTF-8 stands as base64 beside an empty text."""
        return {
            "headers": [[name, _text_or_hex(value)] for name, value in self.headers],
            **_part("key", self.key),
            **_part("value", self.value),
        }


async def newest(
    settings: Settings, *, limit: int, reason: str | None = None, since: datetime | None = None
) -> list[Letter]:
    """The newest letters with this reason, since then. Raises BrokerAway."""
    oldest_ms = 0 if since is None else since.timestamp() * 1000

    def fits(letter: Letter) -> bool:
        right = reason is None or letter.header("x-dead-letter-reason") == reason
        return right and letter.timestamp_ms >= oldest_ms

    found: list[Letter] = []
    logs = await logs_of(settings, [DEAD_LETTER])
    filled = {partition: log for partition, log in logs.ends.items() if log.end > log.start}
    if not filled:
        # aiokafka's stop raises CancelledError right after start, before the consumer did anything.
        return []
    async with _consumer(settings) as consumer:
        for partition, log in filled.items():
            found += await _newest_of(
                consumer, partition, log, limit=limit, fits=fits, oldest_ms=oldest_ms
            )
    found.sort(key=lambda letter: (letter.timestamp_ms, letter.offset), reverse=True)
    return found[:limit]


async def one(settings: Settings, partition: int, offset: int) -> Letter | None:
    """The letter at this place; None when there is none (any more). Raises BrokerAway."""
    where = TopicPartition(DEAD_LETTER, partition)
    log = (await logs_of(settings, [DEAD_LETTER])).ends.get(where)
    if log is None or not log.start <= offset < log.end:
        return None
    async with _consumer(settings) as consumer:
        return next(iter(await _read(consumer, where, offset, offset + 1)), None)


async def _newest_of(
    consumer: AIOKafkaConsumer,
    partition: TopicPartition,
    log: LogEnds,
    *,
    limit: int,
    fits: Callable[[Letter], bool],
    oldest_ms: float,
) -> list[Letter]:
    start, end = log.start, log.end
    found: list[Letter] = []
    while end > start and len(found) < limit:
        begin = max(start, end - _STEP)
        letters = await _read(consumer, partition, begin, end)
        found += [letter for letter in letters if fits(letter)]
        if letters and letters[0].timestamp_ms < oldest_ms:
            break
        end = begin
    return found


async def _read(
    consumer: AIOKafkaConsumer, partition: TopicPartition, begin: int, end: int
) -> list[Letter]:
    """The letters from `begin` to before `end`, by offset; aborted ones are left out."""
    consumer.assign([partition])
    consumer.seek(partition, begin)
    found: list[Letter] = []
    silent = 0
    while await consumer.position(partition) < end:
        before = await consumer.position(partition)
        polled = await consumer.getmany(partition, timeout_ms=_POLL_MS)
        found += [_letter(record) for records in polled.values() for record in records]
        silent = 0 if await consumer.position(partition) > before else silent + 1
        if silent == _SILENT_POLLS:
            raise BrokerAway(f"The broker does not hand out {partition.topic}.")
    return [letter for letter in found if letter.offset < end]


@asynccontextmanager
async def _consumer(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        max_partition_fetch_bytes=MAX_PARTITION_FETCH_BYTES,
        **client_arguments(settings),
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


def _letter(record: "ConsumerRecord[bytes, bytes]") -> Letter:
    return Letter(
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
    )


def _part(name: str, raw: bytes | None) -> dict[str, str | None]:
    text = _text(raw)
    encoded = None if raw is None or text is not None else b64encode(raw).decode()
    return {name: text, f"{name}_base64": encoded}


def _text(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None


def _text_or_hex(raw: bytes | None) -> str | None:
    text = _text(raw)
    return text if text is not None or raw is None else f"0x{raw.hex()}"
