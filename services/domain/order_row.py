"""An order in three rows: the caller's side, the other side, and the hub between (R095, K44)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from schemas.dump import iso_utc
from services.domain import addressing, routing, status, views
from services.domain.mapping import Side
from services.domain.progress import own_system
from services.domain.tenants import Directory, Pair, Tenant
from services.domain.world import ChangeState, Failure, MasterData, Needs, OrderState, Scope, World

Document = dict[str, Any]

# What stands for the hub where a side names its system.
HUB = "Crossroads"
NOT_TAKEN_IN = "The destination could not take the order in."
_PLACES = Decimal("0.0001")


def needs(
    orders: Iterable[OrderState], changes: Iterable[ChangeState], directory: Directory
) -> list[Needs]:
    """What these orders deliver, in both sides' words, with the components of blends (R050).

    Also what these changes would make them deliver.
    """
    brought: dict[str, set[str]] = {}
    for change in changes:
        brought.setdefault(change.order_id, set()).update(_wanted(change.amended[1]))
    found = []
    for order in orders:
        origin = directory.by_id.get(order.origin_id)
        destination = directory.by_id.get(order.destination_id)
        if origin is None or destination is None or order.master_document is None:
            continue  # an order of another pair that has the number, too
        pair = directory.pair(origin, destination) or Pair("", origin, destination)
        found.append(
            Needs(
                scope=_scope(order, pair, origin),
                towards=_scope(order, pair, destination),
                goids={*_wanted(order.master_document), *brought.get(order.id, ())},
            )
        )
    return found


def rows(
    order: OrderState,
    caller: Tenant,
    pair: Pair,
    world: World,
    *,
    by: Tenant,
    settled: str | None = None,
) -> Document:
    """The three rows of an order that is mapped on both sides, `by` having updated it last.

    What it delivers must be loaded (`needs`). `settled` is a change that the world still has as
    pending. `status` is what it will be once its newest record is acknowledged.
    """
    mine, theirs = pair.origin, pair.destination
    if caller.id == theirs.id:
        mine, theirs = theirs, mine
    reader = _Reader(order, pair, world, by, settled)
    return {
        "internal_order": reader.side(mine, theirs),
        "partner_order": reader.side(theirs, mine),
        "gravitate_order": reader.hub(),
    }


def _scope(order: OrderState, pair: Pair, tenant: Tenant) -> Scope:
    return Side.of(tenant, own_system(order, pair, tenant)).scope


def _wanted(master: Document) -> Iterator[str]:
    """Each drop's product; where it names none its site, whose tank says it."""
    for drop in master.get("drops", ()):
        product = drop["product"]
        yield drop["site"]["goid"] if product is None else product["goid"]


@dataclass(slots=True)
class _Reader:
    order: OrderState
    pair: Pair
    world: World
    by: Tenant
    settled: str | None

    def side(self, own: Tenant, other: Tenant) -> Document:
        """The order as a tenant of its pair has it."""
        order = self.order
        document = order.origin_document
        if own.id == order.destination_id:
            document = order.destination_document or document
        system = own.system(own_system(order, self.pair, own))
        return {
            **self._of(document, "source_name", _scope(order, self.pair, own)),
            "internal_order_number": addressing.own_number(order, own.id),
            "partner_order_number": addressing.own_number(order, other.id),
            "integration": None if system is None else system.name,
            **self._failure(own),
        }

    def hub(self) -> Document:
        """The order as the hub has it: in the master data's words, the origin's number first."""
        order = self.order
        document = order.master_document or order.origin_document
        return {
            **self._of(document, "goid_name", None),
            "internal_order_number": order.origin_number,
            "partner_order_number": order.destination_number,
            "integration": HUB,
            **self._failure(self.pair.origin, self.pair.destination),
        }

    def _of(self, document: Document, name: str, scope: Scope | None) -> Document:
        """What all three say alike, and what stands in this document; keys by this name."""
        order, trip = self.order, self.order.trip
        hauled_by, hauled_for = views.haulage(order, self.pair)
        pending = self.world.pending_change(order.id)
        if pending is not None and pending.id == self.settled:
            pending = None
        drops = document["drops"]
        loads = [load for drop in drops for load in drop["loads"]]
        return {
            "id": order.id,
            "po": document["po"],
            "status": status.of(order),
            "order_status": status.progression_state(order.progress),
            "trip_status": order.progress,
            "eta": None if trip is None else trip["eta"],
            "assigned_to": None if trip is None else trip["assigned_to"],
            "hauled_by": hauled_by,
            "hauled_for": hauled_for,
            "units": order.units,
            "delivery_window_start": document["delivery_window"]["start"],
            "delivery_window_end": document["delivery_window"]["end"],
            "product_ratios": self._ratios(scope),
            "drops": drops,
            "suppliers": _names((key for load in loads for key in load["suppliers"]), name),
            "origins": _names((key for load in loads for key in load["terminals"]), name),
            "destinations": _names((drop["site"] for drop in drops), name),
            "created_date": iso_utc(order.created_at),
            "updated_date": iso_utc(order.updated_at),
            "updated_by": self.by.name,
            "created_by": self.pair.origin.name,
            "routing": routing.of_order(self.pair, order.origin_system, order.origin_instance),
            "pending_change_id": None if pending is None else pending.id,
            "pending_change_types": [] if pending is None else list(pending.types),
        }

    def _failure(self, *sides: Tenant) -> Document:
        """The last failure on these sides: of a command, or of the destination to take it in."""
        order = self.order
        found = [
            failure
            for side in sides
            if (failure := self.world.failures.get((order.id, side.id))) is not None
        ]
        receipt = order.last_receipt
        if self.pair.destination in sides and receipt is not None and receipt["status"] == "failed":
            at = datetime.fromisoformat(receipt["at"])
            found.append(Failure(at, None, NOT_TAKEN_IN, receipt["message"]))
        last = max(found, key=lambda failure: failure.at, default=None)
        return {
            "failed_log_id": None if last is None else last.log_id,
            "integration_error_title": None if last is None else last.title,
            "integration_error_message": None if last is None else last.message,
        }

    def _ratios(self, scope: Scope | None) -> list[Document]:
        """The components of each product, with what is dropped of them altogether (R050)."""
        master = self.world.master
        volumes: dict[str, Decimal] = {}
        for drop in (self.order.master_document or {"drops": []})["drops"]:
            goid = _product(master, drop)
            if goid is not None:
                volumes[goid] = volumes.get(goid, Decimal(0)) + drop["volume"]
        found = []
        for goid, volume in volumes.items():
            record = master.record(goid)
            parts = () if record is None else record.components
            shares = [(part.product, part.ratio) for part in parts] or [(goid, Decimal(1))]
            found += [
                {
                    "name": _called(master, scope, component),
                    "amount": share,
                    "volume": (share * volume).quantize(_PLACES),
                }
                for component, share in shares
            ]
        return found


def _product(master: MasterData, drop: Document) -> str | None:
    """What a drop of the master document delivers: its product, else its tank's."""
    if drop["product"] is not None:
        return str(drop["product"]["goid"])
    site = master.record(drop["site"]["goid"])
    tanks = () if site is None else site.tanks
    return next((each.product for each in tanks if each.goid == drop["site"]["tank_goid"]), None)


def _called(master: MasterData, scope: Scope | None, goid: str) -> str:
    """A product's name in one side's words, else the master record's, else its goid."""
    called = None if scope is None else master.of_goid(scope, goid)
    if called is not None:
        return called.source_name
    record = master.record(goid)
    return goid if record is None else record.name


def _names(keys: Iterable[Document], name: str) -> list[str]:
    """The names there are, each once; a key without one goes by the master record's."""
    found = (key[name] or key["goid_name"] or key["goid"] for key in keys)
    return list(dict.fromkeys(each for each in found if each))
