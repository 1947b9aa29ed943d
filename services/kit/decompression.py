"""What one produced batch may cost us: bounded decompression, and batches that cannot be unpacked.

aiokafka unpacks a batch whole, whatever it swells to, and raises where a record in it is malformed
(a header's name that is not UTF-8 is enough): one tenant's batch would end the process, or hold up
its partition for ever. Here such a batch's records come out empty, one for each offset, with a
header that says why; without headers of ours they become dead letters like anything unreadable.
A wrong checksum is still an error: the next fetch may bring the batch whole.

It replaces names in aiokafka's modules, which is why that version is pinned; a test holds on to it.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import aiokafka.consumer.fetcher
import aiokafka.record._crecords.default_records as unpacking
import cramjam
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

# Bytes that one batch may swell to. The topics take 8 MiB compressed at most, and orders shrink to
# a tenth.
MAX_BATCH_BYTES = 64 * 1024 * 1024
LOST_HEADER = "x-unreadable-batch"

_XERIAL = b"\x82SNAPPY\x00"
_MALFORMED = (CorruptRecordException, ValueError, IndexError, OverflowError, struct.error)

Into = Callable[[bytes, bytearray], int]


class SwollenError(ValueError):
    """A batch swells to more than MAX_BATCH_BYTES, or is no valid compressed data."""


@dataclass(frozen=True, slots=True)
class LostRecord:
    """Stands for a record whose batch could not be unpacked; shaped like aiokafka's own."""

    offset: int
    timestamp: int
    timestamp_type: int
    headers: list[tuple[str, bytes | None]]
    key: bytes | None = None
    value: bytes | None = None
    checksum: None = None


def install() -> None:
    """Makes every consumer of this process unpack by these rules; may be called again."""
    unpacking.gzip_decode = gunzip
    unpacking.snappy_decode = unsnap
    unpacking.lz4_decode = lambda data: _expand(cramjam.lz4.decompress_into, bytes(data))
    unpacking.zstd_decode = lambda data: _expand(cramjam.zstd.decompress_into, bytes(data))
    aiokafka.consumer.fetcher.MemoryRecords = ForgivingRecords


class ForgivingRecords(MemoryRecords):  # type: ignore[misc]
    """Fetched batches; the records of one that cannot be unpacked are LostRecords."""

    def next_batch(self) -> Any:
        """The next batch, forgiving; those of the formats before Kafka 0.11 are as they were."""
        batch = super().next_batch()
        return _Batch(batch) if hasattr(batch, "next_offset") else batch


class _Batch:
    """One batch; everything but its records is the batch's own."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        batch = self._batch
        at = batch.base_offset
        try:
            for record in batch:
                at = record.offset + 1
                yield record
        except _MALFORMED as error:
            why = f"{type(error).__name__}: {error}".encode()[:200]
            for offset in range(at, batch.next_offset):
                yield LostRecord(
                    offset, batch.max_timestamp, batch.timestamp_type, [(LOST_HEADER, why)]
                )


def gunzip(data: bytes) -> bytes:
    """Like aiokafka's, up to MAX_BATCH_BYTES. Raises SwollenError."""
    pieces, room, rest = [], MAX_BATCH_BYTES, bytes(data)
    while rest:
        stream = zlib.decompressobj(wbits=31)
        try:
            piece = stream.decompress(rest, room + 1)
        except zlib.error as error:
            raise SwollenError(str(error)) from error
        room -= len(piece)
        if room < 0 or not stream.eof:
            raise SwollenError(f"A batch swells to more than {MAX_BATCH_BYTES} bytes.")
        pieces.append(piece)
        rest = stream.unused_data
    return b"".join(pieces)


def unsnap(data: bytes) -> bytes:
    """Like aiokafka's for both kinds of Snappy, up to MAX_BATCH_BYTES. Raises SwollenError."""
    data = bytes(data)
    if not data.startswith(_XERIAL):
        blocks = [data]
    else:
        blocks, at = [], 16
        while at < len(data):
            (length,) = struct.unpack_from("!i", data, at)
            blocks.append(data[at + 4 : at + 4 + length])
            at += 4 + max(length, 0)
    try:
        if sum(cramjam.snappy.decompress_raw_len(block) for block in blocks) > MAX_BATCH_BYTES:
            raise SwollenError(f"A batch swells to more than {MAX_BATCH_BYTES} bytes.")
        return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)
    except cramjam.DecompressionError as error:
        raise SwollenError(str(error)) from error


def _expand(into: Into, data: bytes) -> bytes:
    # The result's size is not known beforehand; most batches fit the first try.
    room = min(max(16 * len(data), 64 * 1024), MAX_BATCH_BYTES)
    while True:
        target = bytearray(room)
        try:
            length = into(data, target)
        except cramjam.DecompressionError as error:
            if room >= MAX_BATCH_BYTES:
                raise SwollenError(str(error)) from error
            room = min(room * 8, MAX_BATCH_BYTES)
        else:
            return bytes(memoryview(target)[:length])
