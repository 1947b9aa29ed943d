"""Master records and mappings: loaded for what a batch needs, stored as its upserts decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

import asyncpg
import orjson

from services.domain.effects import Upsert
from services.domain.tenants import Pair, Tenant
from services.domain.world import (
    Component,
    MappedTank,
    Mapping,
    MasterData,
    MasterRecord,
    Needs,
    Scope,
    Tank,
)
from services.kit.database import Connection

T = TypeVar("T")

# A site leads to its tanks' products, and these to their components (R050): no chain is longer.
_GENERATIONS = 3

_RECORDS = "SELECT * FROM master_records WHERE goid = ANY($1::text[])"
_BY_SOURCE_ID = """
SELECT m.* FROM mappings AS m
JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[])
     AS wanted (tenant_id, system, entity, source_id)
USING (tenant_id, system, entity, source_id)
"""
_BY_SOURCE_NAME = """
SELECT m.* FROM mappings AS m
JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[])
     AS wanted (tenant_id, system, entity, source_name)
USING (tenant_id, system, entity, source_name)
"""
_BY_ID = """
SELECT m.* FROM mappings AS m
JOIN unnest($1::text[], $2::text[]) AS wanted (tenant_id, id) USING (tenant_id, id)
"""
_BY_GOID = """
SELECT m.* FROM mappings AS m
JOIN unnest($1::text[], $2::text[], $3::text[]) AS wanted (tenant_id, system, goid)
USING (tenant_id, system, goid)
"""


@dataclass(slots=True)
class _Group:
    """What the needs of one scope towards another name, each once."""

    source_ids: set[tuple[str, str]] = field(default_factory=set)
    source_names: set[tuple[str, str]] = field(default_factory=set)
    mapping_ids: set[str] = field(default_factory=set)
    goids: set[str] = field(default_factory=set)


async def entities(
    connection: Connection, tenant_id: str, mapping_ids: Iterable[str]
) -> dict[str, str]:
    """The entities of the mappings that the tenant has of these ids, by id."""
    ids = sorted(set(mapping_ids))
    rows = await connection.fetch(_BY_ID, [tenant_id] * len(ids), ids)
    return {row["id"]: row["entity"] for row in rows}


async def load(connection: Connection, needs: Iterable[Needs]) -> MasterData:
    """What these needs name, and what it leads to; at most seven statements, none per command.

    For every key the mappings of its source_id, source_name and mapping_id in the need's scope;
    the records of their goids, of goids named, of the tanks' products and of components; and the
    mappings of all these goids in the need's scope (the echo of a goid) and in its `towards`.
    What is not found is simply not there: nothing is locked.
    """
    groups, mapping_keys = _grouped(needs)
    master = MasterData()
    await _load_named(connection, master, groups, mapping_keys)
    for (scope, _), group in groups.items():
        group.goids |= _found_goids(master, scope, group)
    await _load_records(connection, master, groups)
    wanted = {
        (scope.tenant_id, scope.system, goid)
        for scopes, group in groups.items()
        for scope in scopes
        if scope is not None
        for goid in _reached(master, group.goids)
    }
    await _fetch_mappings(connection, master, _BY_GOID, wanted)
    return master


def _grouped(
    needs: Iterable[Needs],
) -> tuple[dict[tuple[Scope | None, Scope | None], _Group], set[tuple[str, str, str, str]]]:
    groups: dict[tuple[Scope | None, Scope | None], _Group] = {}
    mapping_keys: set[tuple[str, str, str, str]] = set()
    for need in needs:
        group = groups.setdefault((need.scope, need.towards), _Group())
        group.goids |= need.goids
        mapping_keys |= need.mapping_keys
        for entity, key in need.keys:
            if source_id := key.get("source_id"):
                group.source_ids.add((entity, source_id))
            if source_name := key.get("source_name"):
                group.source_names.add((entity, source_name))
            if mapping_id := key.get("mapping_id"):
                group.mapping_ids.add(mapping_id)
            if goid := key.get("goid"):
                group.goids.add(goid)
    return groups, mapping_keys


async def _load_named(
    connection: Connection,
    master: MasterData,
    groups: dict[tuple[Scope | None, Scope | None], _Group],
    mapping_keys: set[tuple[str, str, str, str]],
) -> None:
    by_source_id = set(mapping_keys)
    by_source_name = set()
    by_id = set()
    for (scope, _), group in groups.items():
        if scope is None:
            continue
        here = (scope.tenant_id, scope.system)
        by_source_id |= {(*here, *key) for key in group.source_ids}
        by_source_name |= {(*here, *key) for key in group.source_names}
        by_id |= {(scope.tenant_id, mapping_id) for mapping_id in group.mapping_ids}
    await _fetch_mappings(connection, master, _BY_SOURCE_ID, by_source_id)
    await _fetch_mappings(connection, master, _BY_SOURCE_NAME, by_source_name)
    await _fetch_mappings(connection, master, _BY_ID, by_id)


def _found_goids(master: MasterData, scope: Scope | None, group: _Group) -> set[str]:
    if scope is None:
        return set()
    found = [master.by_source_id(scope, *key) for key in group.source_ids]
    found += [master.by_id(scope, mapping_id) for mapping_id in group.mapping_ids]
    for key in group.source_names:
        found += master.by_source_name(scope, *key)
    return {mapping.goid for mapping in found if mapping is not None}


async def _load_records(
    connection: Connection,
    master: MasterData,
    groups: dict[tuple[Scope | None, Scope | None], _Group],
) -> None:
    asked: set[str] = set()
    wanted = {goid for group in groups.values() for goid in group.goids}
    for _ in range(_GENERATIONS):
        if not wanted:
            return
        asked |= wanted
        rows = await connection.fetch(_RECORDS, sorted(wanted))
        wanted = set()
        for record in map(record_of, rows):
            master.put_record(record)
            wanted |= _references(record) - asked


def _references(record: MasterRecord) -> set[str]:
    parts: tuple[Tank | Component, ...] = (*record.tanks, *record.components)
    return {part.product for part in parts}


def _reached(master: MasterData, goids: set[str]) -> set[str]:
    """These goids and all that their records lead to."""
    reached: set[str] = set()
    fresh = set(goids)
    while fresh:
        reached |= fresh
        records = (master.record(goid) for goid in fresh)
        parts = (_references(record) for record in records if record is not None)
        fresh = set().union(*parts) - reached
    return reached


async def _fetch_mappings(
    connection: Connection, master: MasterData, query: str, wanted: set[tuple[str, ...]] | set[Any]
) -> None:
    if not wanted:
        return
    columns = zip(*sorted(wanted), strict=True)
    for row in await connection.fetch(query, *(list(column) for column in columns)):
        master.put_mapping(mapping_of(row))


def record_of(row: asyncpg.Record) -> MasterRecord:
    """The master record of a row with the columns of `master_records`."""
    return MasterRecord(
        goid=row["goid"],
        entity=row["entity"],
        name=row["name"],
        active=row["active"],
        tanks=tuple(
            Tank(tank["goid"], tank["number"], tank["product"], tank["name"])
            for tank in orjson.loads(row["tanks"])
        ),
        components=tuple(
            Component(part["product"], Decimal(part["ratio"]))
            for part in orjson.loads(row["components"])
        ),
    )


def mapping_of(row: asyncpg.Record) -> Mapping:
    """The mapping of a row with the columns of `mappings`."""
    return Mapping(
        id=row["id"],
        tenant_id=row["tenant_id"],
        system=row["system"],
        entity=row["entity"],
        source_id=row["source_id"],
        source_name=row["source_name"],
        goid=row["goid"],
        primary=row["is_primary"],
        age=row["age"],
        tanks=tuple(
            MappedTank(tank["tank_id"], tank["product_source_id"], tank["tank_goid"])
            for tank in orjson.loads(row["tanks"])
        ),
    )


_PUT_TENANTS = """
INSERT INTO tenants (id, slug, name, active, partitions, systems)
SELECT id, slug, name, active, partitions, systems
FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::integer[], $6::json[])
     WITH ORDINALITY AS new (id, slug, name, active, partitions, systems, at)
ORDER BY at
ON CONFLICT (id) DO UPDATE SET name = excluded.name, active = excluded.active,
    systems = excluded.systems, updated_at = now()
"""
_PUT_PAIRS = """
INSERT INTO pairs (id, origin_id, destination_id, acceptance, origin_updates, destination_updates,
                   destination_system, destination_instance)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                     $7::text[], $8::text[])
ON CONFLICT (id) DO UPDATE SET acceptance = excluded.acceptance,
    origin_updates = excluded.origin_updates, destination_updates = excluded.destination_updates,
    destination_system = excluded.destination_system,
    destination_instance = excluded.destination_instance, updated_at = now()
"""
_PUT_RECORDS = """
INSERT INTO master_records (goid, entity, name, active, tanks, components)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::json[], $6::json[])
ON CONFLICT (goid) DO UPDATE SET entity = excluded.entity, name = excluded.name,
    active = excluded.active, tanks = excluded.tanks, components = excluded.components,
    updated_at = now()
"""
# Ages are drawn in the order of the rows: the oldest of several mappings was decided first.
_PUT_MAPPINGS = """
INSERT INTO mappings (id, tenant_id, system, entity, source_id, source_name, goid, is_primary,
                      tanks)
SELECT id, tenant_id, system, entity, source_id, source_name, goid, is_primary, tanks
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::boolean[], $9::json[])
     WITH ORDINALITY AS new (id, tenant_id, system, entity, source_id, source_name, goid,
                             is_primary, tanks, at)
ORDER BY at
ON CONFLICT (id) DO UPDATE SET source_name = excluded.source_name, goid = excluded.goid,
    is_primary = excluded.is_primary, tanks = excluded.tanks, updated_at = now()
"""


async def store(connection: Connection, upserts: Sequence[Upsert]) -> None:
    """Write what these upserts decided, in their order; of several of one row the last counts.

    New or changed tenants are announced on the channel `crossroads_tenants`. Raises
    asyncpg.UniqueViolationError where another transaction gave a key away meanwhile: decided
    again, the upsert sees that row.
    """
    tenants = _last([u.tenant for u in upserts if u.tenant is not None], lambda one: one.id)
    pairs = _last([u.pair for u in upserts if u.pair is not None], lambda one: one.id)
    records = _last([u.record for u in upserts if u.record is not None], lambda one: one.goid)
    mappings = _last([u.mapping for u in upserts if u.mapping is not None], lambda one: one.id)
    await _put(connection, _PUT_TENANTS, map(_tenant_row, tenants))
    await _put(connection, _PUT_PAIRS, map(_pair_row, pairs))
    await _put(connection, _PUT_RECORDS, map(_record_row, records))
    await _put(connection, _PUT_MAPPINGS, map(_mapping_row, mappings))
    if tenants:
        await connection.execute("SELECT pg_notify('crossroads_tenants', '')")


def _last(values: Sequence[T], identity: Callable[[T], str]) -> list[T]:
    return list({identity(value): value for value in values}.values())


async def _put(connection: Connection, query: str, rows: Iterable[tuple[Any, ...]]) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    if columns:
        await connection.execute(query, *columns)


def _tenant_row(tenant: Tenant) -> tuple[Any, ...]:
    systems = orjson.dumps(tenant.systems).decode()
    return (tenant.id, tenant.slug, tenant.name, tenant.active, tenant.partitions, systems)


def _pair_row(pair: Pair) -> tuple[Any, ...]:
    return (
        pair.id,
        pair.origin.id,
        pair.destination.id,
        pair.acceptance,
        pair.origin_updates,
        pair.destination_updates,
        pair.destination_system,
        pair.destination_instance,
    )


def _record_row(record: MasterRecord) -> tuple[Any, ...]:
    # A ratio is kept as text: it stays the decimal it was.
    components = [{"product": part.product, "ratio": str(part.ratio)} for part in record.components]
    return (
        record.goid,
        record.entity,
        record.name,
        record.active,
        orjson.dumps(record.tanks).decode(),
        orjson.dumps(components).decode(),
    )


def _mapping_row(mapping: Mapping) -> tuple[Any, ...]:
    return (
        mapping.id,
        mapping.tenant_id,
        mapping.system,
        mapping.entity,
        mapping.source_id,
        mapping.source_name,
        mapping.goid,
        mapping.primary,
        orjson.dumps(mapping.tanks).decode(),
    )


async def partitions_of_tenants(connection: Connection) -> list[tuple[str, int]]:
    """Every tenant's slug and how many partitions each of its topics has, inactive ones too."""
    rows = await connection.fetch("SELECT slug, partitions FROM tenants ORDER BY slug")
    return [(row["slug"], row["partitions"]) for row in rows]
