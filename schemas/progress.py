"""The driver's side of an order: statuses, bills of lading, drops, pictures (R055-R063, R075-R085).

What an order keeps of them (`Bol`, `BolPhoto`, `ExecutedDrop`) stands with the order.
"""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from schemas.keys import KeyEcho, MappingKey, SiteTankKey
from schemas.log import CrossroadsLog
from schemas.orders import Bol, ExecutedDrop, OrderRequest
from schemas.scalars import (
    Contract,
    Identifier,
    Instant,
    Integer,
    IntegrationStatus,
    Moment,
    Note,
    PriceType,
    ProgressStatus,
    RequiredIdentifier,
    Volume,
    adapter,
    wire,
)
from schemas.sync import SyncEnvelope

AssignedTo = Annotated[str, Field(max_length=50)]


@wire
class UpdateStatus(TypedDict):
    """The body of order/update_status (R075-R083, K12); that a place is named is a domain rule."""

    order: OrderRequest
    location: NotRequired[MappingKey | None]
    site: NotRequired[MappingKey | None]
    progress_status: ProgressStatus
    eta: NotRequired[Moment | None]
    delivery_eta: NotRequired[Moment | None]
    actual: NotRequired[Moment | None]
    assigned_to: NotRequired[AssignedTo | None]
    hauled_by: NotRequired[Identifier | None]


@wire
class BolDetailRequest(TypedDict):
    """A line of a bill of lading; `site` may be left out where the order has one site (K16)."""

    site: NotRequired[SiteTankKey | None]
    supplier: MappingKey
    product: MappingKey
    contract: NotRequired[Contract | None]
    price_type: NotRequired[PriceType | None]
    net_volume: Volume
    gross_volume: Volume


@wire
class SaveBol(TypedDict):
    """The body of order/save_bol (R056-R059, X09)."""

    order: OrderRequest
    bol_number: RequiredIdentifier
    terminal: MappingKey
    bol_date: Moment
    details: Annotated[list[BolDetailRequest], Field(min_length=1)]


@wire
class ExecutedDropDetailRequest(TypedDict):
    """What was measured at one tank; a tank without site keys is one of the drop's site (K16)."""

    product: MappingKey
    quantity: Volume
    tank: NotRequired[SiteTankKey | None]
    pre_drop_volume: NotRequired[Volume | None]
    pre_drop_inches: NotRequired[Volume | None]
    pre_drop_time: NotRequired[Moment | None]
    post_drop_volume: NotRequired[Volume | None]
    post_drop_inches: NotRequired[Volume | None]
    post_drop_time: Moment


@wire
class SaveDrop(TypedDict):
    """The body of order/save_drop (R061-R063, X09)."""

    order: OrderRequest
    site: MappingKey
    mode: Literal["replace", "append"]
    details: Annotated[list[ExecutedDropDetailRequest], Field(min_length=1)]


@wire
class SaveBolImage(TypedDict):
    """The value of order/save_bol_image on Kafka; HTTP's multipart becomes it (R060, X09).

    Either `blob_id`, of a picture that is stored already, or `content`, its bytes as base64.
    """

    order: OrderRequest
    bol_number: RequiredIdentifier
    file_name: RequiredIdentifier
    note: NotRequired[Note | None]
    blob_id: NotRequired[Identifier | None]
    content: NotRequired[str | None]


@wire
class Blob(TypedDict):
    """A stored picture: its type by its bytes, `size` in bytes, `sha256` in lower-case hex."""

    blob_id: str
    media_type: str
    size: Integer
    sha256: str


@wire
class StatusUpdate(TypedDict):
    """A status as the hub took it in, in one side's words (R085, K12); times in UTC."""

    progress_status: ProgressStatus
    location: KeyEcho | None
    site: KeyEcho | None
    eta: Instant | None
    delivery_eta: Instant | None
    actual: Instant | None
    assigned_to: str | None
    hauled_by: str | None


@wire
class SavedBolPhoto(Blob):
    """A picture of a bill of lading, with its reference (R060)."""

    bol_number: str
    file_name: str
    note: str | None
    uploaded_at: Instant


@wire
class CommandAnswer(TypedDict):
    """What every 200 body of a command has (K25, K30)."""

    status: IntegrationStatus
    message: str | None
    log: CrossroadsLog | None


@wire
class StatusUpdateAnswer(CommandAnswer):
    """The 200 body of order/update_status (R085)."""

    status_update: StatusUpdate | None


@wire
class BolAnswer(CommandAnswer):
    """The 200 body of order/save_bol."""

    bol: Bol | None


@wire
class ExecutedDropAnswer(CommandAnswer):
    """The 200 body of order/save_drop."""

    executed_drop: ExecutedDrop | None


@wire
class BolPhotoAnswer(CommandAnswer):
    """The 200 body of order/save_bol_image."""

    bol_photo: SavedBolPhoto | None


@wire
class StatusUpdatedSync(SyncEnvelope):
    """`crossroads.order.status-updated.v1`, to the other side (R084)."""

    status_update: StatusUpdate


@wire
class BolSavedSync(SyncEnvelope):
    """`crossroads.order.bol-saved.v1`, to the other side (X09)."""

    bol: Bol


@wire
class DropSavedSync(SyncEnvelope):
    """`crossroads.order.drop-saved.v1`, to the other side (X09)."""

    executed_drop: ExecutedDrop


@wire
class BolPhotoSavedSync(SyncEnvelope):
    """`crossroads.order.bol-photo-saved.v1`, to the other side (X09)."""

    bol_photo: SavedBolPhoto


UPDATE_STATUS = adapter(UpdateStatus)
SAVE_BOL = adapter(SaveBol)
SAVE_DROP = adapter(SaveDrop)
SAVE_BOL_IMAGE = adapter(SaveBolImage)
BLOB = adapter(Blob)
STATUS_UPDATE_ANSWER = adapter(StatusUpdateAnswer)
BOL_ANSWER = adapter(BolAnswer)
EXECUTED_DROP_ANSWER = adapter(ExecutedDropAnswer)
BOL_PHOTO_ANSWER = adapter(BolPhotoAnswer)
STATUS_UPDATED_SYNC = adapter(StatusUpdatedSync)
BOL_SAVED_SYNC = adapter(BolSavedSync)
DROP_SAVED_SYNC = adapter(DropSavedSync)
BOL_PHOTO_SAVED_SYNC = adapter(BolPhotoSavedSync)
