"""Commands on an order that is there: statuses, papers, cancel, acceptance, receipts (X06-X09)."""

from typing import Any

from schemas.operations import operation
from services.domain.addressing import wanted
from services.domain.operations.table import TABLE
from services.gateway.commands import CommandRoute

PROCESSING = "The request was accepted and is being processed."


def order_named(body: dict[str, Any]) -> str:
    """The record's key: the order's number as it was given, else its id."""
    asked = wanted(body)
    return asked.order_number or asked.order_id or ""


def route(name: str) -> CommandRoute:
    """How an operation on an order, which is named in its body, is taken."""
    return CommandRoute(
        operation=operation(name),
        problems=TABLE[name].problems,
        key=order_named,
        pending=PROCESSING,
    )
