"""How far reading is: the lag, and what `doctor` says of marks and logs."""

from aiokafka import TopicPartition

from services.cli.examination import NOTICE, PROBLEM, judged
from services.cli.logs_of_topics import Logs, Mark, lag
from services.kit.placement import LogEnds

ZERO, ONE = TopicPartition("crossroads.orders", 0), TopicPartition("crossroads.orders", 1)
LOGS = Logs("now", {ZERO: LogEnds(10, 30), ONE: LogEnds(0, 5)})


def mark(offset: int, partition: TopicPartition = ZERO, cluster: str = "now") -> Mark:
    return Mark(cluster, "crossroads.order-intake", partition, offset)


def test_the_lag_is_what_lies_behind_the_marks_of_this_cluster() -> None:
    assert lag(LOGS, [mark(25), mark(5, ONE)]) == 5
    assert lag(LOGS, [mark(25, cluster="before"), mark(5, ONE)]) == 20


def test_what_nobody_has_read_yet_counts_from_where_the_log_begins() -> None:
    assert lag(LOGS, []) == 25


def test_a_mark_outside_its_log_is_no_lag_below_zero() -> None:
    assert lag(LOGS, [mark(99), mark(5, ONE)]) == 0
    assert lag(LOGS, [mark(3), mark(5, ONE)]) == 20


def test_a_mark_below_its_log_is_a_problem_with_the_command_that_decides_it() -> None:
    [finding] = judged(LOGS, [mark(4), mark(5, ONE)])
    assert finding.state == PROBLEM
    assert "begins at 10" in finding.detail
    assert finding.remedy.startswith("crossroads doctor accept-loss crossroads.orders 0 --group")


def test_a_mark_above_its_log_is_a_topic_made_anew() -> None:
    [finding] = judged(LOGS, [mark(31)])
    assert finding.state == PROBLEM
    assert "made anew" in finding.detail


def test_marks_of_a_broker_that_was_replaced_are_a_notice() -> None:
    [finding] = judged(LOGS, [mark(12), mark(99, cluster="before")])
    assert (finding.state, finding.detail) == (NOTICE, "marks of earlier brokers: before")
