"""The books: what adds up, and what must be zero."""

from dataclasses import fields

import pytest

from services.domain.accounting import Accounting, Counts, Violations, problems, report

EVEN = Counts(accepted=10, done=5, waiting=2, refused=2, failed=1)


def test_books_that_add_up_have_no_problem() -> None:
    assert problems(Accounting({"order.create": EVEN}, duplicates=3, dead_letters=1)) == []


def test_a_command_that_nobody_was_told_of_is_a_problem() -> None:
    books = Accounting({"order.create": Counts(accepted=10, done=9)})
    assert problems(books) == ["order.create: 10 accepted, but 9 told of"]


@pytest.mark.parametrize("name", [member.name for member in fields(Violations)])
def test_every_violation_is_a_problem_that_names_itself(name: str) -> None:
    found = problems(Accounting({}, violations=Violations(**{name: 2})))
    assert len(found) == 1
    assert found[0].startswith(f"{name}: 2 ")


def test_the_report_has_the_shape_of_the_audit() -> None:
    assert report(Accounting({"order.create": EVEN}, duplicates=3, dead_letters=1)) == {
        "balanced": True,
        "operations": {
            "order.create": {
                "accepted": 10, "done": 5, "waiting": 2, "refused": 2, "failed": 1,
            }
        },
        "duplicates": 3,
        "dead_letters": 1,
    }  # fmt: skip
