"""Delivery windows around the nights in which clocks are changed (R021, K27)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

# Zone, the evening before the change, as its own clocks show it.
NIGHTS = (
    ("America/Chicago", datetime(2026, 10, 31, 18)),  # noqa: DTZ001 - clock time is the point
    ("America/Chicago", datetime(2027, 3, 13, 18)),  # noqa: DTZ001
    ("America/Denver", datetime(2026, 10, 31, 18)),  # noqa: DTZ001
    ("Europe/Stockholm", datetime(2026, 10, 24, 18)),  # noqa: DTZ001
)
_QUARTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class DrawnWindow:
    """A window as sent, and as it must be received: [start, end, zone], both ends in UTC."""

    written: dict[str, str]
    wanted: list[str]
    crosses: bool


def draw_window(rng: random.Random) -> DrawnWindow:
    """Mostly local times without offset; some with an offset, some in UTC."""
    while True:
        name, evening = rng.choice(NIGHTS)
        zone = ZoneInfo(name)
        start = evening + rng.randrange(44) * _QUARTER
        end = start + rng.randrange(4, 40) * _QUARTER
        if exists(start, zone) and exists(end, zone):
            break
    aware = [moment.replace(tzinfo=zone) for moment in (start, end)]
    crosses = aware[0].utcoffset() != aware[1].utcoffset()
    in_utc = [moment.astimezone(UTC) for moment in aware]
    form = rng.choices(("local", "offset", "utc"), (70, 15, 15))[0]
    if form == "local":
        written = {"start": start.isoformat(), "end": end.isoformat(), "timezone": name}
    elif form == "offset":
        first, last = (moment.isoformat() for moment in aware)
        written = {"start": first, "end": last, "timezone": name}
    else:
        first, last = (_zulu(moment) for moment in in_utc)
        written = {"start": first, "end": last}
    shown = written.get("timezone", "UTC")
    return DrawnWindow(written, [*(_zulu(moment) for moment in in_utc), shown], crosses)


def exists(local: datetime, zone: ZoneInfo) -> bool:
    """Whether the clocks of this zone ever show this time."""
    aware = local.replace(tzinfo=zone)
    return aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local


def _zulu(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat() + "Z"
