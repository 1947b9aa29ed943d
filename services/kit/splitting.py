"""A batch of records as slices of partitions, and how it is split to find the one at fault."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition

from services.kit.cloudevents import Record


@dataclass(frozen=True, slots=True)
class Slice:
    """Records of one partition, and the offsets they stand for: all there is in [begin, end).

    `cluster_id` is the key of the partition's row, `lineage` the row's when the reader was placed.
    """

    cluster_id: str
    lineage: int
    partition: TopicPartition
    begin: int
    end: int
    records: Sequence[Record]


Batch = tuple[Slice, ...]


def size(batch: Batch) -> int:
    """How many records the batch holds."""
    return sum(len(part.records) for part in batch)


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """Two batches, each with about half of the records, that stand for the same offsets in order.

    A partition that lies on both sides is cut behind the last record of the first half; the second
    half begins there. The batch must hold at least two records.
    """
    room = size(batch) // 2
    first: list[Slice] = []
    second: list[Slice] = []
    for part in batch:
        if room >= len(part.records):
            first.append(part)
            room -= len(part.records)
        elif room == 0:
            second.append(part)
        else:
            cut = part.records[room - 1].source.offset + 1
            first.append(_within(part, part.begin, cut, part.records[:room]))
            second.append(_within(part, cut, part.end, part.records[room:]))
            room = 0
    return tuple(first), tuple(second)


def _within(part: Slice, begin: int, end: int, records: Sequence[Record]) -> Slice:
    return Slice(part.cluster_id, part.lineage, part.partition, begin, end, records)
