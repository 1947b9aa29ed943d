"""Get an order: which one is asked for, and the one miss there is (R012-R014, K08, K34).

It causes nothing and never waits, so it is no command: the gateway looks the order up and shows it
with `services.domain.views`.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.errors import ErrorEntry
from schemas.reading import Reading
from services.domain import addressing
from services.domain.addressing import Wanted, miss, wanted
from services.domain.effects import Answer
from services.domain.world import OrderState

__all__ = ["Wanted", "decide", "miss", "problems", "wanted"]


def problems(reading: Reading) -> list[ErrorEntry]:
    """The reading's errors, or that neither id nor number was given (R012)."""
    return reading.errors or addressing.problems(reading)


def decide(asked: Wanted, found: Sequence[OrderState]) -> OrderState | Answer:
    """The order, the 404 of K08, or that the number fits several pairs (K34).

    `found` are the orders of the caller's pairs alone, so that an order of another pair is the same
    miss as none (guarantee 6).
    """
    if not found:
        return miss(asked)
    return found[0] if len(found) == 1 else addressing.ambiguous()
