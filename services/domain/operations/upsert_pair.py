"""Upsert a pair: orders may go from one tenant to another, under these policies (X01, X06, X10)."""

from __future__ import annotations

from datetime import datetime

from schemas.errors import ErrorEntry
from services.domain import reference
from services.domain.command import Command
from services.domain.effects import Effects, Upsert
from services.domain.reference import Missing, entry
from services.domain.tenants import OPERATOR, Directory, Pair, Tenant
from services.domain.tokens import tenant_token
from services.domain.world import Needs, World


def needs(command: Command, directory: Directory) -> Needs:
    """Nothing but the directory, which holds both tenants and their pair."""
    return Needs()


def problems(command: Command) -> list[ErrorEntry]:
    """What is wrong with the item by itself, schema and rules together."""
    body = command.body
    errors = [
        entry([side], "The hub's operators are no tenant of a pair")
        for side in ("origin", "destination")
        if body.get(side) == OPERATOR
    ]
    if body.get("origin") is not None and body.get("origin") == body.get("destination"):
        errors.append(entry(["destination"], "A pair is of two different tenants"))
    return reference.together(command, errors)


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Create or update the pair; the operator's alone.

    It waits for its tenants, and for the destination's system and instance where it names them.
    An instance without a system is one of the primary system (K43). What is absent is the default.
    """
    if not reference.is_operator(command):
        return reference.not_allowed(command)
    if errors := problems(command):
        return reference.invalid(command, errors)
    body = command.body
    directory = world.directory
    origin = directory.by_slug.get(body["origin"])
    destination = directory.by_slug.get(body["destination"])
    old = directory.pair(origin, destination) if origin and destination else None
    pair_id = old.id if old else command.derive("pair")
    system, instance = body.get("destination_system"), body.get("destination_instance")
    missing = [
        Missing(tenant_token(slug), f"tenant {slug}")
        for slug, tenant in ((body["origin"], origin), (body["destination"], destination))
        if tenant is None
    ]
    if destination is not None:
        missing += _missing_system(destination, system, instance)
    if missing or origin is None or destination is None:
        return reference.waits(command, world, pair_id, missing)
    pair = Pair(
        id=pair_id,
        origin=origin,
        destination=destination,
        acceptance=body.get("acceptance") or "auto",
        origin_updates=body.get("origin_updates") or "apply",
        destination_updates=body.get("destination_updates") or "propose",
        destination_system=system,
        destination_instance=instance,
    )
    upsert = None if pair == old else Upsert(pair=pair)
    return reference.written(command, world, pair_id, existed=old is not None, upsert=upsert)


def _missing_system(tenant: Tenant, name: str | None, instance: str | None) -> list[Missing]:
    token = tenant_token(tenant.slug)
    system = tenant.system(name)
    if name is not None and system is None:
        return [Missing(token, f"system {name} of tenant {tenant.slug}")]
    known = system.instances if system is not None else ()
    if instance is not None and all(one.name != instance for one in known):
        return [Missing(token, f"instance {instance} of tenant {tenant.slug}")]
    return []
