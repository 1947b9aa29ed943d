"""Upsert a master record: a company, site, product or terminal, by its goid (X10, R050)."""

from __future__ import annotations

from collections.abc import Mapping as Members
from datetime import datetime
from decimal import Decimal
from typing import Any

from schemas.errors import ErrorEntry
from services.domain import reference
from services.domain.command import Command
from services.domain.effects import Effects, Upsert
from services.domain.reference import Missing, entry
from services.domain.tenants import Directory
from services.domain.tokens import record_token, tokens_of_record
from services.domain.world import Component, MasterRecord, Needs, Tank, World

# Ratios come as binary floats: thirds written with six digits still add up to 1.
RATIO_TOLERANCE = Decimal("0.000001")


def needs(command: Command, directory: Directory) -> Needs:
    """The record as it is, and the products of its tanks and components."""
    body = command.body
    own = body.get("goid")
    return Needs(goids={*_products(body), *([own] if own is not None else [])})


def problems(command: Command) -> list[ErrorEntry]:
    """What is wrong with the item by itself, schema and rules together."""
    body = command.body
    entity = body.get("entity")
    errors = reference.goid_rule(body, ["goid"], entity) if entity is not None else []
    if body.get("tanks") and entity not in (None, "site"):
        errors.append(entry(["tanks"], "Only a site has tanks"))
    if body.get("components") and entity not in (None, "product"):
        errors.append(entry(["components"], "Only a product has components"))
    return reference.together(command, [*errors, *_tank_rules(body), *_component_rules(body)])


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Create or update the record; the operator's alone. It waits for its products.

    An absent `active` stays as it is; tanks and components are whole lists. Who waits for the
    record is woken by its tokens as it was and as it becomes, when it is deactivated too.
    """
    if not reference.is_operator(command):
        return reference.not_allowed(command)
    if errors := problems(command):
        return reference.invalid(command, errors)
    body = command.body
    goid = body["goid"]
    missing = [
        Missing(record_token(product), f"product {product}")
        for product in _products(body)
        if world.master.record(product) is None
    ]
    if missing:
        return reference.waits(command, world, goid, missing)
    old = world.master.record(goid)
    record = _record(body, old)
    upsert = None
    if record != old:
        before = tokens_of_record(old) if old is not None else ()
        tokens = tuple(dict.fromkeys((*before, *tokens_of_record(record))))
        upsert = Upsert(record=record, tokens=tokens)
    return reference.written(command, world, goid, existed=old is not None, upsert=upsert)


def _products(body: Members[str, Any]) -> list[str]:
    """The products the record refers to, each once, in the order they are named."""
    parts = [*reference.items(body, "tanks"), *reference.items(body, "components")]
    named = (part.get("product") for _, part in parts)
    return list(dict.fromkeys(product for product in named if product is not None))


def _tank_rules(body: Members[str, Any]) -> list[ErrorEntry]:
    tanks = reference.items(body, "tanks")
    errors = []
    for i, tank in tanks:
        errors += reference.goid_rule(tank, ["tanks", i, "goid"], "tank")
        errors += reference.goid_rule(tank, ["tanks", i, "product"], "product")
    errors += reference.repeated(
        ((["tanks", i, "goid"], tank.get("goid")) for i, tank in tanks), "The goid of a tank"
    )
    errors += reference.repeated(
        ((["tanks", i, "number"], tank.get("number")) for i, tank in tanks), "The number of a tank"
    )
    return errors


def _component_rules(body: Members[str, Any]) -> list[ErrorEntry]:
    components = reference.items(body, "components")
    errors = []
    for i, component in components:
        loc: list[str | int] = ["components", i, "product"]
        errors += reference.goid_rule(component, loc, "product")
        if component.get("product") is not None and component.get("product") == body.get("goid"):
            errors.append(entry(loc, "A blend is no component of itself"))
    errors += reference.repeated(
        ((["components", i, "product"], part.get("product")) for i, part in components),
        "A component",
    )
    ratios = [part.get("ratio") for part in body.get("components") or () if part is not None]
    whole = len(ratios) == len(body.get("components") or ()) and None not in ratios
    if ratios and whole and abs(sum(ratios, Decimal(0)) - 1) > RATIO_TOLERANCE:
        errors.append(entry(["components"], "The ratios of a blend add up to 1"))
    return errors


def _record(body: Members[str, Any], old: MasterRecord | None) -> MasterRecord:
    active = body.get("active")
    if active is None:
        active = old.active if old is not None else True
    return MasterRecord(
        goid=body["goid"],
        entity=body["entity"],
        name=body["name"],
        active=active,
        tanks=tuple(
            Tank(tank["goid"], tank["number"], tank["product"], tank.get("name"))
            for tank in body.get("tanks") or ()
        ),
        components=tuple(
            Component(part["product"], part["ratio"]) for part in body.get("components") or ()
        ),
    )
