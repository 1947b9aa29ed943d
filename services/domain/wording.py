"""What a later command says of an order, in the three wordings (K12, K16, K27, R084).

What was sent keeps its ids: a key is looked up in the order's own documents first, whatever its
mapping says by now, then in the mappings. What cannot be told becomes gaps, what is wrong errors,
all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping as Members
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from whenever import SkippedTime

from schemas.dump import iso_utc
from schemas.errors import ErrorEntry
from services.domain import keys, mapping, tanks, windows
from services.domain.effects import Gap
from services.domain.entries import Path, entry
from services.domain.keys import SITE
from services.domain.mapping import Found, KeyEcho, Lost, Side
from services.domain.own_words import Document, Triple, as_key, called, known, places, sites
from services.domain.translate import Translator, register
from services.domain.world import MasterData, OrderState

PLACES = Decimal("0.0001")
_KEY = ("goid", "mapping_id", "source_id", "source_name")


@dataclass(slots=True)
class Wording:
    """Reads keys and times of one command; triples are (the caller's, the hub's, the other's).

    `order` must be mapped on both sides. With `foreign` the caller names keys in another system
    than the one its side of the order is in: the order's own documents say nothing of them.
    """

    order: OrderState
    mine: Side
    theirs: Side
    master: MasterData
    foreign: bool = False
    # Their side in the system that its words of the order are in, where that is another one.
    spoken: Side | None = None
    errors: list[ErrorEntry] = field(default_factory=list)
    _made: Translator | None = None
    # What the documents call things by is looked through once: they may name thousands.
    _called: dict[str, list[Triple]] = field(default_factory=dict)
    _own: dict[tuple[Any, ...], Triple | None] = field(default_factory=dict)

    @property
    def documents(self) -> tuple[Document, Document, Document]:
        """The order's documents: the caller's, the master's, the other side's."""
        order = self.order
        origin, master, destination = (
            order.origin_document,
            order.master_document,
            order.destination_document,
        )
        if master is None or destination is None:
            raise ValueError("an order that is not mapped has no words for its papers")
        if self.mine.tenant.id == order.origin_id:
            return origin, master, destination
        return destination, master, origin

    @property
    def gaps(self) -> list[Gap]:
        """All that is missing, the caller's side first."""
        made = self._made
        return [] if made is None else [*made.origin_gaps.values(), *made.destination_gaps.values()]

    @property
    def unread(self) -> bool:
        """Whether something is missing on the caller's own side."""
        return self._made is not None and bool(self._made.origin_gaps)

    @property
    def translator(self) -> Translator:
        """The mappings of now, asked only for what the order's documents do not know."""
        if self._made is None:
            self._made = Translator(self.master, self.mine, self.theirs)
        return self._made

    def own(self, entity: str, key: Members[str, Any]) -> Triple | None:
        """What the order's own documents call by this key; None where they do not know it."""
        if self.foreign:
            return None
        named = (entity, *(key.get(member) for member in _KEY))
        if named not in self._own:
            self._own[named] = self._find(entity, key)
        return self._own[named]

    def _find(self, entity: str, key: Members[str, Any]) -> Triple | None:
        if entity not in self._called:
            self._called[entity] = called(self.documents, entity)
        found = known(self._called[entity], key)
        name = key.get("source_name")
        if found is None or not name or name == found[0]["source_name"]:
            return found
        # A name beside an id is free text unless it names somebody else: then it is no own key.
        named = self.master.by_source_name(self.mine.scope, entity, name)
        if named and all(each.goid != found[0]["goid"] for each in named):
            return None
        return found

    def key(self, entity: str, key: Members[str, Any], path: Path) -> Triple:
        """A key in the three wordings, None where it is not known that far."""
        own = self.own(entity, key)
        if own is not None:
            return own
        mapping_id = key.get("mapping_id")
        if mapping_id and not self._knows(entity, mapping_id):
            self.errors.append(
                entry((*path, "mapping_id"), "The tenant has no such mapping", "unknown_mapping")
            )
        words = self.translator.key(entity, key)
        return words.origin, words.master, words.destination

    def either(self, one: str, other: str, key: Members[str, Any], path: Path) -> Triple:
        """A key of the one entity, else of the other; what misses both waits for either (K12)."""
        own = self.own(one, key)
        if own is not None:
            return own
        first = mapping.resolve(self.master, self.mine, one, key)
        if isinstance(first, Found):
            return self.key(one, key, path)
        own = self.own(other, key)
        if own is not None:
            return own
        second = mapping.resolve(self.master, self.mine, other, key)
        if isinstance(second, Lost):
            tokens = (*second.gap.wake_on, *first.gap.wake_on)
            register(self.translator.origin_gaps, replace(second.gap, wake_on=tokens))
        return self.key(other, key, path)

    def moment(self, value: datetime | None, path: Path) -> str | None:
        """A time in UTC; one without offset is local time of the order's zone (K27)."""
        if value is None:
            return None
        timezone = self.order.origin_document["delivery_window"]["timezone"]
        try:
            return iso_utc(windows.instant(value, timezone))
        except SkippedTime:
            self.errors.append(
                entry(
                    path,
                    "Daylight saving skips this local time in the order's time zone",
                    "local_time_skipped",
                )
            )
            return None

    def site(self, key: Members[str, Any] | None, path: Path) -> Triple | None:
        """A site of the order; the one it has where none is named (K16), else an error."""
        delivered = sites(self.documents)
        if key is None or not keys.is_given(key):
            if len(delivered) == 1:
                return next(iter(delivered.values()))
            msg = "The order has several sites: name the one that is meant"
            self.errors.append(entry(path, msg, "site_required"))
            return None
        found = self.key(SITE, key, path)
        if found[1] is not None and found[1]["goid"] not in delivered:
            self.errors.append(
                entry(path, "The order has no drop at this site", "site_not_on_order")
            )
        return found

    def tank(
        self, site: Triple, key: Members[str, Any], product: Triple | None, path: Path
    ) -> Triple:
        """A place: the site with a tank, which needs no tank (K04, K05, R042-R046).

        `key` names the tank; its site keys, given or inherited, are those of `site`. Where it names
        none it is the one tank that the order's drops of this product go into, if there is one.
        """
        goid = site[0]["goid"]
        if not tanks.is_named(key):
            wanted = None if product is None else product[0]["goid"]
            return places(self.documents).of_product(goid, wanted) or _without_tank(site)
        if not self.foreign:
            found = places(self.documents).called(goid, key)
            if found is not None:
                return found
        if not keys.is_given(key):
            return self._no_tank(site, path)
        mine, master, theirs = self.translator.site(key, None)
        if master is not None and site[1] is not None and master["goid"] != goid:
            return self._no_tank(site, path)
        return mine or tanks.given(site[0], key), master, theirs

    def _no_tank(self, site: Triple, path: Path) -> Triple:
        msg = "The order's site has no such tank: name the site with it"
        self.errors.append(entry(path, msg, "tank_unknown"))
        return _without_tank(site)

    def _knows(self, entity: str, mapping_id: str) -> bool:
        scope = self.mine.scope
        return mapping.by_mapping_id(self.master, scope, entity, mapping_id) is not None


def volume(value: Decimal | None) -> Decimal | None:
    """A measured value as it is kept: four decimals, half to even (K16)."""
    return None if value is None else value.quantize(PLACES, ROUND_HALF_EVEN)


def _without_tank(site: Triple) -> Triple:
    mine, master, theirs = site
    return _echo(mine), None if master is None else _echo(master), _other(theirs)


def _other(theirs: KeyEcho | None) -> KeyEcho | None:
    return None if theirs is None else _echo(theirs)


def _echo(site: KeyEcho) -> KeyEcho:
    return tanks.echo(as_key(site), None, None)
