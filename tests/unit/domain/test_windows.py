"""Delivery windows across daylight saving (R021, R022, K27)."""

import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whenever import Instant, SkippedTime

from services.domain import windows

PATH = ("delivery_window",)
CHICAGO = "America/Chicago"


def problems(**window: Any) -> list[tuple[list[Any], str]]:
    found = windows.problems(window, PATH, lambda *_: False)
    return [(entry["loc"], entry["type"]) for entry in found]


def test_k27_a_time_without_offset_is_local_to_the_windows_zone() -> None:
    moment = windows.instant(datetime(2026, 5, 1, 8), CHICAGO)  # noqa: DTZ001
    assert moment == datetime(2026, 5, 1, 13, tzinfo=UTC)


def test_k27_a_time_with_offset_keeps_its_instant_whatever_the_zone() -> None:
    moment = datetime.fromisoformat("2026-05-01T08:00:00+02:00")
    assert windows.instant(moment, CHICAGO) == datetime(2026, 5, 1, 6, tzinfo=UTC)


def test_k27_a_doubled_local_time_is_the_earlier() -> None:
    moment = windows.instant(datetime(2026, 11, 1, 1, 30), CHICAGO)  # noqa: DTZ001
    assert moment == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)


def test_k27_a_skipped_local_time_is_an_error_at_its_place() -> None:
    skipped = datetime(2026, 3, 8, 2, 30)  # noqa: DTZ001
    assert problems(start=skipped, end=datetime(2026, 3, 9, tzinfo=UTC), timezone=CHICAGO) == [
        (["body", "delivery_window", "start"], "local_time_skipped")
    ]


@pytest.mark.parametrize(
    "timezone",
    [
        "Mars/Olympus",
        "../../etc/passwd",
        "A" * 255,
        "a\0b",
        "localtime",
        "posixrules",
        "posix/UTC",
        "right/UTC",
        "posix/America/Chicago",
        "Factory",
        "america/chicago",
        "utc",
        "UTC ",
        "America",
        "",
    ],
)
def test_k27_an_unknown_zone_is_an_error(timezone: str) -> None:
    now = datetime(2026, 1, 1)  # noqa: DTZ001
    assert problems(start=now, end=now, timezone=timezone) == [
        (["body", "delivery_window", "timezone"], "timezone_unknown")
    ]


@pytest.mark.parametrize("timezone", [CHICAGO, "UTC", "Etc/UTC", "EST5EDT", "US/Central", "GMT"])
def test_k27_an_iana_name_is_a_zone_an_alias_too(timezone: str) -> None:
    assert windows.is_timezone(timezone)


def test_k27_every_zone_that_is_taken_can_be_reckoned_with() -> None:
    names = [name for name in zoneinfo.available_timezones() if windows.is_timezone(name)]
    assert len(names) > 500
    for name in names:
        assert windows.instant(datetime(2026, 5, 1, 8), name)  # noqa: DTZ001


@pytest.mark.parametrize("hours", [0, -1])
def test_r022_an_end_not_after_the_start_is_an_error(hours: int) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert problems(start=start, end=start + timedelta(hours=hours)) == [
        (["body", "delivery_window", "end"], "window_order")
    ]


def test_r022_ends_are_compared_as_instants_not_as_clock_faces() -> None:
    # 01:50 before the clock goes back, 01:10 after it: twenty minutes, though it looks backward.
    assert not problems(
        start=datetime(2026, 11, 1, 1, 50),  # noqa: DTZ001
        end=datetime.fromisoformat("2026-11-01T01:10:00-06:00"),
        timezone=CHICAGO,
    )


@pytest.mark.parametrize("timezone", [None, "UTC"])
def test_r021_the_zone_is_utc_by_default(timezone: str | None) -> None:
    assert windows.timezone_of({"timezone": timezone}) == "UTC"


ZONES = st.sampled_from(
    [CHICAGO, "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "America/St_Johns", "UTC"]
)
LOCAL = st.datetimes(datetime(2000, 1, 1), datetime(2035, 1, 1))  # noqa: DTZ001


@given(LOCAL, ZONES)
def test_k27_a_local_time_is_skipped_or_reads_the_same_on_the_zones_clock(
    local: datetime, timezone: str
) -> None:
    try:
        moment = windows.instant(local, timezone)
    except SkippedTime:
        return
    clock = Instant(moment).to_tz(timezone).to_plain()
    assert clock.to_stdlib() == local
    # The earlier of two: half a day before, no instant shows the same clock.
    for minutes in (30, 60, 120):
        earlier = Instant(moment - timedelta(minutes=minutes)).to_tz(timezone).to_plain()
        assert earlier.to_stdlib() != local


@given(LOCAL, LOCAL, ZONES)
def test_r022_a_window_without_problems_ends_after_it_starts(
    start: datetime, end: datetime, timezone: str
) -> None:
    if not problems(start=start, end=end, timezone=timezone):
        assert windows.instant(end, timezone) > windows.instant(start, timezone)
