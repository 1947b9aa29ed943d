"""The processing log entry (R096, R097, K45) and the routing of a message (R098, K43)."""

from typing import Any, Literal

from typing_extensions import TypedDict

from schemas.scalars import Instant, adapter, wire

LogStatus = Literal["unknown", "success", "waiting", "refused", "failed"]
LogSeverity = Literal["low", "medium", "high"]
LogCategory = Literal["crossroads", "mapping", "validation", "delivery"]
SagaType = Literal[
    "create_order",
    "update_order",
    "progress_status",
    "progress_bol",
    "progress_drop",
    "cancel_order",
    "change_order",
]

UNFORESEEN_MESSAGE = "Unhandled System Error. Please retry or contact support."
UNFORESEEN_MESSAGE_SHORT = "System Error"
WORKER_NAME = "Crossroads"


@wire
class Routing(TypedDict):
    """From where to where a message goes: twelve members, tenants by id and name (R098)."""

    origin_tenant_id: str | None
    origin_tenant_name: str | None
    origin_source_system: str | None
    origin_source_system_id: str | None
    origin_instance_id: str | None
    origin_instance_name: str | None
    destination_tenant_id: str | None
    destination_tenant_name: str | None
    destination_source_system: str | None
    destination_source_system_id: str | None
    destination_instance_id: str | None
    destination_instance_name: str | None


@wire
class LogDetail(TypedDict):
    """What happened; `error` is a code of the catalogue, `traceback` null to tenants (R097)."""

    category: LogCategory
    message: str | None
    message_short: str | None
    traceback: str | None
    error: str | None


@wire
class LogMetadata(TypedDict):
    """What it happened to; `group_id` is the caller's order number (K45)."""

    type: Literal["order"]
    group_id: str | None
    origin_order_number: str | None
    crossroads_order_id: str | None


@wire
class CrossroadsLog(TypedDict):
    """One log entry, as answers and results carry it (R096, K45)."""

    _id: str
    title: str
    date: Instant
    status: LogStatus
    severity: LogSeverity
    routing: Routing
    detail: LogDetail
    metadata: LogMetadata
    worker_name: str
    correlation_id: str | None
    retried: bool
    saga_id: str | None
    saga_type: SagaType
    send_notification: bool
    outbound_request: dict[str, Any]
    inbound_request: dict[str, Any]


ROUTING = adapter(Routing)
CROSSROADS_LOG = adapter(CrossroadsLog)
