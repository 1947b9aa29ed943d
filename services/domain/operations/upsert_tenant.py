"""Upsert a tenant by its slug, with its systems and their instances (X10)."""

from __future__ import annotations

from collections.abc import Mapping as Members
from datetime import datetime
from typing import Any

from schemas.errors import ErrorEntry
from services.domain import reference
from services.domain.command import Command
from services.domain.effects import Effects, Upsert
from services.domain.reference import entry
from services.domain.tenants import OPERATOR, Directory, Instance, System, Tenant
from services.domain.tokens import tenant_token
from services.domain.world import Needs, World

PARTITIONS = 3


def needs(command: Command, directory: Directory) -> Needs:
    """Nothing but the directory, which holds all of `reference.names`."""
    return Needs()


def problems(command: Command) -> list[ErrorEntry]:
    """What is wrong with the item by itself, schema and rules together."""
    body = command.body
    slug, name = body.get("slug"), body.get("name")
    errors = []
    if slug == OPERATOR:
        errors.append(entry(["slug"], "This slug is reserved for the hub's operators"))
    if name is not None and name.lower() == OPERATOR:
        errors.append(entry(["name"], "This name is reserved for the hub's operators"))
    elif name is not None and name == slug:
        errors.append(entry(["name"], "A name differs from every slug, its own too"))
    return reference.together(command, [*errors, *_system_rules(body)])


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Create or update the tenant; the operator's alone.

    Absent `id`, `active` and `partitions` stay as they are; `systems` is the whole list, and a
    system or instance that keeps its name keeps its id. Slug, id and partitions never change.
    """
    if not reference.is_operator(command):
        return reference.not_allowed(command)
    if errors := problems(command):
        return reference.invalid(command, errors)
    body = command.body
    old = world.directory.by_slug.get(body["slug"])
    if errors := _conflicts(body, old, world.directory):
        return reference.invalid(command, errors, old.id if old else None)
    tenant = _tenant(command, old)
    upsert = None if tenant == old else Upsert(tenant=tenant, tokens=(tenant_token(tenant.slug),))
    return reference.written(command, world, tenant.id, existed=old is not None, upsert=upsert)


def _system_rules(body: Members[str, Any]) -> list[ErrorEntry]:
    systems = reference.items(body, "systems")
    errors = reference.repeated(
        ((["systems", i, "name"], system.get("name")) for i, system in systems),
        "The name of a system",
    )
    primaries = [i for i, system in systems if system.get("primary")]
    errors.extend(
        entry(["systems", i, "primary"], "Only one system is the primary one")
        for i in primaries[1:]
    )
    for i, system in systems:
        errors.extend(
            reference.repeated(
                (
                    (["systems", i, "instances", j], name)
                    for j, name in enumerate(system.get("instances") or ())
                ),
                "The name of an instance",
            )
        )
    return errors


def _conflicts(
    body: Members[str, Any], old: Tenant | None, directory: Directory
) -> list[ErrorEntry]:
    """What others hold already, and what never changes."""
    slug, name, given, partitions = (
        body.get(member) for member in ("slug", "name", "id", "partitions")
    )
    errors = []
    if directory.by_name.get(str(slug)) is not None:
        errors.append(entry(["slug"], "A tenant has this slug as its name"))
    if directory.by_slug.get(str(name)) is not None:
        errors.append(entry(["name"], "This name is the slug of a tenant"))
    holder = directory.by_name.get(str(name))
    if holder is not None and holder.slug != slug:
        errors.append(entry(["name"], "Another tenant has this name"))
    if given is not None and old is not None and given != old.id:
        errors.append(entry(["id"], f"The id of a tenant never changes; it is {old.id}"))
    elif given is not None and old is None and given in directory.by_id:
        errors.append(entry(["id"], "Another tenant has this id"))
    if partitions is not None and old is not None and partitions != old.partitions:
        errors.append(
            entry(["partitions"], f"A partition count never changes; it is {old.partitions}")
        )
    return errors


def _tenant(command: Command, old: Tenant | None) -> Tenant:
    body = command.body
    active, partitions = body.get("active"), body.get("partitions")
    if active is None:
        active = old.active if old else True
    if partitions is None:
        partitions = old.partitions if old else PARTITIONS
    return Tenant(
        id=old.id if old else body.get("id") or command.derive("tenant"),
        slug=body["slug"],
        name=body["name"],
        active=active,
        partitions=partitions,
        systems=tuple(_system(command, item, old) for item in body["systems"]),
    )


def _system(command: Command, item: Members[str, Any], tenant: Tenant | None) -> System:
    name = item["name"]
    old = next((s for s in tenant.systems if s.name == name), None) if tenant else None
    known = {instance.name: instance for instance in old.instances} if old else {}
    return System(
        id=old.id if old else command.derive("system", name),
        name=name,
        primary=bool(item.get("primary")),
        instances=tuple(
            known.get(instance)
            or Instance(id=command.derive("instance", name, instance), name=instance)
            for instance in item.get("instances") or ()
        ),
    )
