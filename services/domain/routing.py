"""From where to where a message goes: the twelve members of routing (R098, K43)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from services.domain.tenants import Instance, Pair, System, Tenant

Routing = dict[str, Any]


def of_order(pair: Pair, origin_system: str | None, origin_instance: str | None) -> Routing:
    """An order's direction. The origin's instance is null unless it was named (K43)."""
    system = pair.origin.system(origin_system)
    return between(pair.origin, system, _instance(system, origin_instance), pair)


# The same for all that two tenants exchange: a batch makes, and writes, it once.
@lru_cache(maxsize=4096)
def between(
    sender: Tenant,
    system: System | None,
    instance: Instance | None,
    pair: Pair | None,
    origin_system: str | None = None,
) -> Routing:
    """A message of `sender` to the other tenant of the pair; nobody's without a pair.

    Towards the destination it goes to the pair's system and instance, else to the primary system
    and its first instance; towards the origin to `origin_system`, the one its order came from, else
    to the primary system, no instance. What is returned is shared: never change it.
    """
    receiver: Tenant | None = None
    to_system: System | None = None
    to_instance: Instance | None = None
    if pair is not None and sender.id == pair.origin.id:
        receiver = pair.destination
        to_system, to_instance = destination_of(pair)
    elif pair is not None:
        receiver = pair.origin
        to_system = receiver.system(origin_system) or receiver.system(None)
    return {
        "origin_tenant_id": sender.id,
        "origin_tenant_name": sender.name,
        "origin_source_system": _name(system),
        "origin_source_system_id": _id(system),
        "origin_instance_id": _id(instance),
        "origin_instance_name": _name(instance),
        "destination_tenant_id": _id(receiver),
        "destination_tenant_name": _name(receiver),
        "destination_source_system": _name(to_system),
        "destination_source_system_id": _id(to_system),
        "destination_instance_id": _id(to_instance),
        "destination_instance_name": _name(to_instance),
    }


def destination_of(pair: Pair) -> tuple[System | None, Instance | None]:
    """The system and instance of the destination that orders of this pair go to (K43)."""
    system = pair.destination.system(pair.destination_system)
    if system is None:
        return None, None
    if pair.destination_instance is not None:
        return system, _instance(system, pair.destination_instance)
    return system, next(iter(system.instances), None)


def instance_of(tenant: Tenant, system: str | None, name: str | None) -> Instance | None:
    """The named instance of a tenant's system; None when none is named."""
    return _instance(tenant.system(system), name)


def _instance(system: System | None, name: str | None) -> Instance | None:
    if system is None or name is None:
        return None
    return next((instance for instance in system.instances if instance.name == name), None)


def _id(thing: Tenant | System | Instance | None) -> str | None:
    return None if thing is None else thing.id


def _name(thing: Tenant | System | Instance | None) -> str | None:
    return None if thing is None else thing.name
