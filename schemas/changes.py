"""Changes of an order between its two companies (R015-R017, R091-R095, X01-X04)."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from schemas.keys import MappingKey
from schemas.log import Routing
from schemas.orders import DeliveryWindowRequest, Drop, DropRequest, Order, OrderRequest
from schemas.progress import CommandAnswer
from schemas.scalars import (
    Flag,
    Identifier,
    Instant,
    Integer,
    IntegrationStatus,
    Moment,
    Note,
    Number,
    ProgressionState,
    ReasonCode,
    RequiredIdentifier,
    TripStatus,
    Units,
    adapter,
    wire,
)
from schemas.sync import SyncEnvelope

ChangeType = Literal[
    "delivery_window_change",
    "destination_change",
    "supply_change",
    "volume_change",
    "note_change",
    "po_change",
]
ChangeStatus = Literal["requested", "rejected", "synced"]
"""Proposed and not settled, turned down for whatever reason, accepted and applied (X02)."""


@wire
class UpdateOrder(TypedDict):
    """The body of order/update and order/change/create (X01).

    A member that is absent stays as it is; null clears note, po and supply_owner. `drops` is the
    whole list. That anything is said is a domain rule.
    """

    order: OrderRequest
    delivery_window: NotRequired[DeliveryWindowRequest]
    note: NotRequired[Note | None]
    po: NotRequired[Identifier | None]
    supply_owner: NotRequired[MappingKey | None]
    drops: NotRequired[Annotated[list[DropRequest], Field(min_length=1)]]
    validate_only: NotRequired[Flag | None]


@wire
class ChangedOrderKey(TypedDict, total=False):
    """Whose change: the origin's number is the origin's, whoever asks (R015, K35)."""

    origin_order_number: Identifier | None
    destination_order_number: Identifier | None
    order_id: Identifier | None


@wire
class SettleChange(TypedDict, total=False):
    """The body of order/change/accept and reject; that one is named is a domain rule (R015, R016).

    By the order it is the change that is pending.
    """

    id: Identifier | None
    order: ChangedOrderKey | None
    reason_code: ReasonCode | None


@wire
class Between(TypedDict):
    """From `start` on, before `end`; without an offset UTC is meant."""

    start: Moment
    end: Moment


@wire
class AllChanges(TypedDict, total=False):
    """The body of order/change/all: at least one filter, of the times one at most (X02).

    `as_of` and `between` go by the time of the proposal, `updated_as_of` by that of the last step.
    """

    status: ChangeStatus | None
    order_numbers: Annotated[list[RequiredIdentifier], Field(max_length=3000)] | None
    change_types: list[ChangeType] | None
    as_of: Moment | None
    updated_as_of: Moment | None
    between: Between | None


Difference = TypedDict(
    "Difference",
    {"type": ChangeType, "drop": Integer | None, "field": str, "from": Any, "to": Any},
)
wire(Difference)
"""One difference, in the words of whoever reads it.

`drop` is null for a member of the order itself. It is the place of the drop, from 0: in the list as
it was, of a drop that was added in the list as it becomes. `field` is the member, `drop` where a
whole drop was added or removed.
"""


@wire
class OrderChange(TypedDict):
    """A proposed change (X02); tenants by name, times in UTC."""

    id: str
    origin_order_number: str
    destination_order_number: str | None
    status: ChangeStatus
    change_types: list[ChangeType]
    changes: list[Difference]
    proposed_by: str
    reason_code: str | None
    created_on: Instant
    updated_on: Instant
    origin_tenant_name: str
    destination_tenant_name: str


@wire
class ProductRatio(TypedDict):
    """A component of what is ordered: its share of its product (0-1), its volume in `units`."""

    name: str
    amount: Number
    volume: Number


@wire
class OrderSide(TypedDict):
    """An order as one side sees it, or the hub (R095, K44)."""

    id: str
    internal_order_number: str | None
    partner_order_number: str | None
    po: str | None
    status: IntegrationStatus
    order_status: ProgressionState
    trip_status: TripStatus
    eta: Instant | None
    assigned_to: str | None
    hauled_by: str | None
    hauled_for: str | None
    units: Units
    integration: str | None
    delivery_window_start: Instant
    delivery_window_end: Instant
    product_ratios: list[ProductRatio]
    drops: list[Drop]
    suppliers: list[str]
    origins: list[str]
    destinations: list[str]
    created_date: Instant
    updated_date: Instant
    updated_by: str
    created_by: str
    routing: Routing
    failed_log_id: str | None
    integration_error_title: str | None
    integration_error_message: str | None
    pending_change_id: str | None
    pending_change_types: list[ChangeType]


@wire
class OrderRow(TypedDict):
    """The caller's side of an order, the other side, and the hub between them (R095)."""

    internal_order: OrderSide
    partner_order: OrderSide
    gravitate_order: OrderSide


@wire
class UpdateAnswer(CommandAnswer):
    """The 200 body of order/update; `order_change` where it became a proposal (X01)."""

    order: Order | None
    order_change: OrderChange | None


@wire
class ChangeAnswer(CommandAnswer):
    """The 200 body of order/change/create and reject (X01, X03)."""

    order_change: OrderChange | None


@wire
class AcceptAnswer(CommandAnswer):
    """The 200 body of order/change/accept (R094, R095, K10)."""

    order: Order | None
    order_row: OrderRow | None


@wire
class ChangesAnswer(CommandAnswer):
    """The 200 body of order/change/all, the newest first (X02)."""

    changes: list[OrderChange]


@wire
class OrderUpdatedSync(SyncEnvelope):
    """`crossroads.order.updated.v1`, to the other side (X01)."""

    order: Order
    changes: list[Difference]


@wire
class ChangeSync(SyncEnvelope):
    """`crossroads.change.proposed.v1` and `.rejected.v1` (X01, X03)."""

    change: OrderChange


@wire
class ChangeAcceptedSync(SyncEnvelope):
    """`crossroads.change.accepted.v1`, to the proposer (R091)."""

    change: OrderChange
    order: Order


UPDATE_ORDER = adapter(UpdateOrder)
PROPOSE_CHANGE = UPDATE_ORDER
ACCEPT_CHANGE = adapter(SettleChange)
REJECT_CHANGE = ACCEPT_CHANGE
ALL_CHANGES = adapter(AllChanges)
ORDER_CHANGE = adapter(OrderChange)
ORDER_ROW = adapter(OrderRow)
UPDATE_ANSWER = adapter(UpdateAnswer)
CHANGE_ANSWER = adapter(ChangeAnswer)
ACCEPT_ANSWER = adapter(AcceptAnswer)
CHANGES_ANSWER = adapter(ChangesAnswer)
ORDER_UPDATED_SYNC = adapter(OrderUpdatedSync)
CHANGE_SYNC = adapter(ChangeSync)
CHANGE_ACCEPTED_SYNC = adapter(ChangeAcceptedSync)
