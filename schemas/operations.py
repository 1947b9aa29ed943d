"""Every operation of the contract: its types, topic, path, scope and document."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from schemas import topics
from schemas.changes import (
    ACCEPT_CHANGE,
    ALL_CHANGES,
    PROPOSE_CHANGE,
    REJECT_CHANGE,
    UPDATE_ORDER,
)
from schemas.orders import CREATE_ORDER, GET_ORDER
from schemas.progress import SAVE_BOL, SAVE_BOL_IMAGE, SAVE_DROP, UPDATE_STATUS
from schemas.reference import UPSERT_MAPPING, UPSERT_PAIR, UPSERT_RECORD, UPSERT_TENANT
from schemas.requests import CANCEL_ORDER, RECEIPT, REQUEST_ACCEPT, REQUEST_REJECT

PREFIX = "crossroads."
VERSION = ".v1"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a caller can ask for.

    `base` is None for what only HTTP does (reads, blobs). `adds` are the members of the 200 body
    beside status, message and log. `document` is None where there is no JSON body; what HTTP takes
    as multipart has that of Kafka.
    """

    name: str
    path: str
    scope: str
    base: str | None = None
    adds: tuple[str, ...] = ()
    document: TypeAdapter[Any] | None = None
    method: str = "POST"

    @property
    def type(self) -> str | None:
        """The command's ce_type; None for what cannot be asked on Kafka."""
        return None if self.base is None else f"{PREFIX}{self.name}{VERSION}"

    @property
    def result_type(self) -> str | None:
        """The ce_type of its results; None for what cannot be asked on Kafka."""
        return None if self.base is None else f"{PREFIX}{self.name}.result{VERSION}"


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "order.create",
        "/v1/order/create",
        "order:create",
        topics.ORDERS,
        ("order",),
        CREATE_ORDER,
    ),
    Operation("order.get", "/v1/order/get", "order:read", document=GET_ORDER),
    Operation("order.timeline", "/v1/order/{order_id}/timeline", "order:read", method="GET"),
    Operation(
        "order.update",
        "/v1/order/update",
        "order:update",
        topics.CHANGES,
        ("order", "order_change"),
        UPDATE_ORDER,
    ),
    Operation(
        "order.cancel",
        "/v1/order/cancel",
        "order:cancel",
        topics.ORDERS,
        ("order",),
        CANCEL_ORDER,
    ),
    Operation(
        "order.update-status",
        "/v1/order/update_status",
        "order:update_status",
        topics.PROGRESS,
        ("status_update",),
        UPDATE_STATUS,
    ),
    Operation(
        "order.save-bol",
        "/v1/order/save_bol",
        "order:save_bol",
        topics.PROGRESS,
        ("bol",),
        SAVE_BOL,
    ),
    Operation(
        "order.save-drop",
        "/v1/order/save_drop",
        "order:save_drop",
        topics.PROGRESS,
        ("executed_drop",),
        SAVE_DROP,
    ),
    Operation(
        "order.save-bol-image",
        "/v1/order/save_bol_image",
        "order:save_bol",
        topics.PROGRESS,
        ("bol_photo",),
        SAVE_BOL_IMAGE,
    ),
    Operation(
        "change.propose",
        "/v1/order/change/create",
        "order:update",
        topics.CHANGES,
        ("order_change",),
        PROPOSE_CHANGE,
    ),
    Operation(
        "change.accept",
        "/v1/order/change/accept",
        "order_change:accept",
        topics.CHANGES,
        ("order", "order_row"),
        ACCEPT_CHANGE,
    ),
    Operation(
        "change.reject",
        "/v1/order/change/reject",
        "order_change:reject",
        topics.CHANGES,
        ("order_change",),
        REJECT_CHANGE,
    ),
    Operation(
        "change.all",
        "/v1/order/change/all",
        "order_change:read",
        adds=("changes",),
        document=ALL_CHANGES,
    ),
    Operation(
        "order.request-accept",
        "/v1/order/request/accept",
        "order_request:accept",
        topics.ORDERS,
        ("order",),
        REQUEST_ACCEPT,
    ),
    Operation(
        "order.request-reject",
        "/v1/order/request/reject",
        "order_request:reject",
        topics.ORDERS,
        ("order",),
        REQUEST_REJECT,
    ),
    Operation(
        "order.receipt",
        "/v1/order/receipt",
        "order:receipt",
        topics.ORDERS,
        ("receipt",),
        RECEIPT,
    ),
    Operation("blob.save", "/v1/blobs", "order:save_bol"),
    Operation("blob.get", "/v1/blobs/{blob_id}", "order:read", method="GET"),
    Operation(
        "reference.upsert-tenant",
        "/v1/reference/tenants",
        "operations:write",
        topics.REFERENCE,
        document=UPSERT_TENANT,
    ),
    Operation(
        "reference.upsert-pair",
        "/v1/reference/pairs",
        "operations:write",
        topics.REFERENCE,
        document=UPSERT_PAIR,
    ),
    Operation(
        "reference.upsert-record",
        "/v1/reference/records",
        "operations:write",
        topics.REFERENCE,
        document=UPSERT_RECORD,
    ),
    Operation(
        "reference.upsert-mapping",
        "/v1/reference/mappings",
        "reference:write",
        topics.REFERENCE,
        document=UPSERT_MAPPING,
    ),
    Operation("reference.tenants", "/v1/reference/tenants", "reference:read", method="GET"),
    Operation("reference.pairs", "/v1/reference/pairs", "reference:read", method="GET"),
    Operation("reference.records", "/v1/reference/records", "reference:read", method="GET"),
    Operation("reference.mappings", "/v1/reference/mappings", "reference:read", method="GET"),
)

SCOPES: tuple[str, ...] = (
    "order:create",
    "order:read",
    "order:update",
    "order:cancel",
    "order:update_status",
    "order:save_bol",
    "order:save_drop",
    "order:receipt",
    "order_change:read",
    "order_change:accept",
    "order_change:reject",
    "order_request:accept",
    "order_request:reject",
    "reference:read",
    "reference:write",
    "operations:read",
    "operations:write",
)


@cache
def _by_name() -> Mapping[str, Operation]:
    return {operation.name: operation for operation in OPERATIONS}


@cache
def _by_type() -> Mapping[str, Operation]:
    return {operation.type: operation for operation in OPERATIONS if operation.type}


def operation(name: str) -> Operation:
    """The operation of this name (`order.create`); KeyError for one that is none."""
    return _by_name()[name]


def operation_of_type(ce_type: str) -> Operation | None:
    """The operation a command's ce_type asks for; None for a type nobody knows."""
    return _by_type().get(ce_type)
