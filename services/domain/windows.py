"""Delivery windows: local times, the hours daylight saving skips or doubles (R021, R022, K27)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Mapping as Members
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from whenever import PlainDateTime, RepeatedTime, SkippedTime

from schemas.errors import ErrorEntry
from services.domain.entries import Path, entry

DEFAULT_TIMEZONE = "UTC"


def timezone_of(window: Members[str, Any]) -> str:
    """The window's time zone, UTC when it names none; an empty name is one nobody knows (K27)."""
    named: str | None = window.get("timezone")
    return DEFAULT_TIMEZONE if named is None else named


# In the list of names, but not a place: it says that a machine was never told where it stands.
_NO_PLACE = "Factory"


def is_timezone(name: str) -> bool:
    """Whether this is the IANA name of a time zone, as it is written there (K27).

    The names are those of the `tzdata` package: the same on every machine, whatever its own files
    have besides (`localtime`, `posix/…`, `right/…`) and whether or not it tells case apart.
    """
    return name == DEFAULT_TIMEZONE or name in _names()


@cache
def _names() -> frozenset[str]:
    listed = files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(listed.split()) - {_NO_PLACE}


def instant(moment: datetime, timezone: str) -> datetime:
    """The moment in UTC; one without offset is local time in `timezone`, doubled: the earlier.

    Raises `whenever.SkippedTime` for a local time that does not exist, and
    `whenever.TimeZoneNotFoundError` for a zone that does not (K27).
    """
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    if timezone == DEFAULT_TIMEZONE:
        return moment.replace(tzinfo=UTC)
    plain = PlainDateTime(moment)
    try:
        local = plain.assume_tz(timezone, disambiguation="raise")
    except RepeatedTime:
        local = plain.assume_tz(timezone, disambiguation="earlier")
    return local.to_instant().to_stdlib()


def problems(
    window: Members[str, Any], path: Path, spoiled: Callable[..., bool]
) -> Iterator[ErrorEntry]:
    """What is wrong with a window that reads: its zone, a skipped local time, its end (R022, K27).

    Local times are not looked at where the zone is not known.
    """
    timezone = timezone_of(window)
    unread = spoiled(*path, "timezone")
    known = not unread and is_timezone(timezone)
    ends: dict[str, datetime] = {}
    for member in ("start", "end"):
        moment = window.get(member)
        if moment is None or (moment.tzinfo is None and not known):
            continue
        try:
            ends[member] = instant(moment, timezone)
        except SkippedTime:
            yield entry(
                (*path, member),
                "Daylight saving skips this local time in the window's time zone",
                "local_time_skipped",
            )
    if len(ends) == 2 and ends["end"] <= ends["start"]:
        yield entry((*path, "end"), "The end must be after the start", "window_order")
    if not known and not unread:
        yield entry((*path, "timezone"), "The time zone must be an IANA name", "timezone_unknown")
