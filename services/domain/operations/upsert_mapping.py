"""Upsert a mapping: what an identifier of a tenant's system means (X05, X10, R032-R034)."""

from __future__ import annotations

from collections.abc import Mapping as Members
from datetime import datetime
from typing import Any

from schemas.errors import ErrorEntry
from services.domain import reference
from services.domain.command import Command
from services.domain.effects import Effects, Upsert
from services.domain.reference import Missing, entry
from services.domain.refusals import INACTIVE
from services.domain.tenants import OPERATOR, Directory, Tenant
from services.domain.tokens import record_token, tenant_token, tokens_of_mapping
from services.domain.world import MappedTank, Mapping, MasterRecord, Needs, Scope, World


def needs(command: Command, directory: Directory) -> Needs:
    """The mapping as it is, and the record it is to mean."""
    body = command.body
    key = tuple(body.get(member) for member in ("system", "entity", "source_id"))
    goid = body.get("goid")
    tenant = directory.by_slug.get(body.get("tenant") or "")
    found = Needs(goids={goid} if goid is not None else set())
    if tenant is not None and None not in key:
        system, entity, source_id = (str(part) for part in key)
        found.mapping_keys.add((tenant.id, system, entity, source_id))
    return found


def problems(command: Command) -> list[ErrorEntry]:
    """What is wrong with the item by itself, schema and rules together."""
    body = command.body
    entity = body.get("entity")
    errors = reference.goid_rule(body, ["goid"], entity) if entity is not None else []
    if body.get("tenant") == OPERATOR:
        errors.append(entry(["tenant"], "The hub's operators have no systems"))
    tanks = reference.items(body, "tanks")
    if body.get("tanks") and entity not in (None, "site"):
        errors.append(entry(["tanks"], "Only the mapping of a site has tanks"))
    for i, tank in tanks:
        if tank.get("tank_id") == "":
            errors.append(entry(["tanks", i, "tank_id"], "A tank id has at least one character"))
        errors += reference.goid_rule(tank, ["tanks", i, "tank_goid"], "tank")
    for member in ("tank_id", "tank_goid"):
        errors += reference.repeated(
            ((["tanks", i, member], tank.get(member)) for i, tank in tanks),
            f"A {member} of a site",
        )
    return reference.together(command, errors)


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Create or update the mapping; an active tenant writes its own, the operator everybody's.

    It waits for its tenant, the tenant's system, its record, and its tanks on that record. An
    absent `primary` is false, absent tanks are none. It wakes who waits on what it meant before
    and on what it means now.
    """
    body = command.body
    named = body.get("tenant")
    if not reference.is_operator(command) and named is not None and named != command.caller.slug:
        return reference.not_allowed(command)
    if not command.caller.active:
        return reference.not_allowed(command, INACTIVE)
    if errors := problems(command):
        return reference.invalid(command, errors)
    tenant = world.directory.by_slug.get(body["tenant"])
    old = _existing(body, tenant, world)
    mapping_id = old.id if old is not None else command.derive("mapping")
    missing = [*_missing_tenant(body, tenant), *_missing_record(body, world)]
    if missing or tenant is None:
        return reference.waits(command, world, mapping_id, missing)
    mapping = _mapping(command, tenant, old)
    upsert = None
    if mapping != old:
        before = tokens_of_mapping(old) if old is not None else ()
        tokens = tuple(dict.fromkeys((*before, *tokens_of_mapping(mapping))))
        upsert = Upsert(mapping=mapping, tokens=tokens)
    return reference.written(command, world, mapping_id, existed=old is not None, upsert=upsert)


def _existing(body: Members[str, Any], tenant: Tenant | None, world: World) -> Mapping | None:
    if tenant is None:
        return None
    scope = Scope(tenant.id, body["system"])
    return world.master.by_source_id(scope, body["entity"], body["source_id"])


def _missing_tenant(body: Members[str, Any], tenant: Tenant | None) -> list[Missing]:
    slug, system = body["tenant"], body["system"]
    if tenant is None:
        return [Missing(tenant_token(slug), f"tenant {slug}")]
    if tenant.system(system) is None:
        return [Missing(tenant_token(slug), f"system {system} of tenant {slug}")]
    return []


def _missing_record(body: Members[str, Any], world: World) -> list[Missing]:
    goid = body["goid"]
    record = world.master.record(goid)
    if record is None:
        return [Missing(record_token(goid), f"record {goid}")]
    return [Missing(record_token(goid), what) for what in _missing_tanks(body, record)]


def _missing_tanks(body: Members[str, Any], record: MasterRecord) -> list[str]:
    known = {tank.goid for tank in record.tanks}
    wanted = (tank["tank_goid"] for tank in body.get("tanks") or ())
    return [f"tank {goid} on record {record.goid}" for goid in wanted if goid not in known]


def _mapping(command: Command, tenant: Tenant, old: Mapping | None) -> Mapping:
    body = command.body
    # Until it is stored a new mapping's age is its arrival in microseconds: above any stored age,
    # which counts rows, so that it is the youngest of its batch's world as it will be of the table.
    arrived = int(command.accepted_at.timestamp() * 1_000_000)
    return Mapping(
        id=old.id if old is not None else command.derive("mapping"),
        tenant_id=tenant.id,
        system=body["system"],
        entity=body["entity"],
        source_id=body["source_id"],
        source_name=body["source_name"],
        goid=body["goid"],
        primary=bool(body.get("primary")),
        age=old.age if old is not None else arrived,
        tanks=tuple(
            MappedTank(tank["tank_id"], tank.get("product_source_id"), tank["tank_goid"])
            for tank in body.get("tanks") or ()
        ),
    )
