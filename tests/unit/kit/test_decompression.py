import gzip
from typing import Any

import aiokafka.consumer.fetcher as fetching
import aiokafka.record._crecords.default_records as unpacking
import pytest
from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from services.kit import decompression
from services.kit.decompression import LOST_HEADER, ForgivingRecords

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CODECS = [NONE, GZIP, SNAPPY, LZ4, ZSTD]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gzip_decode", "snappy_decode", "lz4_decode", "zstd_decode"):
        monkeypatch.setattr(unpacking, name, getattr(unpacking, name))
    monkeypatch.setattr(fetching, "MemoryRecords", fetching.MemoryRecords)
    decompression.install()


def batch(codec: int, values: list[bytes]) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 30)
    for offset, value in enumerate(values):
        builder.append(offset, 1000, b"k", value, [("name", b"x")])
    return bytes(builder.build())


def unpack(data: bytes) -> list[Any]:
    records = fetching.MemoryRecords(data)
    assert isinstance(records, ForgivingRecords)
    return list(
        fetching.PartitionRecords(
            TopicPartition("orders", 0), records, [], 0, None, None, True, fetching.READ_COMMITTED
        )
    )


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_sound_is_unpacked_as_ever(codec: int) -> None:
    values = [b"a" * 5000, b"b" * 400_000, b""]
    unpacked = unpack(batch(codec, values))
    assert [each.value for each in unpacked] == values
    assert [each.offset for each in unpacked] == [0, 1, 2]
    assert unpacked[0].headers == (("name", b"x"),)


@pytest.mark.parametrize("codec", CODECS[1:])
def test_a_batch_that_swells_too_far_gives_one_empty_record_an_offset(
    codec: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decompression, "MAX_BATCH_BYTES", 100_000)
    unpacked = unpack(batch(codec, [b"a" * 60_000, b"b" * 60_000]))
    assert [(each.offset, each.value) for each in unpacked] == [(0, None), (1, None)]
    assert {name for each in unpacked for name, _ in each.headers} == {LOST_HEADER}


@pytest.mark.parametrize("codec", CODECS[1:])
def test_what_is_no_compressed_data_gives_empty_records(codec: int) -> None:
    data = bytearray(batch(codec, [b"a" * 5000]))
    data[70:80] = b"\xff" * 10
    records = ForgivingRecords(bytes(data))
    assert [each.value for each in records.next_batch()] == [None]


def test_a_header_name_that_is_not_utf8_costs_its_batch_and_not_the_partition() -> None:
    bad = batch(NONE, [b"first", b"second"])
    second = bad.rindex(b"name")
    records = ForgivingRecords(bad[:second] + b"\xff\xfe\xfd\xfc" + bad[second + 4 :])
    unpacked = list(records.next_batch())
    assert [(each.offset, each.value) for each in unpacked] == [(0, b"first"), (1, None)]


def test_a_wrong_checksum_is_still_an_error() -> None:
    data = bytearray(batch(NONE, [b"value"]))
    data[-1] ^= 1
    with pytest.raises(fetching.Errors.CorruptRecordException):
        unpack(bytes(data))


def test_gzip_in_several_members_is_unpacked() -> None:
    assert decompression.gunzip(gzip.compress(b"one ") + gzip.compress(b"two")) == b"one two"


def test_reading_gzip_stops_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompression, "MAX_BATCH_BYTES", 1000)
    with pytest.raises(decompression.SwollenError):
        decompression.gunzip(gzip.compress(b"a" * 1001))
