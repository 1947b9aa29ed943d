"""Writing a document: JSON bytes with UTC times ending in `Z` and decimals as numbers (K30)."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME


def to_json(document: Any) -> bytes:
    """The document as compact UTF-8 JSON, members in their order.

    A datetime with offset becomes UTC with `Z`, a Decimal a JSON number without exponent and
    trailing zeros. Raises TypeError for what JSON does not know, for integers beyond 64 bits, and
    for a datetime without offset, which whoever composed the document should have resolved.
    """
    return orjson.dumps(document, default=_fragment, option=_OPTIONS)


# Equal moments have one text, and those of a batch come again and again.
@lru_cache(maxsize=4096)
def iso_utc(moment: datetime) -> str:
    """The text of a moment: UTC, `Z`, a fraction only where there is one. Needs an offset."""
    if moment.tzinfo is None:
        raise TypeError("A datetime without offset has no place in a document.")
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat() + "Z"


def number_text(number: Decimal) -> str:
    """The JSON number of a Decimal: `7500`, `7500.25`; never an exponent, never `-0`."""
    if not number.is_finite():
        raise TypeError("JSON has no number for infinity or NaN.")
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def _fragment(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso_utc(value)
    if isinstance(value, Decimal):
        return orjson.Fragment(number_text(value))
    raise TypeError(f"JSON has no form for {type(value).__name__}.")
