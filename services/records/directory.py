"""Tenants and pairs, read for what a batch names."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import asyncpg
import orjson

from services.domain.tenants import OPERATORS, Directory, Instance, Pair, System, Tenant
from services.kit.database import Connection

_TENANT = "id, slug, name, active, partitions, systems"
_PAIR = """
    id, origin_id, destination_id, acceptance, origin_updates, destination_updates,
    destination_system, destination_instance
"""


async def load(connection: Connection, names: Iterable[str]) -> Directory:
    """The tenants with these slugs or names, and the pairs between them; operators always."""
    wanted = sorted(set(names))
    rows = await connection.fetch(
        f"SELECT {_TENANT} FROM tenants WHERE slug = ANY($1::text[]) OR name = ANY($1::text[])",
        wanted,
    )
    return await _with_pairs(connection, rows)


async def of_tenants(connection: Connection, ids: Iterable[str]) -> Directory:
    """The tenants with these ids, and the pairs between them. Operators are always in."""
    rows = await connection.fetch(
        f"SELECT {_TENANT} FROM tenants WHERE id = ANY($1::text[])", sorted(set(ids))
    )
    return await _with_pairs(connection, rows)


async def _with_pairs(connection: Connection, rows: list[asyncpg.Record]) -> Directory:
    tenants = {row["id"]: tenant_of(row) for row in rows}
    found = await connection.fetch(
        f"SELECT {_PAIR} FROM pairs WHERE origin_id = ANY($1::text[])"
        " AND destination_id = ANY($1::text[])",
        sorted(tenants),
    )
    return Directory.of([*tenants.values(), OPERATORS], [pair_of(row, tenants) for row in found])


def tenant_of(row: asyncpg.Record) -> Tenant:
    """The tenant of a row with the columns of `tenants`."""
    return _tenant(
        row["id"],
        row["slug"],
        row["name"],
        row["active"],
        row["partitions"],
        _systems(row["systems"]),
    )


def pair_of(row: asyncpg.Record, tenants: dict[str, Tenant]) -> Pair:
    """The pair of a row with the columns of `pairs`; `tenants` by id must hold both."""
    return _pair(
        row["id"],
        tenants[row["origin_id"]],
        tenants[row["destination_id"]],
        row["acceptance"],
        row["origin_updates"],
        row["destination_updates"],
        row["destination_system"],
        row["destination_instance"],
    )


# Rows that say the same are the same object from batch to batch, which makes comparing them, and
# what is remembered of them, cheap.
_tenant = lru_cache(maxsize=4096)(Tenant)
_pair = lru_cache(maxsize=4096)(Pair)


@lru_cache(maxsize=4096)
def _systems(text: str) -> tuple[System, ...]:
    return tuple(_system(system) for system in orjson.loads(text))


def _system(raw: dict[str, Any]) -> System:
    instances = tuple(Instance(item["id"], item["name"]) for item in raw.get("instances", []))
    return System(raw["id"], raw["name"], bool(raw.get("primary")), instances)
