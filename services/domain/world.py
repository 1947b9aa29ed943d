"""What a batch of commands needs to know, loaded before and changed as they are decided."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Members
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, TypedDict

from services.domain.tenants import Directory


@dataclass(frozen=True, slots=True)
class Tank:
    """A tank of a site in the master data; `number` orders them."""

    goid: str
    number: int
    product: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a blend: a product's goid and its share, 0 to 1 (R050)."""

    product: str
    ratio: Decimal


@dataclass(frozen=True, slots=True)
class MasterRecord:
    """A company, site, product or terminal everybody's identifiers are mapped to."""

    goid: str
    entity: str
    name: str
    active: bool = True
    tanks: tuple[Tank, ...] = ()
    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True)
class MappedTank:
    """A tank as a tenant's system calls it."""

    tank_id: str
    product_source_id: str | None
    tank_goid: str


@dataclass(frozen=True, slots=True)
class Mapping:
    """One identifier of a tenant's system and the master record it means; low `age` is older."""

    id: str
    tenant_id: str
    system: str
    entity: str
    source_id: str
    source_name: str
    goid: str
    primary: bool = False
    age: int = 0
    tanks: tuple[MappedTank, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a source id has its meaning: one system of one tenant."""

    tenant_id: str
    system: str


@dataclass(slots=True)
class Needs:
    """The keys, numbers and ids a command must know before it is decided.

    `keys` are mapping keys as read, each with its entity, in the caller's `scope`; whatever they
    lead to is loaded with its mappings in `towards` as well. `order_ids` are (tenant id, order id):
    an order that is none of the tenant's is not so much as locked for it. `numbers` are (tenant id,
    number) of orders that tenant created. `addresses` are (tenant id, number) as K34 reads a
    number: every order of the tenant's pairs, whichever side it is and whichever side gave it.

    `further` are needs of the same command in other systems, where it is not known before its order
    is which of them give its keys their meaning; they are loaded as if they were commands' own, and
    have no `further` of theirs. `blobs` are ids of stored pictures.
    """

    scope: Scope | None = None
    towards: Scope | None = None
    keys: list[tuple[str, Members[str, Any]]] = field(default_factory=list)
    goids: set[str] = field(default_factory=set)
    mapping_keys: set[tuple[str, str, str, str]] = field(default_factory=set)
    order_ids: set[tuple[str, str]] = field(default_factory=set)
    numbers: set[tuple[str, str]] = field(default_factory=set)
    addresses: set[tuple[str, str]] = field(default_factory=set)
    further: tuple[Needs, ...] = ()
    blobs: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored picture: who stored it, its type by its bytes, its size in bytes, SHA-256 in hex."""

    id: str
    tenant_id: str
    media_type: str
    size: int
    sha256: str


class Lasting(TypedDict):
    """What an update leaves as it was where it says nothing of it: the last values given (K26).

    Times are UTC texts; `hauled_by` is the last explicit one.
    """

    eta: str | None
    delivery_eta: str | None
    assigned_to: str | None
    hauled_by: str | None


class Trip(Lasting):
    """What is known of an order's trip beside its latest status (K26); one JSON document.

    `actual` and `accepted_at` are those of the newest update, `completed` is that of `complete`, in
    the master data's words, to know a repeat by (K33).
    """

    actual: str | None
    accepted_at: str
    completed: dict[str, Any] | None


class MasterData:
    """Master records and mappings, indexed the ways a key can name them (R031-R036)."""

    def __init__(
        self, records: Iterable[MasterRecord] = (), mappings: Iterable[Mapping] = ()
    ) -> None:
        self.records: dict[str, MasterRecord] = {}
        self._by_id: dict[str, Mapping] = {}
        self._by_source: dict[tuple[str, str, str, str], Mapping] = {}
        self._by_name: dict[tuple[str, str, str, str], list[Mapping]] = {}
        self._by_goid: dict[tuple[str, str, str], list[Mapping]] = {}
        # What was found for keys that come again and again in a batch; forgotten with every change.
        self.memo: dict[tuple[Any, ...], Any] = {}
        for record in records:
            self.put_record(record)
        for mapping in mappings:
            self.put_mapping(mapping)

    def put_record(self, record: MasterRecord) -> None:
        """Add a master record, or replace the one with its goid."""
        self.memo.clear()
        self.records[record.goid] = record

    def put_mapping(self, mapping: Mapping) -> None:
        """Add a mapping, or replace the one with its id."""
        self.memo.clear()
        old = self._by_id.get(mapping.id)
        if old is not None:
            self._by_name[_name_key(old)].remove(old)
            self._by_goid[_goid_key(old)].remove(old)
            del self._by_source[_source_key(old)]
        self._by_id[mapping.id] = mapping
        self._by_source[_source_key(mapping)] = mapping
        self._by_name.setdefault(_name_key(mapping), []).append(mapping)
        self._by_goid.setdefault(_goid_key(mapping), []).append(mapping)

    def record(self, goid: str) -> MasterRecord | None:
        """The record of this goid, active or not; None when there is none."""
        return self.records.get(goid)

    def by_id(self, scope: Scope, mapping_id: str) -> Mapping | None:
        """The caller's mapping with this id, whatever system of theirs it belongs to (R034)."""
        mapping = self._by_id.get(mapping_id)
        return mapping if mapping is not None and mapping.tenant_id == scope.tenant_id else None

    def by_source_id(self, scope: Scope, entity: str, source_id: str) -> Mapping | None:
        """The mapping of this source id (R032)."""
        return self._by_source.get((scope.tenant_id, scope.system, entity, source_id))

    def by_source_name(self, scope: Scope, entity: str, source_name: str) -> list[Mapping]:
        """All mappings with this display name, the oldest first (R033)."""
        found = self._by_name.get((scope.tenant_id, scope.system, entity, source_name), [])
        return sorted(found, key=lambda mapping: mapping.age)

    def of_goid(self, scope: Scope, goid: str) -> Mapping | None:
        """The mapping a record is known by in this scope: the primary one, else the oldest."""
        found = self._by_goid.get((scope.tenant_id, scope.system, goid))
        if not found:
            return None
        return min(found, key=lambda mapping: (not mapping.primary, mapping.age))


def _source_key(mapping: Mapping) -> tuple[str, str, str, str]:
    return (mapping.tenant_id, mapping.system, mapping.entity, mapping.source_id)


def _name_key(mapping: Mapping) -> tuple[str, str, str, str]:
    return (mapping.tenant_id, mapping.system, mapping.entity, mapping.source_name)


def _goid_key(mapping: Mapping) -> tuple[str, str, str]:
    return (mapping.tenant_id, mapping.system, mapping.goid)


@dataclass(slots=True)
class OrderState:
    """An order as it stands: its three documents, its axes, and how far each side has been told.

    The axes (K39): `mapping` is the last step reached (origin_mapped, master_mapped,
    destination_mapped); `delivery` unsent, requested, sent, canceled or failed; `receipt` none,
    received, accepted, rejected or failed; `progress` no_progress or the latest progress status.
    `delivered` says whether the newest record towards each side was acknowledged.

    `waiting` is how many commands stand in the order's lane, `trip` is None until the first status
    update. The documents are never changed in place: one that is another object was changed.
    """

    id: str
    origin_id: str
    destination_id: str
    origin_number: str
    command_id: str
    correlation_id: str
    accepted_at: datetime
    created_at: datetime
    updated_at: datetime
    origin_document: dict[str, Any]
    master_document: dict[str, Any] | None = None
    destination_document: dict[str, Any] | None = None
    destination_number: str | None = None
    po: str | None = None
    origin_system: str | None = None
    origin_instance: str | None = None
    mapping: str = "origin_mapped"
    delivery: str = "unsent"
    receipt: str = "none"
    progress: str = "no_progress"
    failed_at_step: str | None = None
    message: str | None = None
    units: str = "gallons"
    created_by_hauler: bool = False
    origin_sequence: int = 0
    destination_sequence: int = 0
    waiting: int = 0
    delivered: bool = True
    trip: Trip | None = None

    def copied(self) -> OrderState:
        """A state of its own with the same documents, for less than `dataclasses.replace` costs."""
        return OrderState(*_members(self))


_members = attrgetter(*(each.name for each in fields(OrderState)))


@dataclass(slots=True)
class World:
    """Everything the commands of a batch were found to need, and what they have changed so far.

    `waiting_upserts` maps the entity key of an upsert that waits to its (tenant id, command id).
    `blobs` are the stored pictures that were asked for, by id.
    """

    directory: Directory
    master: MasterData
    orders: dict[str, OrderState] = field(default_factory=dict)
    waiting_upserts: dict[str, tuple[str, str]] = field(default_factory=dict)
    blobs: dict[str, Blob] = field(default_factory=dict)
    _numbers: dict[tuple[str, str, str], str] = field(default_factory=dict)
    _addresses: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def put_order(self, order: OrderState) -> None:
        """Add an order, or replace it by what it became."""
        self.orders[order.id] = order
        self._numbers[(order.origin_id, order.destination_id, order.origin_number)] = order.id
        self._address(order.id, order.origin_id, order.origin_number)
        self._address(order.id, order.destination_id, order.origin_number)
        if order.destination_number is not None:
            self._address(order.id, order.origin_id, order.destination_number)
            self._address(order.id, order.destination_id, order.destination_number)

    def order_numbered(self, origin_id: str, destination_id: str, number: str) -> OrderState | None:
        """The order of this pair that its origin gave this number (K36)."""
        order_id = self._numbers.get((origin_id, destination_id, number))
        return None if order_id is None else self.orders[order_id]

    def orders_called(self, tenant_id: str, number: str) -> list[OrderState]:
        """The orders of this tenant's pairs that either side calls by this number (K34)."""
        return [self.orders[each] for each in self._addresses.get((tenant_id, number), ())]

    def _address(self, order_id: str, tenant_id: str, number: str) -> None:
        known = self._addresses.setdefault((tenant_id, number), [])
        if order_id not in known:
            known.append(order_id)
