"""R030: a number in extra_data reaches the destination unchanged, or is refused."""

import json
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.extra_data import altered_numbers
from schemas.orders import CREATE_ORDER
from schemas.reading import read


def paths(text: str) -> list[list[str | int]]:
    return [entry["loc"][1:] for entry in altered_numbers(text.encode())]


@pytest.mark.parametrize(
    "number",
    [
        "18446744073709551616",
        "-9223372036854775809",
        "100000000000000000000000",
        "9" * 5000,
        "0.12345678901234567890",
        "3.14159265358979323846",
        "12345678901234567.5",
        "1e-400",
        "1.5E-00000000000000000000400",
        "1e-99999999999999999999",
        "123456789012345678e-3",
    ],
)
def test_r030_a_number_that_no_reader_keeps_is_an_error_at_its_place(number: str) -> None:
    assert paths(f'{{"extra_data": {{"a": [1, {number}]}}}}') == [["extra_data", "a", 1]]
    assert paths(f'{{"drops": [{{"extra_data": {{"n": {number}}}}}]}}') == [
        ["drops", 0, "extra_data", "n"]
    ]
    assert paths(f'{{"extra\\u005fdata": {number}}}') == [["extra_data"]]


@pytest.mark.parametrize(
    "number",
    [
        "18446744073709551615",
        "-9223372036854775808",
        "0.1",
        "0.100000000000000000000",
        "1.7976931348623157e308",
        "1e-300",
        "2.2250738585072014e-308",
        "-0",
        "0e-400",
        "1e22",
        "0.30000000000000004",
    ],
)
def test_r030_a_number_that_is_kept_is_taken(number: str) -> None:
    assert paths(f'{{"extra_data": {{"a": {number}}}}}') == []


def test_k16_volumes_keep_their_rule_and_texts_are_nobodys_numbers() -> None:
    body = '{"drops": [{"volume": 7500.12345678901234567890}], "extra_data": {"a": 1}}'
    assert paths(body) == []
    assert paths('{"extra_data": {"a": "0.12345678901234567890", "1e-000": true}}') == []


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers())
def test_r030_what_is_taken_is_what_comes_out(number: Decimal | int) -> None:
    sent = f'{{"extra_data": {{"a": {number}}}}}'
    try:
        read_back = json.dumps(orjson.loads(sent)["extra_data"]["a"])
    except orjson.JSONDecodeError:
        return  # more than a double holds: it is not read at all
    if not paths(sent):
        assert Decimal(read_back) == Decimal(number)


def test_r030_such_a_number_refuses_the_document_beside_its_other_errors() -> None:
    text = '{"extra_data": {"n": 1e-400}, "drops": [], "unknown": {"extra_data": 1e-400}}'
    raw = orjson.loads(text)
    found = read(CREATE_ORDER, raw, further=altered_numbers(text.encode()))
    assert found.value is None
    assert [entry["loc"] for entry in found.errors][:2] == [
        ["body", "extra_data", "n"],
        ["body", "drops"],
    ]
    assert ["body", "unknown", "extra_data"] not in [entry["loc"] for entry in found.errors]
