"""Mappings that a command names by their id and that are none of the caller's (K03, K28).

No such mapping can ever arrive, so it is an error of the request, and told beside all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Mapping as Members
from typing import Any, NamedTuple

from schemas.errors import ErrorEntry
from services.domain.entries import Path, entry
from services.domain.keys import COMPANY, PRODUCT, SITE, TERMINAL
from services.domain.world import MasterData, Scope

# What a key may be about, by the member that holds it or the list it stands in.
_ENTITIES = {
    "location": (SITE, TERMINAL),
    "product": (PRODUCT,),
    "products": (PRODUCT,),
    "site": (SITE,),
    "supplier": (COMPANY,),
    "suppliers": (COMPANY,),
    "supply_owner": (COMPANY,),
    "tank": (SITE,),
    "terminal": (TERMINAL,),
    "terminals": (TERMINAL,),
}


class Named(NamedTuple):
    """A mapping id, where it stands, and the entities it may be of."""

    path: Path
    mapping_id: str
    entities: tuple[str, ...]


def named(body: Members[str, Any], path: Path = ()) -> Iterator[Named]:
    """Every mapping id in a request, as far as it reads; extra_data is nobody's keys."""
    for member, value in body.items():
        if member == "extra_data":
            continue
        for at, each in _members(value):
            here = (*path, member, *at)
            mapping_id = each.get("mapping_id")
            if mapping_id and member in _ENTITIES:
                yield Named((*here, "mapping_id"), mapping_id, _ENTITIES[member])
            yield from named(each, here)


def unknown(
    body: Members[str, Any], entity_of: Callable[[str], str | None]
) -> Iterator[ErrorEntry]:
    """Those that are none of the caller's; `entity_of` its mappings' ids, None where it is none."""
    for each in named(body):
        if entity_of(each.mapping_id) not in each.entities:
            yield entry(each.path, "The tenant has no such mapping", "unknown_mapping")


def of(master: MasterData, tenant_id: str) -> Callable[[str], str | None]:
    """What the loaded mappings of a tenant are of, by their ids."""
    scope = Scope(tenant_id, "")

    def entity(mapping_id: str) -> str | None:
        found = master.by_id(scope, mapping_id)
        return None if found is None else found.entity

    return entity


def _members(value: Any) -> Iterator[tuple[Path, Members[str, Any]]]:
    if isinstance(value, dict):
        yield (), value
    elif isinstance(value, list):
        yield from (((at,), each) for at, each in enumerate(value) if isinstance(each, dict))
