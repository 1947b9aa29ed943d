"""Up to when a reader has come: all that had arrived by then is processed."""

from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from services.kit.lookout import Lookout
from services.kit.placement import LogEnds
from services.kit.positions import Mark
from services.kit.tuning import Tuning

HERE = TopicPartition("t", 0)


class Look:
    """A lookout that is told what it sees."""

    def __init__(self) -> None:
        self.processed: int | None = None
        reader: Any = SimpleNamespace(refused=set(), processed=lambda _: self.processed)
        nothing: Any = None
        self.lookout = Lookout(reader, nothing, nothing, group="g", tuning=Tuning())

    def at(self, moment: float, *, end: int, mark: int) -> float | None:
        marks = {HERE: Mark(mark, 0, mark)}
        self.lookout._tell({HERE: LogEnds(0, end)}, marks, moment)
        return self.lookout.reached.get(HERE)


def test_at_the_end_of_the_log_all_that_came_before_the_look_is_processed() -> None:
    assert Look().at(10, end=5, mark=5) == 10


def test_under_load_all_that_the_look_before_had_seen_is_processed() -> None:
    look = Look()
    assert look.at(10, end=5, mark=3) is None, "nobody has got to any end yet"
    assert look.at(12, end=9, mark=5) == 10
    assert look.at(14, end=20, mark=8) == 10, "behind: it stays where it was"
    assert look.at(16, end=30, mark=20) == 14


def test_what_was_read_behind_the_mark_counts() -> None:
    """Behind the end marker of a transaction no mark reaches the end of the log."""
    look = Look()
    look.processed = 6
    assert look.at(10, end=6, mark=5) == 10


def test_a_partition_that_was_taken_away_is_told_of_no_more() -> None:
    look = Look()
    look.at(10, end=5, mark=5)
    look.lookout._tell({}, {}, 12)
    assert look.lookout.reached == {}
