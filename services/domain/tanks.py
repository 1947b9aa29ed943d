"""Which tank of a site a drop goes into, and what each side calls it (R040-R046, K04, K05)."""

from __future__ import annotations

from collections.abc import Mapping as Members
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.domain.mapping import Found, KeyEcho
from services.domain.world import MappedTank, Mapping, MasterRecord, Tank


@dataclass(frozen=True, slots=True)
class Chosen:
    """A tank of the master site; `mapped` is the caller's own entry for it, if there is one."""

    tank: Tank
    mapped: MappedTank | None


@dataclass(frozen=True, slots=True)
class NoTank:
    """No tank fits: the kind of key that decided, and what it said."""

    kind: str
    key: str


def is_named(site: Members[str, Any]) -> bool:
    """Whether the site key itself says which tank is meant."""
    return bool(site.get("tank_goid") or site.get("tank_id") or site.get("product_source_id"))


def choose(site: Found, key: Members[str, Any], product: Found | None) -> Chosen | NoTank:
    """The tank of a drop: the first of tank_goid, tank_id, product_source_id, product decides.

    `product` is the drop's product. On a tie the lowest tank id wins (R045). product_source_id
    chooses only among tanks that carry one (R044). A caller whose mapping lists no tanks chooses by
    product among the master site's, by their numbers.
    """
    tanks = site.record.tanks
    mapped = site.mapping.tanks if site.mapping is not None else ()
    if tank_goid := key.get("tank_goid"):
        for tank in tanks:
            if tank.goid == tank_goid:
                return Chosen(tank, called(site.mapping, tank_goid))
        return NoTank("tank_goid", tank_goid)
    if tank_id := key.get("tank_id"):
        entries = [entry for entry in mapped if entry.tank_id == tank_id]
        return _lowest(entries, tanks) or NoTank("tank_id", tank_id)
    if carried := key.get("product_source_id"):
        entries = [entry for entry in mapped if entry.product_source_id == carried]
        return _lowest(entries, tanks) or NoTank("product_source_id", carried)
    if product is None:
        return NoTank("product", "")
    goid = product.record.goid
    missing = NoTank("product", product.mapping.source_id if product.mapping is not None else goid)
    fitting = [tank for tank in tanks if tank.product == goid]
    if mapped:
        return _lowest(mapped, fitting) or missing
    if not fitting:
        return missing
    return Chosen(min(fitting, key=lambda tank: (tank.number, tank.goid)), None)


def called(mapping: Mapping | None, tank_goid: str) -> MappedTank | None:
    """A side's own entry for a master tank; the lowest tank id where there are several."""
    if mapping is None:
        return None
    return lowest([entry for entry in mapping.tanks if entry.tank_goid == tank_goid])


def lowest(entries: Sequence[MappedTank]) -> MappedTank | None:
    """The entry with the lowest tank id: by number where all are numbers, else by text (K04)."""
    if len(entries) < 2:
        return entries[0] if entries else None
    if all(entry.tank_id.isascii() and entry.tank_id.isdigit() for entry in entries):
        return min(entries, key=lambda entry: (int(entry.tank_id), entry.tank_id))
    return min(entries, key=lambda entry: entry.tank_id)


def echo(site: KeyEcho, tank: Tank | None, mapped: MappedTank | None) -> KeyEcho:
    """A site's echo with its tank in one side's words (R039)."""
    return {
        **site,
        "tank_id": mapped.tank_id if mapped is not None else None,
        "tank_goid": tank.goid if tank is not None else None,
        "tank_goid_name": tank.name if tank is not None else None,
        "product_source_id": mapped.product_source_id if mapped is not None else None,
    }


def given(site: KeyEcho, key: Members[str, Any]) -> KeyEcho:
    """A site's echo with a tank nothing is known of, as it was given."""
    return {
        **site,
        "tank_id": key.get("tank_id"),
        "tank_goid": key.get("tank_goid"),
        "tank_goid_name": None,
        "product_source_id": key.get("product_source_id"),
    }


def gap_key(mapping: Mapping | None, record: MasterRecord, key: str) -> str:
    """The key of a tank's gap: the site as the side calls it, and the tank (K05)."""
    site = mapping.source_id if mapping is not None else record.goid
    return f"{site}/{key}"


def _lowest(entries: Sequence[MappedTank], tanks: Sequence[Tank]) -> Chosen | None:
    """The lowest of the entries that name one of the tanks."""
    goids = {tank.goid: tank for tank in tanks}
    found = lowest([entry for entry in entries if entry.tank_goid in goids])
    return None if found is None else Chosen(goids[found.tank_goid], found)
