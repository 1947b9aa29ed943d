"""Numbers stay with their rows; what else goes has others."""

import pytest

from services.relay.numbering import UNNUMBERED, Numbering, Numbers, Producer

ONE, TWO, THREE = Producer(1, 0), Producer(2, 0), Producer(3, 0)
HERE, THERE = ("topic", 0), ("topic", 1)


def numbering() -> Numbering:
    one = Numbering()
    one.begin("cluster", ONE)
    return one


def sent(one: Numbering, *ids: int) -> Numbers:
    numbers = one.next(HERE)
    one.sent(HERE, numbers, ids)
    return numbers


def test_numbers_move_only_by_what_was_acknowledged() -> None:
    one = numbering()
    first = sent(one, 1, 2, 3)
    assert first == one.next(HERE) == Numbers(ONE, 0)
    one.acknowledged(HERE, first)
    assert one.next(HERE) == Numbers(ONE, 3)
    assert one.next(THERE) == Numbers(ONE, 0)
    assert not one.in_doubt(HERE)


def test_a_batch_in_doubt_goes_first_with_its_rows_and_numbers() -> None:
    one = numbering()
    numbers = sent(one, 1, 2)
    (again,) = one.first(HERE, {1, 2, 3})
    assert (again.ids, again.numbers) == ((1, 2), numbers)
    one.sent(HERE, numbers, (1, 2))
    one.acknowledged(HERE, numbers)
    assert one.first(HERE, {3}) == []
    assert one.next(HERE) == Numbers(ONE, 2)


def test_other_rows_under_numbers_in_doubt_are_a_mistake() -> None:
    one = numbering()
    numbers = sent(one, 1, 2)
    with pytest.raises(ValueError, match="other rows"):
        one.sent(HERE, numbers, (3, 4))


def test_rows_that_come_while_a_batch_in_doubt_is_away_have_another_producer() -> None:
    one = numbering()
    old = sent(one, 1, 2)
    assert one.first(HERE, {3}) == []
    assert one.wants_producer
    assert not one.ready(HERE)
    one.renew(TWO)
    new = sent(one, 3)
    assert new == Numbers(TWO, 0)
    one.acknowledged(HERE, new)
    # Back again, it is what it was, and does not disturb the numbers of now.
    (again,) = one.first(HERE, {1, 2, 4})
    assert again.numbers == old
    one.sent(HERE, old, (1, 2))
    one.acknowledged(HERE, old)
    assert one.next(HERE) == Numbers(TWO, 1)
    assert not one.in_doubt(HERE)


def test_a_batch_of_which_some_rows_are_gone_is_forgotten_with_its_numbers() -> None:
    one = numbering()
    sent(one, 1, 2)
    assert one.first(HERE, {2, 3}) == []
    assert one.wants_producer
    one.renew(TWO)
    assert sent(one, 2, 3) == Numbers(TWO, 0)


def test_lost_numbers_begin_at_0_under_a_new_producer_and_the_others_go_on() -> None:
    one = numbering()
    there = one.next(THERE)
    one.sent(THERE, there, (9,))
    one.acknowledged(THERE, there)
    one.lost(HERE, sent(one, 1))
    assert one.wants_producer
    assert one.ready(THERE)
    one.renew(TWO)
    assert one.first(HERE, {1}) == []
    assert one.next(HERE) == Numbers(TWO, 0)
    assert one.next(THERE) == Numbers(ONE, 1)
    # The other loses its old numbers later: the producer of now is new to it.
    one.lost(THERE, one.next(THERE))
    assert one.next(THERE) == Numbers(TWO, 0)


def test_a_batch_refused_at_once_leaves_its_numbers_to_the_next() -> None:
    one = numbering()
    numbers = sent(one, 1, 2)
    one.refused(HERE, numbers)
    assert sent(one, 1) == numbers


def test_a_batch_refused_when_it_was_sent_again_takes_its_numbers_along() -> None:
    one = numbering()
    numbers = sent(one, 1, 2)
    one.sent(HERE, numbers, (1, 2))
    one.refused(HERE, numbers)
    assert one.wants_producer
    one.renew(TWO)
    assert sent(one, 1) == Numbers(TWO, 0)


def test_a_new_session_keeps_what_is_in_doubt_under_its_old_numbers() -> None:
    one = numbering()
    old = sent(one, 1, 2)
    one.begin("cluster", TWO)
    (again,) = one.first(HERE, {1, 2, 3})
    assert again.numbers == old
    one.sent(HERE, old, (1, 2))
    one.acknowledged(HERE, old)
    assert one.next(HERE) == Numbers(TWO, 0)


@pytest.mark.parametrize(
    ("cluster", "producer"),
    [("another", TWO), (None, TWO), ("cluster", None), ("cluster", ONE)],
)
def test_another_broker_has_nothing_of_what_was_in_doubt(
    cluster: str | None, producer: Producer | None
) -> None:
    one = numbering()
    sent(one, 1, 2)
    one.begin(cluster, producer)
    assert one.first(HERE, {1, 2}) == []
    assert not one.wants_producer


def test_a_broker_without_producer_ids_gets_no_numbers_and_nothing_is_kept() -> None:
    one = Numbering()
    one.begin("cluster", None)
    assert one.cluster is None
    assert sent(one, 1) == sent(one, 2) == UNNUMBERED
    assert not one.in_doubt(HERE)
    one.lost(HERE, UNNUMBERED)
    assert one.ready(HERE)


def test_of_many_batches_in_doubt_the_newest_are_remembered() -> None:
    one = numbering()
    for n in range(1, 7):
        sent(one, n)
        assert one.first(HERE, {100}) == []
        one.renew(Producer(10 + n, 0))
    assert [batch.ids for batch in one.first(HERE, set(range(1, 7)))] == [(3,), (4,), (5,), (6,)]


def test_numbers_begin_anew_behind_the_last_there_is() -> None:
    one = numbering()
    one._next[HERE] = Numbers(ONE, 2**31 - 2)
    one.acknowledged(HERE, sent(one, 1, 2, 3))
    assert one.next(HERE) == Numbers(ONE, 1)
