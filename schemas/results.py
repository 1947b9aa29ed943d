"""The answer to a command on the caller's results topic."""

from typing import Any, Literal

from typing_extensions import TypedDict

from schemas.scalars import adapter, wire

Outcome = Literal["waiting", "done", "refused", "failed", "duplicate"]
FINAL_OUTCOMES: frozenset[Outcome] = frozenset({"done", "refused", "failed"})


@wire
class ResultValue(TypedDict):
    """The value of a `crossroads.<operation>.result.v1` record.

    `body` is what HTTP answers with `http_status`; `code` is null on `done`, else a code of
    the catalogue. `command_id` and `operation` are null only where a record has none legible.
    """

    command_id: str | None
    operation: str | None
    outcome: Outcome
    http_status: int
    code: str | None
    body: dict[str, Any]


RESULT_VALUE = adapter(ResultValue)
