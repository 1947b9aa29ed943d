"""The settled mark: it rises by proof, and never over a row that may still appear."""

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


class Database:
    """A model: transactions take an xid, then draw ids; their rows show when they commit."""

    def __init__(self) -> None:
        self.next_xid, self.last_id = 1, 0
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

    def relay_round(self, mark: SettledMark, limit: int, failing: int) -> None:
        xmin = min(self.open, default=self.next_xid)
        last_id = self.last_id
        above = sorted(row for row in self.visible if row > mark.value)
        rows = above[:limit]
        gone = {row for row in rows if row % 7 != failing}
        if gone:
            self.visible -= gone
            self.sent |= gone
            mark.deleted(last_id, self.take_xid())
        mark.advance(
            xmin,
            rows[-1] if len(above) > limit else None,
            next((row for row in rows if row not in gone), None),
        )


STEP = st.one_of(
    st.tuples(st.just("begin"), st.just(0)),
    st.tuples(st.just("draw"), st.integers(0, 5)),
    st.tuples(st.just("commit"), st.integers(0, 5)),
    st.tuples(st.just("abort"), st.integers(0, 5)),
    st.tuples(st.just("round"), st.integers(0, 9)),
)


@given(st.lists(STEP, min_size=40, max_size=120), st.integers(1, 4))
def test_whatever_the_order_of_commits_no_row_is_left_below_the_mark(
    steps: list[tuple[str, int]], limit: int
) -> None:
    database, mark = Database(), SettledMark()
    for step, number in steps:
        if step == "begin":
            database.begin()
        elif step == "draw":
            database.draw(number)
        elif step == "round":
            database.relay_round(mark, limit, failing=number)
        else:
            database.end(number, commit=step == "commit")
        unseen = database.visible.union(*database.open.values())
        assert all(row > mark.value for row in unseen)
