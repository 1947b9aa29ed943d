"""Log entries: what happened to a command, for the tenant to read (R096, R097, K45)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.dump import iso_utc
from schemas.log import WORKER_NAME
from services.domain.command import Command
from services.domain.routing import Routing

SEVERITY = {"success": "low", "waiting": "medium", "refused": "medium", "failed": "high"}

SAGA_TYPES = {
    "order.create": "create_order",
    "order.request-accept": "create_order",
    "order.request-reject": "create_order",
    "order.receipt": "create_order",
    "order.update": "update_order",
    "order.update-status": "progress_status",
    "order.save-bol": "progress_bol",
    "order.save-bol-image": "progress_bol",
    "order.save-drop": "progress_drop",
    "order.cancel": "cancel_order",
    "change.propose": "change_order",
    "change.accept": "change_order",
    "change.reject": "change_order",
}


@dataclass(slots=True)
class Subject:
    """What a log entry is about: the caller's number of the order, the origin's, and its id."""

    number: str | None = None
    origin_number: str | None = None
    order_id: str | None = None


def entry(
    command: Command,
    now: datetime,
    *,
    title: str,
    status: str,
    category: str,
    message: str,
    short: str,
    routing: Routing,
    subject: Subject,
    error: str | None = None,
) -> dict[str, Any]:
    """A log entry with every documented member (K30).

    Its id is derived from the command, what became of it and the message: deciding the same again
    gives the same entry, waiting for something else gives another.
    """
    return {
        "_id": command.derive("log", status, message),
        "title": title,
        "date": iso_utc(now),
        "status": status,
        "severity": SEVERITY.get(status, "low"),
        "routing": routing,
        "detail": {
            "category": category,
            "message": message,
            "message_short": short,
            "traceback": None,
            "error": error,
        },
        "metadata": {
            "type": "order",
            "group_id": subject.number,
            "origin_order_number": subject.origin_number,
            "crossroads_order_id": subject.order_id,
        },
        "worker_name": WORKER_NAME,
        "correlation_id": command.correlation_id,
        "retried": False,
        "saga_id": command.id,
        "saga_type": SAGA_TYPES[command.operation],
        "send_notification": True,
        "outbound_request": {},
        "inbound_request": {},
    }
