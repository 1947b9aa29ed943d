"""Points in time as they are written on a command line."""

import re
from datetime import UTC, datetime, timedelta

from services.cli.errors import CommandMisused

_AGO = re.compile(r"(?P<count>\d{1,6})(?P<unit>[smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, now: datetime | None = None) -> datetime:
    """`90m`, `2h`, `3d` as that long ago, or an ISO 8601 time (UTC where it names no zone).

    Raises CommandMisused for anything else.
    """
    match = _AGO.fullmatch(text)
    try:
        if match is not None:
            ago = timedelta(**{_UNITS[match["unit"]]: int(match["count"])})
            return (now or datetime.now(UTC)) - ago
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise CommandMisused(
            f"{text!r} is no time: use 30m, 2h, 3d or 2026-01-31T12:00:00Z"
        ) from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
