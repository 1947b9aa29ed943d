"""Numbers in `extra_data` that no reader keeps (R030): found in the text, before it is parsed.

Once they are parsed they cannot be told from good ones. A double keeps every decimal of up to 15
digits; a longer one may come out as another value, and one below its range comes out as 0. An
integer beyond 64 bits is read as a double.
"""

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from schemas.errors import ErrorEntry

MEMBER = "extra_data"
ALTERED = "No reader of JSON keeps this number as it is: send it as text"

Path = tuple[str | int, ...]

_DIGITS_KEPT = 15
_MOST_NEGATIVE, _MOST_POSITIVE = -(2**63), 2**64 - 1
# Of 64 bits, with a sign.
_LONGEST_INTEGER = 20

# What a number that is at risk looks like: digits and points are 0, the rest is what it was or
# blank. Two digits of an exponent are harmless with so few digits before it.
_SHAPE = bytes(
    0x30 if byte in b"0123456789." else byte if byte == 0x2D else 0x65 if byte in b"eE" else 0x20
    for byte in range(256)
)
_LONG = b"0" * (_DIGITS_KEPT + 1)
_SMALL = b"0e-000"


class _Altered:
    """Stands for a number that would be another one."""


_ALTERED = _Altered()


def altered_numbers(value: bytes) -> list[ErrorEntry]:
    """An entry for each number within `extra_data` that a reader would give another value.

    `value` is JSON without NaN and infinities and not deeper than a body may be. One without
    `extra_data` or without any number at risk, which is nearly every one, is not parsed.
    """
    if MEMBER.encode() not in value and b"\\u" not in value:
        return []
    shape = value.translate(_SHAPE)
    if _LONG not in shape and _SMALL not in shape:
        return []
    parsed = json.loads(value, parse_int=_integer, parse_float=_decimal)
    return [
        {"loc": ["body", *path], "msg": ALTERED, "type": "number_altered"}
        for path in _within(parsed, (), inside=False)
    ]


def _within(value: Any, path: Path, *, inside: bool) -> Iterator[Path]:
    if value is _ALTERED and inside:
        yield path
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _within(each, (*path, key), inside=inside or key == MEMBER)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _within(each, (*path, index), inside=inside)


def _integer(text: str) -> int | _Altered:
    if len(text) > _LONGEST_INTEGER:
        return _ALTERED
    number = int(text)
    return number if _MOST_NEGATIVE <= number <= _MOST_POSITIVE else _ALTERED


def _decimal(text: str) -> float | _Altered:
    number = float(text)
    try:
        same = Decimal(text) == Decimal(repr(number))
    except InvalidOperation:
        # An exponent that not even a decimal has.
        same = False
    return number if same else _ALTERED
