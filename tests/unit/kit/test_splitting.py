from itertools import pairwise

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from services.kit.cloudevents import Record, Source
from services.kit.splitting import Batch, Slice, halves, size


def part(partition: int, begin: int, gaps: list[int], tail: int) -> Slice:
    offsets, at = [], begin
    for gap in gaps:
        at += gap
        offsets.append(at)
        at += 1
    records = [
        Record(Source("c", "orders", partition, offset), None, None, (), 0) for offset in offsets
    ]
    return Slice("c", 0, TopicPartition("orders", partition), begin, at + tail, records)


def batches() -> st.SearchStrategy[Batch]:
    gaps = st.lists(st.integers(0, 3), min_size=1, max_size=6)
    drawn = st.lists(st.tuples(st.integers(0, 50), gaps, st.integers(0, 3)), min_size=1, max_size=4)
    return drawn.map(
        lambda all_: tuple(part(number, *each) for number, each in enumerate(all_))
    ).filter(lambda batch: size(batch) > 1)


@given(batches())
def test_halves_hold_every_record_once_and_in_order(batch: Batch) -> None:
    first, second = halves(batch)
    together = [each.source for half in (first, second) for part in half for each in part.records]
    assert together == [each.source for part in batch for each in part.records]
    assert abs(size(first) - size(second)) <= 1
    assert size(first) > 0


@given(batches())
def test_halves_stand_for_the_same_offsets_without_a_hole(batch: Batch) -> None:
    first, second = halves(batch)
    for whole in batch:
        pieces = [piece for half in (first, second) for piece in half]
        mine = [piece for piece in pieces if piece.partition == whole.partition]
        assert mine[0].begin == whole.begin
        assert mine[-1].end == whole.end
        for before, after in pairwise(mine):
            assert before.end == after.begin
        for piece in mine:
            assert piece.records
            assert piece.begin <= piece.records[0].source.offset
            assert piece.records[-1].source.offset < piece.end
