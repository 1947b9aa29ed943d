"""The values of sync records: what a tenant's system must take in, in its own ids."""

from typing import Literal

from typing_extensions import TypedDict

from schemas.log import Routing
from schemas.orders import Order
from schemas.scalars import Instant, Integer, adapter, wire


@wire
class SyncEnvelope(TypedDict):
    """What every sync value has; `sequence` is 1, 2, 3, ... per order and receiver, no gaps."""

    order_id: str
    routing: Routing
    sequence: Integer


@wire
class OrderSync(SyncEnvelope):
    """`crossroads.order.created.v1` and `.requested.v1`, to the destination (X06)."""

    order: Order


@wire
class Cancellation(TypedDict):
    """Who canceled why is in `reason_code`, when in `at` (X08)."""

    reason_code: str | None
    at: Instant


@wire
class CancellationSync(SyncEnvelope):
    """`crossroads.order.canceled.v1`, to the other side (X08)."""

    cancellation: Cancellation


@wire
class Receipt(TypedDict):
    """What the destination said of a sent or requested order (X06, X07)."""

    status: Literal["received", "accepted", "rejected", "failed"]
    destination_order_number: str | None
    reason_code: str | None
    message: str | None
    at: Instant


@wire
class ReceiptSync(SyncEnvelope):
    """`crossroads.order.received.v1`, `.accepted.v1`, `.rejected.v1`, `.failed.v1` (X07)."""

    receipt: Receipt


ORDER_SYNC = adapter(OrderSync)
CANCELLATION_SYNC = adapter(CancellationSync)
RECEIPT_SYNC = adapter(ReceiptSync)
