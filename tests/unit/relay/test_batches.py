"""Whether a batch that was left behind went out, decided from two numbers (guarantee 4)."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.relay.batches import Fate, Left, Verdict, judge

HERE, ELSEWHERE = "this-cluster", "another-cluster"


@pytest.mark.parametrize(
    ("left", "committed", "expected"),
    [
        pytest.param(None, None, Verdict(Fate.NONE_LEFT, 0), id="the very first batch is to come"),
        pytest.param(None, 0, Verdict(Fate.NONE_LEFT, 0), id="only the first number was committed"),
        pytest.param(
            Left(7, HERE, ()), 7, Verdict(Fate.NONE_LEFT, 7), id="all is gone and deleted"
        ),
        pytest.param(Left(7, HERE, (1,)), 7, Verdict(Fate.WENT_OUT, 7), id="went out"),
        pytest.param(Left(7, HERE, (1,)), 6, Verdict(Fate.NOT_SENT, 7), id="did not go out"),
        pytest.param(Left(7, HERE, (1,)), 3, Verdict(Fate.NOT_SENT, 7), id="nor those before it"),
        pytest.param(Left(7, HERE, ()), None, Verdict(Fate.NONE_LEFT, 7), id="number forgotten"),
        pytest.param(Left(7, HERE, (1,)), None, Verdict(Fate.UNKNOWN, 7), id="number lost"),
        pytest.param(Left(7, ELSEWHERE, (1,)), 7, Verdict(Fate.UNKNOWN, 7), id="another's number"),
        pytest.param(Left(7, ELSEWHERE, (1,)), 9, Verdict(Fate.UNKNOWN, 9), id="another cluster"),
        pytest.param(Left(7, ELSEWHERE, ()), 9, Verdict(Fate.NONE_LEFT, 9), id="moved in peace"),
    ],
)
def test_a_batch_went_out_where_both_numbers_are_equal(
    left: Left | None, committed: int | None, expected: Verdict
) -> None:
    assert judge(left, committed, HERE) == expected


def test_kafka_ahead_never_means_that_the_batch_went_out() -> None:
    """The database lost transactions: its batch 7 is not the one that Kafka saw as 7."""
    assert judge(Left(7, HERE, (1,)), 8, HERE) == Verdict(Fate.NOT_SENT, 8, went_back=True)
    assert judge(Left(7, HERE, ()), 8, HERE) == Verdict(Fate.NONE_LEFT, 8, went_back=True)
    assert judge(None, 8, HERE) == Verdict(Fate.NONE_LEFT, 8, went_back=True)


@dataclass
class _World:
    """A database and a cluster, and a relay that dies where it is told."""

    rows: list[int]
    left: tuple[int, tuple[int, ...]] | None = None
    committed: int | None = None
    published: Counter[int] = field(default_factory=Counter)
    backup: tuple[list[int], tuple[int, tuple[int, ...]] | None] | None = None

    def life(self, ends: str, size: int, batches: int) -> None:
        """Take over; publish so many batches, then die at a step of the next one."""
        number = self.take_over()
        for count in range(batches + 1):
            end = ends if count == batches else None
            batch = tuple(self.rows[:size])
            if not batch or end == "before storing":
                return
            number += 1
            self.left = number, batch
            if end == "stored":
                return
            self.committed = number
            self.published.update(batch)
            if end == "committed":
                return
            self.rows = self.rows[size:]

    def take_over(self) -> int:
        left = None
        if self.left is not None:
            still_there = tuple(row for row in self.left[1] if row in self.rows)
            left = Left(self.left[0], HERE, still_there)
        verdict = judge(left, self.committed, HERE)
        assert verdict.fate is not Fate.UNKNOWN
        if verdict.fate is Fate.WENT_OUT and left is not None:
            self.rows = [row for row in self.rows if row not in left.row_ids]
        if self.committed is None:
            self.committed = verdict.number
        return verdict.number

    def remember(self) -> None:
        self.backup = list(self.rows), self.left

    def go_back(self) -> None:
        if self.backup is not None:
            self.rows, self.left = list(self.backup[0]), self.backup[1]


STEPS = st.sampled_from(["before storing", "stored", "committed", "deleted"])
LIVES = st.lists(st.tuples(STEPS, st.integers(1, 4), st.integers(0, 3)), max_size=12)


@given(lives=LIVES)
def test_wherever_relays_die_every_row_goes_out_once(lives: list[tuple[str, int, int]]) -> None:
    world = _World(rows=list(range(20)))
    for ends, size, batches in lives:
        world.life(ends, size, batches)
    world.life("never", 7, 20)
    assert world.published == Counter(range(20))


@given(lives=LIVES, kept=st.integers(0, 11), back=st.integers(0, 11))
def test_a_database_that_loses_transactions_loses_no_row(
    lives: list[tuple[str, int, int]], kept: int, back: int
) -> None:
    """Repeats cannot be helped then: what was published is what it has forgotten."""
    world = _World(rows=list(range(20)))
    for at, (ends, size, batches) in enumerate(lives):
        if at == kept:
            world.remember()
        world.life(ends, size, batches)
        if at == back:
            world.go_back()
    world.life("never", 7, 20)
    assert set(world.published) == set(range(20))
    assert world.rows == []
