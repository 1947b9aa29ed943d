"""Orders on the wire: create, the documented order shape, get (R018-R030, R055, R086-R090)."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from schemas.keys import KeyEcho, MappingKey, SiteTankEcho, SiteTankKey
from schemas.log import CrossroadsLog, Routing
from schemas.scalars import (
    Contract,
    Flag,
    FreeData,
    Identifier,
    Instant,
    Integer,
    IntegrationStatus,
    Moment,
    Note,
    Number,
    PriceType,
    ProgressionState,
    RequiredIdentifier,
    TripStatus,
    Units,
    WholeVolume,
    adapter,
    wire,
)


@wire
class DeliveryWindowRequest(TypedDict):
    """When to deliver; `timezone` is an IANA name, UTC by default (R021, R022, K27)."""

    start: Moment
    end: Moment
    timezone: NotRequired[Identifier | None]


@wire
class LoadRequest(TypedDict, total=False):
    """Where and how to load: singular or plural, not both for one parameter (R047-R053, K06)."""

    terminal: MappingKey | None
    product: MappingKey | None
    supplier: MappingKey | None
    price_type: PriceType | None
    contract: Contract | None
    terminals: list[MappingKey] | None
    products: list[MappingKey] | None
    suppliers: list[MappingKey] | None
    price_types: list[PriceType] | None
    contracts: list[Contract] | None


@wire
class DropRequest(TypedDict):
    """One product into one tank at one site (R024-R029)."""

    site: SiteTankKey
    product: NotRequired[MappingKey | None]
    volume: WholeVolume
    loads: NotRequired[list[LoadRequest] | None]
    extra_data: NotRequired[FreeData | None]


@wire
class CreateOrder(TypedDict):
    """The body of order/create (R018-R030, K20)."""

    origin_order_number: RequiredIdentifier
    po: NotRequired[Identifier | None]
    supply_owner: NotRequired[MappingKey | None]
    delivery_window: DeliveryWindowRequest
    note: NotRequired[Note | None]
    drops: Annotated[list[DropRequest], Field(min_length=1)]
    extra_data: NotRequired[FreeData | None]
    units: NotRequired[Units | None]
    created_by_hauler: NotRequired[Flag | None]


@wire
class OrderRequest(TypedDict, total=False):
    """Which order: the hub's id or the caller's own number, at least one (R012, R013)."""

    order_id: Identifier | None
    order_number: Identifier | None


@wire
class GetOrder(TypedDict, total=False):
    """The body of order/get, nested or flat (K08). At least one member is a domain rule."""

    order: OrderRequest | None
    order_id: Identifier | None
    order_number: Identifier | None


@wire
class DeliveryWindow(TypedDict):
    """A delivery window as answered: both ends in UTC."""

    start: Instant
    end: Instant
    timezone: str


@wire
class Load(TypedDict):
    """A load as answered: the lists, and the singular where the list has one item (K06)."""

    terminals: list[KeyEcho]
    products: list[KeyEcho]
    suppliers: list[KeyEcho]
    price_types: list[PriceType]
    contracts: list[str]
    terminal: KeyEcho | None
    product: KeyEcho | None
    supplier: KeyEcho | None
    price_type: PriceType | None
    contract: str | None


@wire
class Drop(TypedDict):
    """A drop as answered; `volume` in the order's units (R024-R029)."""

    site: SiteTankEcho
    product: KeyEcho | None
    volume: int
    loads: list[Load]
    extra_data: FreeData


@wire
class BolDetail(TypedDict):
    """One line of a bill of lading; net is temperature-corrected (R057-R059)."""

    site: SiteTankEcho | None
    supplier: KeyEcho
    product: KeyEcho
    contract: str | None
    price_type: PriceType | None
    net_volume: Number
    gross_volume: Number


@wire
class Bol(TypedDict):
    """A bill of lading; `sites` are those of its details (R056, K16)."""

    bol_number: str
    terminal: KeyEcho
    bol_date: Instant
    details: list[BolDetail]
    sites: list[KeyEcho]


@wire
class BolPhoto(TypedDict):
    """A reference to a stored picture of a bill of lading (R060); `size` in bytes."""

    bol_number: str
    file_name: str
    uploaded_at: Instant
    note: str | None
    blob_id: NotRequired[str]
    media_type: NotRequired[str]
    size: NotRequired[Integer]
    sha256: NotRequired[str]


@wire
class ExecutedDropDetail(TypedDict):
    """What was measured at one tank: volumes in the order's units, sticks in inches (R063)."""

    product: KeyEcho
    quantity: Number
    tank: SiteTankEcho | None
    pre_drop_volume: Number | None
    pre_drop_inches: Number | None
    pre_drop_time: Instant | None
    post_drop_volume: Number | None
    post_drop_inches: Number | None
    post_drop_time: Instant


@wire
class ExecutedDrop(TypedDict):
    """What was delivered at one site (R061, R062)."""

    site: KeyEcho
    mode: Literal["replace", "append"]
    details: list[ExecutedDropDetail]


@wire
class Order(TypedDict):
    """An order in one side's ids (R055, R087): every member there, null when unset (K30)."""

    origin_order_number: str
    destination_order_number: str | None
    po: str | None
    supply_owner: KeyEcho | None
    delivery_window: DeliveryWindow
    note: str | None
    drops: list[Drop]
    bols: list[Bol]
    bol_photos: list[BolPhoto]
    executed_drops: list[ExecutedDrop]
    extra_data: FreeData


@wire
class OrderAnswer(TypedDict):
    """The 200 body of order/create, cancel and request/accept or reject (R086, K30)."""

    status: IntegrationStatus
    message: str | None
    log: CrossroadsLog | None
    order: Order | None


@wire
class OrderDocument(TypedDict):
    """The 200 body of order/get (R089, R090, K08, K20, K43).

    `order` is the caller's own view; `master_order` and `destination_order` are null until
    the order is mapped that far.
    """

    _id: str
    status: IntegrationStatus
    failed_at_step: IntegrationStatus | None
    progression_state: ProgressionState
    trip_status: TripStatus
    eta: Instant | None
    delivery_eta: Instant | None
    assigned_to: str | None
    hauled_by: str | None
    hauled_by_id: str | None
    hauled_for: str | None
    hauled_for_id: str | None
    units: Units
    routing: Routing
    origin_order: Order
    master_order: Order | None
    destination_order: Order | None
    created_at: Instant
    updated_at: Instant
    order: Order | None


CREATE_ORDER = adapter(CreateOrder)
GET_ORDER = adapter(GetOrder)
ORDER = adapter(Order)
ORDER_ANSWER = adapter(OrderAnswer)
ORDER_DOCUMENT = adapter(OrderDocument)
