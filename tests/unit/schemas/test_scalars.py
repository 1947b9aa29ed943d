"""Nothing is coerced on the wire, and times keep what they said."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.scalars import Flag, Id24, Moment, Number, Ratio, Slug, WholeVolume

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-11T19:25:51", datetime(2026, 5, 11, 19, 25, 51)),  # noqa: DTZ001
        ("2026-05-11 19:25", datetime(2026, 5, 11, 19, 25)),  # noqa: DTZ001
        ("2026-05-11T19:25:51.324Z", datetime(2026, 5, 11, 19, 25, 51, 324000, tzinfo=UTC)),
        ("2026-05-11T21:25:51+02:00", datetime(2026, 5, 11, 19, 25, 51, tzinfo=UTC)),
        ("2026-05-11T14:25:51-0500", datetime(2026, 5, 11, 19, 25, 51, tzinfo=UTC)),
    ],
)
def test_iso_text_is_read_and_a_time_without_offset_stays_naive_k27(
    text: str, expected: Any
) -> None:
    found = MOMENT.validate_python(text)
    assert found == expected
    assert (found.tzinfo is None) == (expected.tzinfo is None)


@pytest.mark.parametrize(
    "value",
    [
        1747000000,
        1747000000.5,
        "1747000000",
        "1747000000.5",
        "2026-05-11",
        "19:25:51",
        "2026-13-11T19:25:51Z",
        "2026-05-11T25:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-12:00",
        "2026-05-11T19:25:51Z\n",
        "٢٠٢٦-05-11T19:25:51Z",
        "",
        True,
        None,
        {},
    ],
)
def test_what_is_no_iso_date_and_time_is_refused_with_one_error(value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        MOMENT.validate_python(value)
    (error,) = refused.value.errors()
    assert (error["type"], error["loc"]) == ("datetime_parsing", ())


@given(st.datetimes(datetime(1000, 1, 1), datetime(2999, 12, 31)))  # noqa: DTZ001
def test_a_naive_moment_survives_its_own_text(moment: Any) -> None:
    assert MOMENT.validate_python(moment.isoformat()) == moment


@given(
    st.datetimes(datetime(1001, 1, 1), datetime(2998, 12, 31)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_any_moment_that_reads_can_be_moved_to_utc(moment: Any, minutes: Any) -> None:
    sign, rest = ("-", -minutes) if minutes < 0 else ("+", minutes)
    text = f"{moment.isoformat()}{sign}{rest // 60:02}:{rest % 60:02}"
    expected = moment.replace(tzinfo=UTC) - timedelta(minutes=minutes)
    assert MOMENT.validate_python(text).astimezone(UTC) == expected


@pytest.mark.parametrize("value", [5.0, 5.5, "5", True, 0, -1, None, 1_000_000_001])
def test_a_volume_is_a_whole_number_above_zero_r027(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(WholeVolume).validate_python(value)


@pytest.mark.parametrize("value", [0, 1, "true", "yes", None])
def test_a_flag_is_true_or_false_only(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Flag).validate_python(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(7500, "7500"), (7500.25, "7500.25"), (0.1, "0.1"), (-3, "-3")],
)
def test_a_json_number_becomes_the_decimal_it_shows_k16(value: Any, expected: Any) -> None:
    assert TypeAdapter(Number).validate_python(value) == Decimal(expected)


@pytest.mark.parametrize("value", ["7500", True, None, float("nan"), float("inf"), []])
def test_what_is_no_finite_number_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Number).validate_python(value)


@pytest.mark.parametrize("value", [0, 1.01, -0.5, "0.5"])
def test_a_ratio_lies_above_0_and_is_at_most_1_r050(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Ratio).validate_python(value)


@pytest.mark.parametrize(
    "value", ["665F1A2B3C4D5E6F7A8B0001", "665f", "665f1a2b3c4d5e6f7a8b0001\n"]
)
def test_an_id_is_24_lower_case_hex_characters_r017(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Id24).validate_python(value)


@pytest.mark.parametrize("value", ["a", "A-1", "a_b", "x" * 41, "", "ä-1"])
def test_a_slug_has_2_to_40_small_letters_digits_and_dashes(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Slug).validate_python(value)
