"""The bodies of refusals and errors (R011, K28, K29)."""

from collections.abc import Iterable, Sequence
from typing import NotRequired

from typing_extensions import TypedDict

from schemas.log import CrossroadsLog
from schemas.scalars import adapter, wire


@wire
class ErrorEntry(TypedDict):
    """One error: where (`loc` starts with `body` or `header`), what, and its stable type."""

    loc: list[str | int]
    msg: str
    type: str


@wire
class InvalidRequest(TypedDict):
    """422 for a body that breaks a schema or its rules: all errors at once (R011, K28)."""

    detail: list[ErrorEntry]


@wire
class Refusal(TypedDict):
    """422 for a business rule: a sentence, a code of the catalogue, the log entry (K29)."""

    detail: str
    code: str
    log: CrossroadsLog | None


@wire
class Problem(TypedDict):
    """404, 403, 401, 409, 413, 429, 500, 503; only 403 and 409 may add `code` (K29)."""

    detail: str
    code: NotRequired[str]


Fault = tuple[Sequence[str | int], str]
"""Where, with the leading `body` or `header`, and one sentence."""


def unreadable(reason: str, faults: Iterable[Fault]) -> list[ErrorEntry]:
    """The entries of what cannot be read at all, the same by HTTP and in a result (K28).

    `reason` is the word of the dead letter.
    """
    kind = "json_invalid" if reason == "not-json" else reason.replace("-", "_")
    return [{"loc": list(loc), "msg": msg, "type": kind} for loc, msg in faults]


INVALID_REQUEST = adapter(InvalidRequest)
REFUSAL = adapter(Refusal)
PROBLEM = adapter(Problem)
