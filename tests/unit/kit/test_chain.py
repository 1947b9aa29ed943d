from hypothesis import given
from hypothesis import strategies as st

from services.kit.chain import Chain

PARTITION = ("orders", 0)
OTHER = ("orders", 1)


def chain_at(offset: int) -> Chain[tuple[str, int]]:
    chain: Chain[tuple[str, int]] = Chain()
    chain.begin(PARTITION, offset)
    return chain


def test_polls_that_join_are_one_stretch() -> None:
    chain = chain_at(10)
    chain.polled({PARTITION: 10}, {PARTITION: 15})
    chain.polled({PARTITION: 15}, {PARTITION: 18})
    stretch = chain.stretch(PARTITION)
    assert stretch is not None
    assert (stretch.covered_from, stretch.end, stretch.intact) == (10, 18, True)


def test_an_aborted_stretch_is_covered_by_polls_without_records() -> None:
    # read_committed: 10..99 were aborted; the poll returns nothing and moves the position.
    chain = chain_at(10)
    chain.polled({PARTITION: 10}, {PARTITION: 100})
    chain.polled({PARTITION: 100}, {PARTITION: 101})
    stretch = chain.stretch(PARTITION)
    assert stretch is not None
    assert stretch.holds(100, 100)
    assert chain.broken() == []


def test_a_poll_that_begins_elsewhere_breaks_its_partition_alone() -> None:
    chain = chain_at(10)
    chain.begin(OTHER, 5)
    chain.polled({PARTITION: 12, OTHER: 5}, {PARTITION: 15, OTHER: 6})
    assert chain.broken() == [PARTITION]


def test_an_empty_poll_that_was_not_seen_breaks_the_chain() -> None:
    chain = chain_at(10)
    chain.polled({PARTITION: 10}, {PARTITION: 12})
    # Between the polls the consumer stepped over a record that was too large for it.
    chain.polled({PARTITION: 13}, {PARTITION: 13})
    assert chain.broken() == [PARTITION]


def test_a_failed_poll_breaks_everything_until_the_next_place() -> None:
    chain = chain_at(10)
    chain.begin(OTHER, 0)
    chain.failed()
    assert set(chain.broken()) == {PARTITION, OTHER}
    chain.begin(PARTITION, 10)
    assert chain.broken() == [OTHER]


def test_a_broken_stretch_does_not_mend_when_polls_join_again() -> None:
    chain = chain_at(10)
    chain.polled({PARTITION: 11}, {PARTITION: 12})
    chain.polled({PARTITION: 10}, {PARTITION: 12})
    assert chain.broken() == [PARTITION]


def test_a_partition_without_a_position_is_broken() -> None:
    chain = chain_at(10)
    chain.polled({}, {})
    assert chain.broken() == [PARTITION]


def test_what_is_forgotten_holds_nothing() -> None:
    chain = chain_at(10)
    chain.forget([PARTITION])
    chain.polled({PARTITION: 10}, {PARTITION: 12})
    assert chain.stretch(PARTITION) is None
    assert chain.partitions() == []


@given(st.integers(0, 1000), st.lists(st.tuples(st.integers(-2, 2), st.integers(0, 50))))
def test_intact_means_that_no_offset_was_skipped_or_repeated(
    begin: int, polls: list[tuple[int, int]]
) -> None:
    chain = chain_at(begin)
    at, seen = begin, set[int]()
    clean = True
    for slip, length in polls:
        start = at + slip
        clean = clean and slip == 0
        chain.polled({PARTITION: start}, {PARTITION: start + length})
        seen.update(range(start, start + length))
        at = start + length
    stretch = chain.stretch(PARTITION)
    assert stretch is not None
    assert stretch.intact == clean
    if stretch.intact:
        assert seen == set(range(stretch.covered_from, stretch.end))
