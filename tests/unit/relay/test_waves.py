"""Which rows may go out when."""

from services.kit.outbox import RowKind
from services.relay.waves import ready_finals, split
from tests.unit.relay.rows_world import row

ONE, TWO = b"1" * 16, b"2" * 16


def test_everything_but_final_results_goes_first() -> None:
    rows = [row(1), row(2, RowKind.FINAL), row(3, RowKind.WAITING), row(4, RowKind.DEAD_LETTER)]
    first, finals = split(rows)
    assert [each.id for each in first] == [1, 3, 4]
    assert [each.id for each in finals] == [2]


def test_a_result_waits_for_the_syncs_of_its_own_command_only() -> None:
    first = [row(1, cause=ONE), row(2, cause=TWO)]
    finals = [row(3, RowKind.FINAL, cause=ONE), row(4, RowKind.FINAL, cause=TWO)]
    assert [each.id for each in ready_finals(finals, first, {2}, set())] == [4]


def test_a_result_waits_for_the_waiting_answer_of_its_command() -> None:
    first = [row(2, RowKind.WAITING, cause=ONE)]
    finals = [row(1, RowKind.FINAL, cause=ONE)]
    assert ready_finals(finals, first, set(), set()) == []
    assert ready_finals(finals, first, {2}, set()) == finals


def test_a_result_waits_for_no_dead_letter() -> None:
    first = [row(1, RowKind.DEAD_LETTER, cause=ONE)]
    finals = [row(2, RowKind.FINAL, cause=ONE)]
    assert ready_finals(finals, first, set(), set()) == finals


def test_a_result_waits_for_the_row_it_names() -> None:
    finals = [row(9, RowKind.FINAL, cause=ONE, after_id=5)]
    assert ready_finals(finals, [], set(), {5}) == []
    assert ready_finals(finals, [], set(), set()) == finals


def test_a_result_without_a_command_waits_for_nothing() -> None:
    finals = [row(2, RowKind.FINAL)]
    assert ready_finals(finals, [row(1)], set(), set()) == finals
