"""Get: which order is asked for, and the one miss (R012-R014, K08, K34)."""

from typing import Any

import pytest

from schemas.orders import GET_ORDER
from schemas.reading import read
from services.domain.effects import Answer
from services.domain.operations import get
from services.domain.operations.get import Wanted
from tests.unit.domain.trade import decide, order_of

ORDER = order_of(decide())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"order": {"order_number": "N"}}, Wanted(None, "N")),
        ({"order_number": "N"}, Wanted(None, "N")),
        ({"order": {"order_id": "I"}}, Wanted("I", None)),
        ({"order_id": "I", "order_number": "N"}, Wanted("I", "N")),
        ({"order": None, "order_id": "I"}, Wanted("I", None)),
        ({"order": {"order_number": "A"}, "order_number": "B"}, Wanted(None, "A")),
    ],
)
def test_k08_nested_and_flat_bodies_ask_the_same(body: dict[str, Any], expected: Wanted) -> None:
    reading = read(GET_ORDER, body)
    assert get.problems(reading) == []
    assert get.wanted(reading.wellformed) == expected


@pytest.mark.parametrize("body", [{}, {"order": {}}, {"order": {"order_number": ""}}])
def test_r012_at_least_one_is_needed(body: dict[str, Any]) -> None:
    [entry] = get.problems(read(GET_ORDER, body))
    assert (entry["loc"], entry["type"]) == (["body", "order"], "key_required")


def test_a_body_that_does_not_read_is_told_its_own_errors_alone() -> None:
    [entry] = get.problems(read(GET_ORDER, {"order": {"order_number": 7}}))
    assert entry["loc"] == ["body", "order", "order_number"]


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (Wanted(None, "7"), "Order not found for number: 7"),
        (Wanted("f" * 24, None), f"Order not found for id: {'f' * 24}"),
        (Wanted("f" * 24, "7"), "Order not found for number: 7"),
    ],
)
def test_k08_a_miss_is_404_with_this_text_alone(asked: Wanted, text: str) -> None:
    answer = get.decide(asked, [])
    assert isinstance(answer, Answer)
    assert answer.http_status == 404
    assert answer.body == {"detail": text}


def test_k34_a_number_of_several_pairs_is_ambiguous() -> None:
    answer = get.decide(Wanted(None, "7"), [ORDER, ORDER])
    assert isinstance(answer, Answer)
    assert (answer.http_status, answer.code) == (422, "request.order_ambiguous")
    assert get.decide(Wanted(None, "7"), [ORDER]) == ORDER
