"""What a reader is shown of an order (R089, R090, K08, K20, K30, K43)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from schemas.dump import iso_utc
from services.domain import routing, status
from services.domain.tenants import Directory, Pair, Tenant
from services.domain.world import OrderState

Document = dict[str, Any]


def order_document(
    order: OrderState, tenant_ids: Collection[str], directory: Directory
) -> Document:
    """The flat document of order/get, with `order` as the caller's own view of it.

    `tenant_ids` are the caller's tenants; of both sides of the pair the origin's view is shown.
    `directory` must hold both tenants of the order. Times are UTC, tenants by name (K30).
    """
    origin = directory.by_id[order.origin_id]
    destination = directory.by_id[order.destination_id]
    pair = directory.pair(origin, destination) or Pair("", origin, destination)
    hauler, client = _parties(order, pair)
    hauled_by, hauled_by_id = _hauled_by(order, hauler, client)
    trip = order.trip
    return {
        "_id": order.id,
        "status": status.of(order),
        "failed_at_step": status.failed_at_step(order),
        "progression_state": status.progression_state(order.progress),
        "trip_status": order.progress,
        "eta": None if trip is None else trip["eta"],
        "delivery_eta": None if trip is None else trip["delivery_eta"],
        "assigned_to": None if trip is None else trip["assigned_to"],
        "hauled_by": hauled_by,
        "hauled_by_id": hauled_by_id,
        "hauled_for": client.name,
        "hauled_for_id": client.id,
        "units": order.units,
        "routing": routing.of_order(pair, order.origin_system, order.origin_instance),
        "origin_order": order.origin_document,
        "master_order": order.master_document,
        "destination_order": order.destination_document,
        "created_at": iso_utc(order.created_at),
        "updated_at": iso_utc(order.updated_at),
        "order": own_view(order, tenant_ids),
    }


def haulage(order: OrderState, pair: Pair) -> tuple[str, str]:
    """Who hauls, and for whom, by name (K20, K26)."""
    hauler, client = _parties(order, pair)
    return _hauled_by(order, hauler, client)[0], client.name


def _parties(order: OrderState, pair: Pair) -> tuple[Tenant, Tenant]:
    """K20: the destination hauls for the origin, unless the hauler itself created the order."""
    if order.created_by_hauler:
        return pair.origin, pair.destination
    return pair.destination, pair.origin


def _hauled_by(order: OrderState, hauler: Tenant, client: Tenant) -> tuple[str, str | None]:
    """Name and tenant id of who hauls: who was named last by a status, else the hauler (K20, K26).

    Somebody who is neither side of the order has a name alone.
    """
    named = None if order.trip is None else order.trip["hauled_by"]
    for tenant in (hauler, client):
        if named is None or named in (tenant.name, tenant.slug):
            return tenant.name, tenant.id
    return named or hauler.name, None


def own_view(order: OrderState, tenant_ids: Collection[str]) -> Document | None:
    """The order in the caller's words; None for a destination it is not mapped to yet."""
    if order.origin_id in tenant_ids:
        return order.origin_document
    return order.destination_document
