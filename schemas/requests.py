"""What decides an order's fate: cancel, acceptance by hand, receipts (X06-X08)."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from schemas.orders import OrderRequest
from schemas.progress import CommandAnswer
from schemas.scalars import ReasonCode, RequiredIdentifier, adapter, wire
from schemas.sync import Receipt

ReceiptMessage = Annotated[str, Field(max_length=1000)]


@wire
class CancelOrder(TypedDict):
    """The body of order/cancel (X08)."""

    order: OrderRequest
    reason_code: NotRequired[ReasonCode | None]


@wire
class AcceptRequest(TypedDict):
    """The body of order/request/accept: the order gets the destination's number (X06)."""

    order: OrderRequest
    destination_order_number: RequiredIdentifier
    reason_code: NotRequired[ReasonCode | None]


@wire
class RejectRequest(TypedDict):
    """The body of order/request/reject (X06)."""

    order: OrderRequest
    reason_code: NotRequired[ReasonCode | None]


@wire
class SendReceipt(TypedDict):
    """The body of order/receipt (X07); that only a received order has a number is a domain rule."""

    order: OrderRequest
    status: Literal["received", "rejected", "failed"]
    destination_order_number: NotRequired[RequiredIdentifier | None]
    reason_code: NotRequired[ReasonCode | None]
    message: NotRequired[ReceiptMessage | None]


@wire
class ReceiptAnswer(CommandAnswer):
    """The 200 body of order/receipt."""

    receipt: Receipt | None


CANCEL_ORDER = adapter(CancelOrder)
REQUEST_ACCEPT = adapter(AcceptRequest)
REQUEST_REJECT = adapter(RejectRequest)
RECEIPT = adapter(SendReceipt)
RECEIPT_ANSWER = adapter(ReceiptAnswer)
