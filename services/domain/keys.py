"""The rules of mapping keys that need no world: what a key may hold, and its format (R031-R038)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as Members
from typing import Any

from schemas.errors import ErrorEntry
from services.domain.entries import Path, entry

COMPANY = "company"
SITE = "site"
TANK = "tank"
PRODUCT = "product"
TERMINAL = "terminal"

SOURCE_MEMBERS = ("source_id", "source_name", "mapping_id")
TANK_MEMBERS = ("tank_goid", "tank_id", "product_source_id")

_GOID = re.compile(r"(company|site|tank|product|terminal)_[A-Z0-9]{6,}")


def is_goid(value: str, entity: str) -> bool:
    """Whether this is a goid of this entity: its prefix and six or more of A-Z 0-9 (R038, K37)."""
    found = _GOID.fullmatch(value)
    return found is not None and found[1] == entity


def is_given(key: Members[str, Any]) -> bool:
    """Whether any member says which record is meant; an empty text says nothing (R031)."""
    return bool(
        key.get("source_id") or key.get("source_name") or key.get("goid") or key.get("mapping_id")
    )


def is_plain(key: Members[str, Any]) -> bool:
    """Whether this is a source id and no id of the hub's: there is no rule it could break."""
    get = key.get
    return bool(get("source_id") and not (get("goid") or get("tank_goid") or get("mapping_id")))


def problems(
    entity: str, key: Members[str, Any], path: Path, *, spoiled: bool = False
) -> Iterator[ErrorEntry]:
    """What is wrong with a key by itself.

    At least one member (R031); a goid stands alone (R036), a site's with tank_goid at most (R037);
    goids have their entity's format (R038, K37). Of a `spoiled` key, which has members that did not
    read, nothing is said to be missing.
    """
    goid = key.get("goid")
    if goid:
        alone = ("source_id", "source_name", "mapping_id", "tank_id", "product_source_id")
        if any(key.get(member) for member in alone):
            beside = "tank_goid alone" if entity == SITE else "nothing"
            yield entry((*path, "goid"), f"Beside a goid {beside} may be given", "goid_alone")
        if not is_goid(goid, entity):
            yield _format((*path, "goid"), entity)
    elif not spoiled and not is_given(key):
        yield entry(
            path, "Give at least one of source_id, source_name, mapping_id or goid", "key_required"
        )
    tank_goid = key.get("tank_goid")
    if tank_goid and not is_goid(tank_goid, TANK):
        yield _format((*path, "tank_goid"), TANK)


def _format(path: Path, entity: str) -> ErrorEntry:
    return entry(path, f"A goid here is {entity}_ and six or more of A-Z and 0-9", "goid_format")
