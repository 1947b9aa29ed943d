"""The nine states of an order, derived from its four axes (R064-R074, K02, K38-K40)."""

from __future__ import annotations

from services.domain.world import OrderState

PENDING = "pending"
REQUESTED = "requested"
ORIGIN_MAPPED = "origin_mapped"
MASTER_MAPPED = "master_mapped"
DESTINATION_MAPPED = "destination_mapped"
SYNCED = "synced"
CANCELED = "canceled"
ERROR = "error"
REJECTED = "rejected"

UNSENT = "unsent"
SENT = "sent"
FAILED = "failed"

_PROGRESSION = {"no_progress": "No Progress", "complete": "Complete"}


def of(order: OrderState) -> str:
    """Which of the nine an order is in.

    `synced` is said only when the newest record was acknowledged; until then the order is
    destination_mapped (K40). `pending` is never an order's own: it is what a waiting command is
    told (K41).
    """
    if order.delivery == CANCELED:
        return CANCELED
    if order.receipt == REJECTED:
        return REJECTED
    if FAILED in {order.receipt, order.delivery}:
        return ERROR
    if order.delivery == REQUESTED:
        return REQUESTED
    if order.delivery == SENT:
        return SYNCED if order.delivered else DESTINATION_MAPPED
    return order.mapping


def failed_at_step(order: OrderState) -> str | None:
    """The step that failed: the mapping step of a gap; synced, of a failed receipt (R074, K39)."""
    return SYNCED if order.receipt == FAILED else order.failed_at_step


def progression_state(progress: str) -> str:
    """No Progress, In Progress or Complete (K14)."""
    return _PROGRESSION.get(progress, "In Progress")
