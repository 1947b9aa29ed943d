"""Get an order: which one is asked for, and the one miss there is (R012-R014, K08, K34).

It causes nothing and never waits, so it is no command: the gateway looks the order up and shows it
with `services.domain.views`.
"""

from __future__ import annotations

from collections.abc import Mapping as Members
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.codes import Code
from schemas.errors import ErrorEntry
from schemas.reading import Reading
from services.domain import refusals
from services.domain.effects import Answer
from services.domain.entries import entry
from services.domain.world import OrderState


@dataclass(frozen=True, slots=True)
class Wanted:
    """The hub's id, the caller's or the partner's number, or both; at least one."""

    order_id: str | None
    order_number: str | None


def problems(reading: Reading) -> list[ErrorEntry]:
    """The reading's errors, or that neither id nor number was given (R012)."""
    if reading.errors:
        return reading.errors
    asked = wanted(reading.wellformed)
    if asked.order_id is None and asked.order_number is None:
        return [entry(("order",), "Give at least one of order_id and order_number", "key_required")]
    return []


def wanted(body: Members[str, Any]) -> Wanted:
    """What is asked for, nested or flat; the nested form goes first (K08). Empty says nothing."""
    nested = body.get("order") or {}
    return Wanted(
        order_id=nested.get("order_id") or body.get("order_id") or None,
        order_number=nested.get("order_number") or body.get("order_number") or None,
    )


def decide(asked: Wanted, found: Sequence[OrderState]) -> OrderState | Answer:
    """The order, the 404 of K08, or that the number fits several pairs (K34).

    `found` are the orders of the caller's pairs alone, so that an order of another pair is the same
    miss as none (guarantee 6).
    """
    if not found:
        return miss(asked)
    if len(found) > 1:
        return refusals.refused(Code.ORDER_AMBIGUOUS, refusals.text(Code.ORDER_AMBIGUOUS))
    return found[0]


def miss(asked: Wanted) -> Answer:
    """Not found, by number where one was given."""
    if asked.order_number is not None:
        detail = refusals.NOT_FOUND_NUMBER.format(number=asked.order_number)
    else:
        detail = refusals.NOT_FOUND_ID.format(order_id=asked.order_id)
    return refusals.refused(Code.ORDER_NOT_FOUND, detail)
