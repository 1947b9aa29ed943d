"""Reference data on the wire: tenants, pairs, master records, mappings (X10, R050).

References between records are by goid, between tenants by slug. Names that must be unique,
ratios that must add up to 1, and the reserved slug are rules of the domain.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, Strict
from typing_extensions import TypedDict

from schemas.scalars import (
    Flag,
    Id24,
    Integer,
    Ratio,
    RequiredIdentifier,
    Slug,
    TankGoid,
    TankId,
    adapter,
    wire,
)

Entity = Literal["company", "site", "product", "terminal"]
Acceptance = Literal["auto", "manual"]
UpdatePolicy = Literal["apply", "propose"]
ItemOutcome = Literal["waiting", "done", "refused", "failed", "duplicate"]
Partitions = Annotated[int, Strict(), Field(ge=1, le=48)]


@wire
class SystemItem(TypedDict):
    """A system of a tenant; without a `primary` one the first is it (R005)."""

    name: RequiredIdentifier
    primary: NotRequired[Flag | None]
    instances: NotRequired[list[RequiredIdentifier] | None]


@wire
class UpsertTenant(TypedDict):
    """A tenant, by `slug`; `partitions` of each of its six topics, 3 by default."""

    slug: Slug
    name: RequiredIdentifier
    id: NotRequired[Id24 | None]
    active: NotRequired[Flag | None]
    partitions: NotRequired[Partitions | None]
    systems: list[SystemItem]


@wire
class UpsertPair(TypedDict):
    """Who sends orders to whom, by `origin` and `destination` (slugs; X01, X06, K43).

    Absent: acceptance `auto`, origin_updates `apply`, destination_updates `propose`.
    """

    origin: Slug
    destination: Slug
    acceptance: NotRequired[Acceptance | None]
    origin_updates: NotRequired[UpdatePolicy | None]
    destination_updates: NotRequired[UpdatePolicy | None]
    destination_system: NotRequired[RequiredIdentifier | None]
    destination_instance: NotRequired[RequiredIdentifier | None]


@wire
class RecordTank(TypedDict):
    """A tank of a master site; `product` is a goid."""

    goid: TankGoid
    number: Integer
    product: RequiredIdentifier
    name: NotRequired[RequiredIdentifier | None]


@wire
class Component(TypedDict):
    """One component of a blend: `product` a goid, `ratio` its share (R050)."""

    product: RequiredIdentifier
    ratio: Ratio


@wire
class UpsertRecord(TypedDict):
    """A master record, by `goid`; `tanks` of a site, `components` of a blend."""

    goid: RequiredIdentifier
    entity: Entity
    name: RequiredIdentifier
    active: NotRequired[Flag | None]
    tanks: NotRequired[list[RecordTank] | None]
    components: NotRequired[list[Component] | None]


@wire
class MappingTank(TypedDict):
    """A tank in the tenant's words, and the master tank it is (R041, R044)."""

    tank_id: TankId
    product_source_id: NotRequired[RequiredIdentifier | None]
    tank_goid: TankGoid


@wire
class UpsertMapping(TypedDict):
    """A mapping, by `tenant`, `system`, `entity` and `source_id` (X10, R032, R033)."""

    tenant: Slug
    system: RequiredIdentifier
    entity: Entity
    source_id: RequiredIdentifier
    source_name: RequiredIdentifier
    goid: RequiredIdentifier
    primary: NotRequired[Flag | None]
    tanks: NotRequired[list[MappingTank] | None]


@wire
class ReferenceBatch(TypedDict):
    """The HTTP body of one kind of upsert; each item is validated by itself."""

    items: list[dict[str, Any]]


@wire
class ItemAnswer(TypedDict):
    """What became of one item: its key, its outcome, and why when there is something to say."""

    id: str
    outcome: ItemOutcome
    detail: NotRequired[Any]


@wire
class ReferenceAnswer(TypedDict):
    """The answer to a batch, item by item in its order."""

    items: list[ItemAnswer]


@wire
class ReferenceList(TypedDict):
    """One page of a list; `next` is the cursor of the next page, null on the last."""

    items: list[dict[str, Any]]
    next: str | None


@wire
class ReferenceFile(TypedDict, total=False):
    """The file form: lists in the order they are applied; each item is validated by itself."""

    tenants: list[dict[str, Any]] | None
    pairs: list[dict[str, Any]] | None
    records: list[dict[str, Any]] | None
    mappings: list[dict[str, Any]] | None


UPSERT_TENANT = adapter(UpsertTenant)
UPSERT_PAIR = adapter(UpsertPair)
UPSERT_RECORD = adapter(UpsertRecord)
UPSERT_MAPPING = adapter(UpsertMapping)
REFERENCE_BATCH = adapter(ReferenceBatch)
ITEM_ANSWER = adapter(ItemAnswer)
REFERENCE_ANSWER = adapter(ReferenceAnswer)
REFERENCE_LIST = adapter(ReferenceList)
REFERENCE_FILE = adapter(ReferenceFile)
