"""What an order's own three documents call things by: the ids that were sent (protocol §3).

The documents have one shape (R090), so what stands at one place in one of them stands at the same
place in the others. Triples are (the caller's, the master's, the other side's).
"""

from __future__ import annotations

from collections.abc import Mapping as Members
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.domain.keys import COMPANY, PRODUCT, SITE, TERMINAL
from services.domain.mapping import KeyEcho
from services.domain.tanks import lowest
from services.domain.world import MappedTank

Document = dict[str, Any]
Documents = tuple[Document, Document, Document]
Triple = tuple[KeyEcho, KeyEcho | None, KeyEcho | None]

_MEMBERS = ("mapping_id", "source_name", "source_id", "goid", "goid_name")


def called(documents: Documents, entity: str) -> list[Triple]:
    """All of an entity that the order and its papers speak of, each wording once."""
    listed = _LISTED[entity]
    found: dict[tuple[Any, ...], Triple] = {}
    for triple in zip(*(listed(document) for document in documents), strict=True):
        mine = triple[0]
        found.setdefault(tuple(mine[member] for member in _MEMBERS), triple)
    return list(found.values())


def known(triples: Sequence[Triple], key: Members[str, Any]) -> Triple | None:
    """Which of these is called by this key; None where none is."""
    at = matching([triple[0] for triple in triples], key)
    return None if at is None else triples[at]


def matching(echoes: Sequence[KeyEcho], key: Members[str, Any]) -> int | None:
    """Where the echo stands that a key means: every id it gives must be the one that was sent.

    By a name alone it is found only where all of that name are one record (K03).
    """
    goid = key.get("goid")
    if goid:
        return next((at for at, each in enumerate(echoes) if each["goid"] == goid), None)
    source_id, mapping_id = key.get("source_id"), key.get("mapping_id")
    if source_id or mapping_id:
        for at, each in enumerate(echoes):
            if (not source_id or each["source_id"] == source_id) and (
                not mapping_id or each["mapping_id"] == mapping_id
            ):
                return at
        return None
    name = key.get("source_name")
    if not name:
        return None
    named = [at for at, each in enumerate(echoes) if each["source_name"] == name]
    if len({echoes[at]["goid"] for at in named}) != 1:
        return None
    return named[0]


def as_key(echo: KeyEcho) -> KeyEcho:
    """A site's echo without its tank."""
    return {member: echo[member] for member in _MEMBERS}


def sites(documents: Documents) -> dict[str, Triple]:
    """The sites the order delivers to, by goid, without tanks."""
    found: dict[str, Triple] = {}
    for drops in zip(*(document["drops"] for document in documents), strict=True):
        mine, master, theirs = (drop["site"] for drop in drops)
        if master["goid"] not in found:
            found[master["goid"]] = (as_key(mine), as_key(master), as_key(theirs))
    return found


@dataclass(frozen=True, slots=True)
class Places:
    """The tanks an order speaks of: of its drops, each with the product's goid, and its papers."""

    drops: list[tuple[Triple, str | None]]
    papers: list[Triple]

    def called(self, goid: str, key: Members[str, Any]) -> Triple | None:
        """The tank at this site that a key names; on a tie the lowest tank id (R042, R045)."""
        member = next(
            name for name in ("tank_goid", "tank_id", "product_source_id") if key.get(name)
        )
        found = {
            place[0]["tank_goid"]: place
            for place in [*self.papers, *(place for place, _ in reversed(self.drops))]
            if place[0]["goid"] == goid and place[0][member] == key[member]
        }
        if len(found) < 2:
            return next(iter(found.values()), None)
        chosen = lowest(
            [MappedTank(place[0]["tank_id"] or "", None, goid) for goid, place in found.items()]
        )
        return None if chosen is None else found[chosen.tank_goid]

    def of_product(self, goid: str, product: str | None) -> Triple | None:
        """The tank at this site that drops of this product go into, if it is one alone."""
        found = {
            place[0]["tank_goid"]: place
            for place, carried in self.drops
            if place[0]["goid"] == goid and carried is not None and carried == product
        }
        return next(iter(found.values())) if len(found) == 1 else None


def places(documents: Documents) -> Places:
    """Every tank in the order's documents."""
    drops: list[tuple[Triple, str | None]] = []
    for mine, master, theirs in zip(*(document["drops"] for document in documents), strict=True):
        product = master["product"]
        carried = None if product is None else product["goid"]
        drops.append(((mine["site"], master["site"], theirs["site"]), carried))
    papers = zip(*(_paper_tanks(document) for document in documents), strict=True)
    return Places(drops, [each for each in papers if each[0]["tank_goid"] is not None])


def _paper_tanks(document: Document) -> list[KeyEcho]:
    found = [detail["site"] for bol in document["bols"] for detail in bol["details"]]
    for drop in document["executed_drops"]:
        found += [detail["tank"] for detail in drop["details"] if detail["tank"] is not None]
    return found


def _terminals(document: Document) -> list[KeyEcho]:
    found = [
        key for drop in document["drops"] for load in drop["loads"] for key in load["terminals"]
    ]
    found += [bol["terminal"] for bol in document["bols"]]
    return found


def _sites(document: Document) -> list[KeyEcho]:
    found = [as_key(drop["site"]) for drop in document["drops"]]
    found += [site for bol in document["bols"] for site in bol["sites"]]
    found += [drop["site"] for drop in document["executed_drops"]]
    return found


def _products(document: Document) -> list[KeyEcho]:
    found = [drop["product"] for drop in document["drops"] if drop["product"] is not None]
    found += [
        key for drop in document["drops"] for load in drop["loads"] for key in load["products"]
    ]
    for paper in (*document["bols"], *document["executed_drops"]):
        found += [detail["product"] for detail in paper["details"]]
    return found


def _companies(document: Document) -> list[KeyEcho]:
    owner = document["supply_owner"]
    found = [] if owner is None else [owner]
    found += [
        key for drop in document["drops"] for load in drop["loads"] for key in load["suppliers"]
    ]
    found += [detail["supplier"] for bol in document["bols"] for detail in bol["details"]]
    return found


_LISTED = {TERMINAL: _terminals, SITE: _sites, PRODUCT: _products, COMPANY: _companies}
