"""Writing: UTC with Z, decimals as numbers (K30, K16)."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dump import iso_utc, number_text, to_json


def test_times_are_written_in_utc_with_z_k30() -> None:
    berlin = timezone(timedelta(hours=2))
    document = {
        "a": datetime(2026, 5, 11, 21, 25, 51, tzinfo=berlin),
        "b": datetime(2026, 5, 11, 19, 25, 51, 324000, tzinfo=UTC),
    }
    assert to_json(document) == b'{"a":"2026-05-11T19:25:51Z","b":"2026-05-11T19:25:51.324000Z"}'


def test_decimals_are_written_as_plain_numbers() -> None:
    values = ["7500.0000", "7500.2500", "0.1", "1E+3", "-0", "0.0000", "-12.5"]
    document = [Decimal(value) for value in values]
    assert to_json(document) == b"[7500,7500.25,0.1,1000,0,0,-12.5]"


def test_a_time_without_offset_is_never_written() -> None:
    with pytest.raises(orjson.JSONEncodeError):
        to_json({"a": datetime(2026, 5, 11)})  # noqa: DTZ001
    with pytest.raises(TypeError):
        iso_utc(datetime(2026, 5, 11))  # noqa: DTZ001


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), object(), {1, 2}])
def test_what_json_has_no_form_for_is_an_error(value: Any) -> None:
    with pytest.raises(TypeError):
        to_json([value])


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_a_decimal_loses_nothing_in_its_text(value: Any) -> None:
    text = number_text(value)
    assert Decimal(text) == value
    assert json.loads(text, parse_float=Decimal, parse_int=Decimal) == value


@given(st.datetimes(timezones=st.timezones()))
def test_a_moment_is_the_same_after_its_text(moment: Any) -> None:
    if 2 < moment.year < 9998:
        assert datetime.fromisoformat(iso_utc(moment)).timestamp() == moment.timestamp()
