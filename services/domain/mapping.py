"""Which record a mapping key means, and how each side calls it (R031-R039, K03).

`resolve` goes from a caller's key to the master record; `called` from a record to the other
side's name for it. Neither guesses: what cannot be told is a gap that names the key (K02, X05).
"""

from __future__ import annotations

from collections.abc import Mapping as Members
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from services.domain.effects import Gap
from services.domain.tenants import Tenant
from services.domain.tokens import (
    mapped_goid_token,
    record_token,
    source_id_token,
    source_name_token,
    tenant_token,
)
from services.domain.world import Mapping, MasterData, MasterRecord, Scope

KeyEcho = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """A tenant of the order with the system in which its identifiers have their meaning."""

    tenant: Tenant
    scope: Scope

    @classmethod
    def of(cls, tenant: Tenant, system: str | None) -> Side:
        """This side; the tenant's primary system unless one is named (R005)."""
        return _side(tenant, system)

    def gap(
        self,
        entity: str,
        kind: str,
        key: str,
        what: str,
        *tokens: str,
        candidates: tuple[str, ...] = (),
    ) -> Gap:
        """A gap of this side; a side without any system waits for its tenant as well."""
        if not self.scope.system:
            tokens = (*tokens, tenant_token(self.tenant.slug))
        place = f" in {self.scope.system}" if self.scope.system else ""
        return Gap(
            tenant_id=self.tenant.id,
            system=self.scope.system,
            entity=entity,
            kind=kind,
            key=key,
            message=f"{what} ({self.tenant.name}{place})",
            wake_on=tuple(dict.fromkeys(tokens)),
            candidates=candidates,
        )


@lru_cache(maxsize=4096)
def _side(tenant: Tenant, system: str | None) -> Side:
    known = tenant.system(system)
    name = known.name if known is not None else system or ""
    return Side(tenant, Scope(tenant.id, name))


@dataclass(frozen=True, slots=True)
class Found:
    """What a key leads to: the master record, and the caller's mapping of it if it has one."""

    record: MasterRecord
    mapping: Mapping | None


@dataclass(frozen=True, slots=True)
class Lost:
    """A key that leads nowhere yet; `mapping` where only the record behind it is missing."""

    gap: Gap
    mapping: Mapping | None = None


def resolve(master: MasterData, side: Side, entity: str, key: Members[str, Any]) -> Found | Lost:
    """The record a key of this entity means (K03).

    A goid points at the record itself. Among the others the first given of mapping_id, source_id,
    source_name decides; a later one that leads to another record makes the key ambiguous, one that
    leads nowhere is free text. A record that is absent, inactive or of another entity is missing.
    """
    goid = key.get("goid")
    if goid:
        return _record(master, side, entity, goid, master.of_goid(side.scope, goid), given=True)
    chosen = _chosen(master, side, entity, key)
    if not isinstance(chosen, Mapping):
        return chosen
    return _record(master, side, entity, chosen.goid, chosen)


def by_mapping_id(master: MasterData, scope: Scope, entity: str, mapping_id: str) -> Mapping | None:
    """The caller's mapping of this id and entity; one that is none can never arrive (K03)."""
    found = master.by_id(scope, mapping_id)
    return found if found is not None and found.entity == entity else None


def called(
    master: MasterData, side: Side, record: MasterRecord, origin: Mapping | None
) -> Mapping | Gap:
    """The mapping a record goes by on this side: the primary one, else the oldest.

    Without one it is a gap; `origin` is the mapping that led to the record, whose correction may
    make it unnecessary.
    """
    found = master.of_goid(side.scope, record.goid)
    if found is not None:
        return found
    tokens = [mapped_goid_token(side.scope, record.goid)]
    if origin is not None:
        tokens.append(own_token(origin))
    return side.gap(
        record.entity,
        "mapped_goid",
        record.goid,
        f"{record.entity} '{record.name}' {record.goid}",
        *tokens,
    )


def echo(mapping: Mapping | None, record: MasterRecord | None) -> KeyEcho:
    """A key in one side's words (R039); without a mapping the master record's alone."""
    if mapping is None:
        return {
            "mapping_id": None,
            "source_name": None,
            "source_id": None,
            "goid": None if record is None else record.goid,
            "goid_name": None if record is None else record.name,
        }
    return {
        "mapping_id": mapping.id,
        "source_name": mapping.source_name,
        "source_id": mapping.source_id,
        "goid": mapping.goid,
        "goid_name": None if record is None else record.name,
    }


def given(key: Members[str, Any]) -> KeyEcho:
    """A key nothing is known of, as it was given."""
    return {
        "mapping_id": key.get("mapping_id"),
        "source_name": key.get("source_name"),
        "source_id": key.get("source_id"),
        "goid": key.get("goid"),
        "goid_name": None,
    }


def own_token(mapping: Mapping) -> str:
    """What an upsert of this very mapping wakes."""
    return source_id_token(
        Scope(mapping.tenant_id, mapping.system), mapping.entity, mapping.source_id
    )


def _chosen(master: MasterData, side: Side, entity: str, key: Members[str, Any]) -> Mapping | Lost:
    scope = side.scope
    chosen: Mapping | None = None
    mapping_id = key.get("mapping_id")
    if mapping_id:
        chosen = by_mapping_id(master, scope, entity, mapping_id)
        if chosen is None:
            what = f"{entity} mapping_id '{mapping_id}'"
            return Lost(side.gap(entity, "mapping_id", mapping_id, what))
    source_id = key.get("source_id")
    if source_id:
        by_source_id = master.by_source_id(scope, entity, source_id)
        if chosen is None:
            if by_source_id is None:
                return Lost(_no_source_id(master, side, entity, key))
            chosen = by_source_id
        elif by_source_id is not None and by_source_id.goid != chosen.goid:
            return Lost(_ambiguous(side, entity, key, chosen, [by_source_id]))
    source_name = key.get("source_name") or ""
    if chosen is not None and not source_name:
        return chosen
    named = master.by_source_name(scope, entity, source_name)
    if chosen is not None:
        if named and all(mapping.goid != chosen.goid for mapping in named):
            return Lost(_ambiguous(side, entity, key, chosen, named))
        return chosen
    if not named:
        token = source_name_token(scope, entity, source_name)
        what = f"{entity} source_name '{source_name}'"
        return Lost(side.gap(entity, "source_name", source_name, what, token))
    if any(mapping.goid != named[0].goid for mapping in named):
        return Lost(_ambiguous(side, entity, key, None, named))
    return min(named, key=lambda mapping: (not mapping.primary, mapping.age))


def _record(
    master: MasterData,
    side: Side,
    entity: str,
    goid: str,
    mapping: Mapping | None,
    *,
    given: bool = False,
) -> Found | Lost:
    record = master.record(goid)
    if record is not None and record.active and record.entity == entity:
        return Found(record, mapping)
    tokens = [record_token(goid)]
    if given or mapping is None:
        what = f"{entity} goid '{goid}'"
    else:
        tokens.append(own_token(mapping))
        what = f"{entity} goid '{goid}' of source_id '{mapping.source_id}'"
    return Lost(side.gap(entity, "goid", goid, f"{what}: no active record", *tokens), mapping)


def _no_source_id(master: MasterData, side: Side, entity: str, key: Members[str, Any]) -> Gap:
    source_id = key["source_id"]
    named = master.by_source_name(side.scope, entity, key.get("source_name") or "")
    return side.gap(
        entity,
        "source_id",
        source_id,
        f"{entity} source_id '{source_id}'",
        source_id_token(side.scope, entity, source_id),
        candidates=tuple(mapping.source_id for mapping in named),
    )


def _ambiguous(
    side: Side,
    entity: str,
    key: Members[str, Any],
    chosen: Mapping | None,
    others: list[Mapping],
) -> Gap:
    candidates = [*([chosen] if chosen is not None else []), *others]
    members = ("mapping_id", "source_id", "source_name")
    fields = [member for member in members if key.get(member)]
    what = " and ".join(f"{member} '{key[member]}'" for member in fields)
    tokens = [own_token(mapping) for mapping in candidates]
    if key.get("source_name"):
        tokens.append(source_name_token(side.scope, entity, key["source_name"]))
    names = tuple(dict.fromkeys(mapping.source_id for mapping in candidates))
    listed = ", ".join(f"'{name}'" for name in names)
    return side.gap(
        entity,
        "source_name" if fields == ["source_name"] else "ambiguous",
        " / ".join(str(key[member]) for member in fields),
        f"{entity} {what} is ambiguous: source_id {listed}",
        *tokens,
        candidates=names,
    )
