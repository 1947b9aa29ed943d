"""The settled mark: it rises by proof, and never over a row that may still appear."""

from collections.abc import Generator

from hypothesis import given
from hypothesis import strategies as st

from services.relay.settled import SettledMark


def test_it_stays_while_a_writer_from_before_the_deletion_lives() -> None:
    mark = SettledMark()
    mark.deleted(last_id=10, xid=100)
    mark.advance(xmin=100, reached=None, lowest_left=None)
    assert mark.value == 0
    mark.advance(xmin=101, reached=None, lowest_left=None)
    assert mark.value == 10


def test_it_rises_no_further_than_a_cut_fetch_reached() -> None:
    mark = SettledMark()
    mark.deleted(last_id=10, xid=100)
    mark.advance(xmin=101, reached=4, lowest_left=None)
    assert mark.value == 4
    mark.advance(xmin=101, reached=None, lowest_left=None)
    assert mark.value == 10


def test_it_stops_below_a_row_that_is_still_to_be_sent() -> None:
    mark = SettledMark()
    mark.deleted(last_id=10, xid=100)
    mark.advance(xmin=101, reached=None, lowest_left=7)
    assert mark.value == 6


def test_the_newest_claim_follows_the_one_that_was_proven() -> None:
    mark = SettledMark()
    for last_id, xid in ((10, 100), (20, 110), (30, 120)):
        mark.deleted(last_id, xid)
    mark.advance(xmin=105, reached=None, lowest_left=None)
    assert mark.value == 10
    mark.advance(xmin=115, reached=None, lowest_left=None)
    assert mark.value == 10
    mark.advance(xmin=121, reached=None, lowest_left=None)
    assert mark.value == 30


def test_a_row_that_comes_back_from_parking_lowers_it() -> None:
    mark = SettledMark()
    mark.deleted(last_id=10, xid=100)
    mark.advance(xmin=101, reached=None, lowest_left=None)
    mark.lower(3)
    assert mark.value == 2


def test_each_acquisition_begins_at_zero() -> None:
    mark = SettledMark()
    mark.deleted(last_id=10, xid=100)
    mark.advance(xmin=101, reached=None, lowest_left=None)
    mark.deleted(last_id=20, xid=110)
    mark.restart()
    mark.advance(xmin=200, reached=None, lowest_left=None)
    assert mark.value == 0


def test_a_foreign_transaction_that_writes_elsewhere_does_not_hold_it() -> None:
    """Its xid holds back every xmin; the locks tell that it can have drawn no id."""
    mark = SettledMark()
    mark.deleted(last_id=10, xid=100)
    for _ in range(3):
        assert not mark.asks
        mark.advance(xmin=50, reached=None, lowest_left=None)
    assert mark.asks
    mark.writing({"3/7", "4/9"})
    mark.advance(xmin=50, reached=None, lowest_left=None)
    mark.writing({"4/9", "5/1"})
    mark.advance(xmin=50, reached=None, lowest_left=None)
    assert mark.value == 0
    mark.writing({"5/1", "6/1"})
    mark.advance(xmin=50, reached=None, lowest_left=None)
    assert mark.value == 0, "the fetch of this round was made before the last writer had ended"
    mark.advance(xmin=50, reached=None, lowest_left=None)
    assert mark.value == 10


def test_once_the_locks_had_to_prove_they_are_asked_at_once_until_an_xmin_proves() -> None:
    mark = SettledMark()
    mark.deleted(last_id=10, xid=100)
    for _ in range(3):
        mark.advance(xmin=50, reached=None, lowest_left=None)
    mark.writing(())
    mark.advance(xmin=50, reached=None, lowest_left=None)
    mark.deleted(last_id=20, xid=110)
    mark.advance(xmin=50, reached=None, lowest_left=None)
    assert (mark.value, mark.asks) == (10, True)
    mark.deleted(last_id=25, xid=115)
    mark.writing({"3/7"})
    mark.advance(xmin=111, reached=None, lowest_left=None)
    assert (mark.value, mark.asks) == (20, False)
    mark.advance(xmin=116, reached=None, lowest_left=None)
    assert mark.value == 25


def test_the_newer_claim_knows_its_writers_when_its_turn_comes() -> None:
    mark = SettledMark()
    mark.deleted(last_id=10, xid=100)
    for _ in range(3):
        mark.advance(xmin=50, reached=None, lowest_left=None)
    mark.writing({"3/7"})
    mark.advance(xmin=50, reached=None, lowest_left=None)
    mark.deleted(last_id=20, xid=110)
    mark.writing(())
    mark.advance(xmin=50, reached=None, lowest_left=None)
    mark.advance(xmin=50, reached=None, lowest_left=None)
    assert mark.value == 10
    mark.advance(xmin=50, reached=None, lowest_left=None)
    assert mark.value == 20


def test_an_xmin_that_proves_ends_the_questions() -> None:
    mark = SettledMark()
    mark.deleted(last_id=10, xid=100)
    for _ in range(3):
        mark.advance(xmin=50, reached=None, lowest_left=None)
    mark.writing(())
    mark.advance(xmin=50, reached=None, lowest_left=None)
    mark.deleted(last_id=20, xid=110)
    mark.advance(xmin=50, reached=None, lowest_left=None)
    mark.advance(xmin=111, reached=None, lowest_left=None)
    mark.deleted(last_id=30, xid=120)
    assert (mark.value, mark.asks) == (20, False)


def test_a_partial_proof_by_locks_goes_on_where_it_stopped() -> None:
    mark = SettledMark()
    mark.deleted(last_id=10, xid=100)
    mark.writing(())
    mark.advance(xmin=50, reached=None, lowest_left=None)
    mark.advance(xmin=50, reached=4, lowest_left=None)
    assert mark.value == 4
    mark.advance(xmin=50, reached=None, lowest_left=8)
    assert mark.value == 7
    mark.advance(xmin=50, reached=None, lowest_left=None)
    assert mark.value == 10


class Database:
    """A model: transactions take an xid, then draw ids; their rows show when they commit."""

    def __init__(self) -> None:
        self.next_xid, self.last_id, self.foreign = 1, 0, 0
        self.open: dict[int, list[int]] = {}
        self.visible: set[int] = set()
        self.sent: set[int] = set()

    def take_xid(self) -> int:
        self.next_xid += 1
        return self.next_xid - 1

    def begin(self) -> None:
        self.open[self.take_xid()] = []

    def draw(self, which: int) -> None:
        if self.open:
            self.last_id += 1
            list(self.open.values())[which % len(self.open)].append(self.last_id)

    def end(self, which: int, *, commit: bool) -> None:
        if self.open:
            rows = self.open.pop(list(self.open)[which % len(self.open)])
            self.visible.update(rows if commit else ())

    def writers(self) -> set[str]:
        return {str(xid) for xid, rows in self.open.items() if rows}

    def relay_rounds(self, mark: SettledMark, limit: int) -> Generator[None, int, None]:
        """Rounds in steps: others may do anything between fetch, deletion and question."""
        failing = yield
        while True:
            xmin = self.foreign or min(self.open, default=self.next_xid)
            last_id = self.last_id
            above = sorted(row for row in self.visible if row > mark.value)
            rows = above[:limit]
            failing = yield
            gone = {row for row in rows if row % 7 != failing}
            if gone:
                self.visible -= gone
                self.sent |= gone
                mark.deleted(last_id, self.take_xid())
            failing = yield
            if mark.asks:
                mark.writing(self.writers())
            mark.advance(
                xmin,
                rows[-1] if len(above) > limit else None,
                next((row for row in rows if row not in gone), None),
            )
            failing = yield


STEP = st.tuples(
    # As often begun as ended, or nobody would be at work beside the rounds.
    st.sampled_from(["begin", "begin", "draw", "draw", "commit", "abort", "round", "round"]),
    st.integers(0, 9),
)


@given(st.lists(STEP, min_size=40, max_size=120), st.integers(1, 4), st.booleans())
def test_whatever_the_order_of_commits_no_row_is_left_below_the_mark(
    steps: list[tuple[str, int]], limit: int, foreign: bool
) -> None:
    database, mark = Database(), SettledMark()
    # One that writes elsewhere and never ends holds back every xmin.
    if foreign:
        database.begin()
        database.foreign = database.open.popitem()[0]
        mark._impatient = True
    rounds = database.relay_rounds(mark, limit)
    next(rounds)
    for step, number in steps:
        if step == "begin":
            database.begin()
        elif step == "draw":
            database.draw(number)
        elif step == "round":
            rounds.send(number)
        else:
            database.end(number, commit=step == "commit")
        unseen = database.visible.union(*database.open.values())
        assert all(row > mark.value for row in unseen)
