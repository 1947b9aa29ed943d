"""The `Prefer` header (RFC 7240): `wait=<seconds>` and `handling=strict`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_WAIT_SECONDS = 5.0
# A proxy in between gives up at about this time, and a caller that is gone holds memory.
MAX_WAIT_SECONDS = 60.0

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_WORD = rf"(?:{_NAME}|{_QUOTED})"
_PARAMETER = rf"\s*;\s*(?:{_NAME}(?:\s*=\s*{_WORD})?)?"
_PREFERENCE = re.compile(
    rf"\s*(?P<name>{_NAME})(?:\s*=\s*(?P<value>{_WORD}))?(?:{_PARAMETER})*\s*(?:,|$)"
)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the caller prefers: seconds to wait for the answer, and strict reading."""

    wait: float = DEFAULT_WAIT_SECONDS
    strict: bool = False


def parse(values: Sequence[str]) -> Preferences:
    """The preferences of all `Prefer` headers of a request.

    As RFC 7240 asks, the first of a repeated preference counts, names ignore case, and what is
    unknown or malformed is ignored. A longer wait than MAX_WAIT_SECONDS is shortened to it.
    """
    found: dict[str, str] = {}
    for text in values:
        position = 0
        while position < len(text):
            match = _PREFERENCE.match(text, position)
            if match is None:
                position = text.find(",", position) + 1
                if position == 0:
                    break
                continue
            found.setdefault(match["name"].lower(), _unquoted(match["value"] or ""))
            position = match.end()
    return Preferences(wait=_seconds(found.get("wait")), strict=found.get("handling") == "strict")


def _unquoted(word: str) -> str:
    if not word.startswith('"'):
        return word
    return re.sub(r"\\(.)", r"\1", word[1:-1])


def _seconds(word: str | None) -> float:
    # Delta-seconds are digits; int() would read other scripts' digits and signs as well.
    if word is None or not re.fullmatch(r"[0-9]{1,9}", word):
        return DEFAULT_WAIT_SECONDS
    return min(float(word), MAX_WAIT_SECONDS)
