"""Every refusal: its text, its code and how HTTP says it (K28, K29, K36).

A 4xx text never holds the words that make a client send the same again (K29); what a caller sent is
repeated in a text only where the text is fixed to do so.
"""

from __future__ import annotations

from collections.abc import Mapping as Members
from typing import Any

from schemas.codes import Code, http_status_of
from schemas.errors import ErrorEntry
from services.domain.effects import Answer

NO_SUCH_PAIR = "There is no pair of these tenants in this direction."
DUPLICATE = "Duplicate order: An order with number '{number}' already exists for this tenant."
NOT_FOUND_NUMBER = "Order not found for number: {number}"
NOT_FOUND_ID = "Order not found for id: {order_id}"
INVALID = "The request breaks its schema or a rule; detail names every error."

# Members in braces are filled in by `text`; contract texts are those above.
TEXTS: Members[Code, str] = {
    Code.INVALID: INVALID,
    Code.NO_SUCH_PAIR: NO_SUCH_PAIR,
    Code.NOT_ALLOWED: "This tenant may not ask for this.",
    Code.ORDER_ALREADY_EXISTS: DUPLICATE,
    Code.ORDER_NOT_FOUND: NOT_FOUND_NUMBER,
    Code.ORDER_AMBIGUOUS: "The number fits orders of several pairs: name the other tenant.",
    Code.ORDER_ALREADY_COMPLETE: "The order is complete and takes no further change.",
    Code.ORDER_IS_CANCELED: "The order is canceled and takes nothing more.",
    Code.ORDER_IS_REJECTED: "The destination rejected the order; it takes nothing more.",
    Code.ORDER_NOT_REQUESTED: "The order does not wait for manual acceptance.",
    Code.ORDER_NOT_SENT: "The order has not been sent to its destination.",
    Code.IDEMPOTENCY_KEY_REUSED: "This idempotency key was used for another command.",
    Code.ORDER_NUMBER_TAKEN: "Another order of this pair has this destination number.",
    Code.ORDER_TOO_LARGE: "A record this command would cause is larger than a topic takes.",
    Code.CHANGE_NOT_FOUND: "There is no such change.",
    Code.CHANGE_STALE: "The order was changed after this change was proposed.",
    Code.CHANGE_SETTLED: "The change was accepted or rejected before.",
    Code.CHANGE_NOT_YOURS: "Only the other side of a proposal may accept it.",
    Code.ORDER_REJECTED: "The destination rejected the order.",
    Code.ORDER_CANCELED: "The order was canceled while this command waited.",
    Code.LANE_REFUSED: "An operator ended this command while it waited: {reason}",
}

# Words that a client takes for an invitation to send the same again (K29).
MISLEADING = (
    "retry",
    "timed out",
    "temporarily unavailable",
    "internal server error",
    "too many requests",
)

# What a tenant that was deactivated is told.
INACTIVE = "This tenant is deactivated."


def text(code: Code, **members: str) -> str:
    """The sentence of a refusal; KeyError when a member it names is not given."""
    return TEXTS[code].format_map(members)


def because(sentence: str, reason: str | None) -> str:
    """The sentence with the other side's reason, if that would not mislead a client (K29)."""
    if not reason or any(words in reason.lower() for words in MISLEADING):
        return sentence
    return f"{sentence} Reason: {reason}"


def refused(code: Code, detail: str, log: Members[str, Any] | None = None) -> Answer:
    """A refusal by a business rule as K29 shapes it for its HTTP status.

    422 has detail, code and log; 403 and 409 detail and code; 404 the detail alone.
    """
    status = http_status_of(code)
    body: dict[str, Any] = {"detail": detail}
    if status != 404:
        body["code"] = str(code)
    if status == 422:
        body["log"] = log
    return Answer("refused", status, str(code), body)


def invalid(errors: list[ErrorEntry]) -> Answer:
    """A request that breaks its schema or a rule: 422 with every error (R011, K28)."""
    return Answer("refused", 422, str(Code.INVALID), {"detail": errors})
