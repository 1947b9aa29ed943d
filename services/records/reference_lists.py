"""Reference data for reading: lists in pages, filtered by member, and the whole as one file (X10).

An item has the members of its upsert (so it can be sent again), and the hub's `id` where it has
one. A list is ordered by its key; a cursor names the last key of its page, so that pages neither
repeat nor skip what was there all along, whatever is written meanwhile.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from schemas.reference import ReferenceList
from services.kit.database import Connection
from services.kit.errors import CrossroadsError

LIMIT = 100
MAX_LIMIT = 1000


class ListRequestInvalid(CrossroadsError):
    """A list was asked for with a filter, a limit or a cursor it does not have."""

    def __init__(self, member: str, problem: str) -> None:
        self.member = member
        self.problem = problem
        super().__init__(f"{member}: {problem}")


@dataclass(frozen=True, slots=True)
class _List:
    """How a list is read: its rows under a name for each member, what orders them, who sees them.

    `seen_by` is a condition on `$1`, the tenant ids of a viewer who is no operator.
    """

    source: str
    members: Mapping[str, str]
    order: tuple[str, ...]
    seen_by: str
    item: Callable[[asyncpg.Record], dict[str, Any]]


def _tenant(row: asyncpg.Record) -> dict[str, Any]:
    systems = [
        {
            "name": system["name"],
            "primary": system["primary"],
            "instances": [instance["name"] for instance in system["instances"]],
        }
        for system in orjson.loads(row["systems"])
    ]
    return {**_plain(row, TENANTS), "systems": systems}


def _pair(row: asyncpg.Record) -> dict[str, Any]:
    return _plain(row, PAIRS)


def _record(row: asyncpg.Record) -> dict[str, Any]:
    components = [
        {**part, "ratio": float(part["ratio"])} for part in orjson.loads(row["components"])
    ]
    return {
        **_plain(row, RECORDS),
        "tanks": orjson.loads(row["tanks"]),
        "components": components,
    }


def _mapping(row: asyncpg.Record) -> dict[str, Any]:
    return {**_plain(row, MAPPINGS), "tanks": orjson.loads(row["tanks"])}


TENANTS = "tenants"
PAIRS = "pairs"
RECORDS = "records"
MAPPINGS = "mappings"

_LISTS: Mapping[str, _List] = {
    TENANTS: _List(
        source="tenants AS t",
        members={
            "id": "t.id",
            "slug": "t.slug",
            "name": "t.name",
            "active": "t.active",
            "partitions": "t.partitions",
        },
        order=("t.slug",),
        # Itself and whom it has a pair with.
        seen_by="""(t.id = ANY($1::text[]) OR EXISTS (
            SELECT FROM pairs AS p
            WHERE (p.origin_id = t.id AND p.destination_id = ANY($1::text[]))
               OR (p.destination_id = t.id AND p.origin_id = ANY($1::text[]))))""",
        item=_tenant,
    ),
    PAIRS: _List(
        source="""pairs AS p
            JOIN tenants AS o ON o.id = p.origin_id JOIN tenants AS d ON d.id = p.destination_id""",
        members={
            "id": "p.id",
            "origin": "o.slug",
            "destination": "d.slug",
            "acceptance": "p.acceptance",
            "origin_updates": "p.origin_updates",
            "destination_updates": "p.destination_updates",
            "destination_system": "p.destination_system",
            "destination_instance": "p.destination_instance",
        },
        order=("o.slug", "d.slug"),
        seen_by="(p.origin_id = ANY($1::text[]) OR p.destination_id = ANY($1::text[]))",
        item=_pair,
    ),
    RECORDS: _List(
        source="master_records AS r",
        members={
            "goid": "r.goid",
            "entity": "r.entity",
            "name": "r.name",
            "active": "r.active",
        },
        order=("r.goid",),
        seen_by="$1::text[] IS NOT NULL",
        item=_record,
    ),
    MAPPINGS: _List(
        source="mappings AS m JOIN tenants AS t ON t.id = m.tenant_id",
        members={
            "id": "m.id",
            "tenant": "t.slug",
            "system": "m.system",
            "entity": "m.entity",
            "source_id": "m.source_id",
            "source_name": "m.source_name",
            "goid": "m.goid",
            "primary": "m.is_primary",
        },
        order=("t.slug", "m.system", "m.entity", "m.source_id"),
        seen_by="m.tenant_id = ANY($1::text[])",
        item=_mapping,
    ),
}
_DOCUMENTS = {
    TENANTS: ", t.systems",
    PAIRS: "",
    RECORDS: ", r.tanks, r.components",
    MAPPINGS: ", m.tanks",
}
LISTS = tuple(_LISTS)


def _plain(row: asyncpg.Record, name: str) -> dict[str, Any]:
    return {member: row[member] for member in _LISTS[name].members}


async def page(
    connection: Connection,
    name: str,
    *,
    filters: Mapping[str, str] | None = None,
    limit: int = LIMIT,
    cursor: str | None = None,
    viewer: Sequence[str] | None = None,
) -> ReferenceList:
    """One page of the list `tenants`, `pairs`, `records` or `mappings`.

    `filters` are exact values by member name, as text (`active`: `true`); all must hold. `cursor`
    is the `next` of the page before. `viewer` are the tenant ids of a caller, who sees its own
    mappings and pairs, itself and its partners, and all records; None is an operator, who sees
    everything. Raises ListRequestInvalid.
    """
    wanted = _LISTS[name]
    if not 1 <= limit <= MAX_LIMIT:
        raise ListRequestInvalid("limit", f"is between 1 and {MAX_LIMIT}")
    arguments: list[Any] = [None if viewer is None else list(viewer)]
    conditions = [f"($1::text[] IS NULL OR {wanted.seen_by})"]
    for member, value in (filters or {}).items():
        if member not in wanted.members:
            raise ListRequestInvalid(member, f"is no member {name} can be filtered by")
        if "\x00" in value:
            raise ListRequestInvalid(member, "holds a character no text of the hub has")
        arguments.append(value)
        # A boolean as text is `true` or `false`.
        conditions.append(f"({wanted.members[member]})::text = ${len(arguments)}")
    if cursor is not None:
        after = _after(cursor, len(wanted.order))
        places = ", ".join(f"${len(arguments) + at}" for at in range(1, len(after) + 1))
        arguments += after
        conditions.append(f"({', '.join(wanted.order)}) > ({places})")
    columns = ", ".join(f"{column} AS {member}" for member, column in _quoted(wanted))
    query = " ".join(
        (
            f"SELECT {columns}{_DOCUMENTS[name]}, ARRAY[{', '.join(wanted.order)}] AS here",
            f"FROM {wanted.source} WHERE {' AND '.join(conditions)}",
            f"ORDER BY {', '.join(wanted.order)} LIMIT {limit + 1}",
        )
    )
    rows = await connection.fetch(query, *arguments)
    following = _cursor(rows[limit - 1]["here"]) if len(rows) > limit else None
    return {"items": [wanted.item(row) for row in rows[:limit]], "next": following}


async def export(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """All reference data in the form of a reference file: applied elsewhere it gives the same.

    Ids of pairs and mappings are left out, for an upsert of these takes none. Run it in a
    REPEATABLE READ transaction, or what is written meanwhile is in it by halves.
    """
    whole: dict[str, list[dict[str, Any]]] = {}
    for name in LISTS:
        whole[name] = []
        cursor = None
        while True:
            found = await page(connection, name, limit=MAX_LIMIT, cursor=cursor)
            whole[name] += found["items"]
            cursor = found["next"]
            if cursor is None:
                break
    for name in (PAIRS, MAPPINGS):
        for item in whole[name]:
            del item["id"]
    return whole


def _quoted(wanted: _List) -> list[tuple[str, str]]:
    return [(f'"{member}"', column) for member, column in wanted.members.items()]


def _cursor(key: Sequence[str]) -> str:
    return urlsafe_b64encode(orjson.dumps(list(key))).decode().rstrip("=")


def _after(cursor: str, length: int) -> list[str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = orjson.loads(urlsafe_b64decode(padded.encode("ascii")))
    except ValueError:
        key = None
    parts = key if isinstance(key, list) else []
    if len(parts) != length or any(not isinstance(p, str) or "\x00" in p for p in parts):
        raise ListRequestInvalid("cursor", "is not one this list gave")
    return parts
