"""One order in three wordings: the origin's, the master data's and the destination's (R090).

All keys are looked up in one pass. What is missing on either side becomes gaps, all of them, so
that they can be named at once (K02).
"""

from __future__ import annotations

from collections.abc import Mapping as Members
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.dump import iso_utc, to_json
from services.domain import mapping, tanks, windows
from services.domain.effects import Gap
from services.domain.keys import COMPANY, PRODUCT, SITE, TANK, TERMINAL
from services.domain.loads import listed
from services.domain.mapping import Found, KeyEcho, Lost, Side, own_token
from services.domain.tanks import NoTank
from services.domain.tokens import mapped_goid_token, record_token
from services.domain.world import Mapping, MasterData

Document = dict[str, Any]
Wordings = tuple[KeyEcho | None, KeyEcho | None, KeyEcho | None]


@dataclass(frozen=True, slots=True)
class Words:
    """A key in the three wordings; None where it is not known that far."""

    origin: KeyEcho
    master: KeyEcho | None = None
    destination: KeyEcho | None = None
    found: Found | None = None
    target: Mapping | None = None
    origin_gap: Gap | None = None
    destination_gap: Gap | None = None


@dataclass(slots=True)
class Translation:
    """The three documents, and what is missing on each side.

    `master` and `destination` are None while the order is not mapped that far (R066-R068).
    """

    origin: Document
    master: Document | None
    destination: Document | None
    origin_gaps: list[Gap]
    destination_gaps: list[Gap]

    @property
    def gaps(self) -> list[Gap]:
        """All that is missing, the origin's side first."""
        return [*self.origin_gaps, *self.destination_gaps]


def translate(
    master: MasterData, origin: Side, destination: Side, body: Members[str, Any]
) -> Translation:
    """Translate an order whose static rules hold. Never raises for what is missing."""
    return Translator(master, origin, destination).order(body)


@dataclass(frozen=True, slots=True)
class _Part:
    """Site, product and loads of a drop in the three wordings, and what is missing."""

    wordings: list[tuple[KeyEcho | None, KeyEcho | None, list[Document]]]
    origin_gaps: list[Gap]
    destination_gaps: list[Gap]


@dataclass(slots=True)
class Translator:
    """From one side's words to the other's, with all that was found missing on the way.

    `origin` is the side whose words are given: the caller's, where a paper of an order is read.
    """

    master: MasterData
    origin: Side
    destination: Side
    origin_gaps: dict[tuple[str, str, str], Gap] = field(default_factory=dict)
    destination_gaps: dict[tuple[str, str, str], Gap] = field(default_factory=dict)

    def order(self, body: Members[str, Any]) -> Translation:
        """The whole order in the three wordings."""
        given_owner = body.get("supply_owner")
        owner = _wordings(None if given_owner is None else self.key(COMPANY, given_owner))
        drops = [self.drop(drop) for drop in body["drops"]]
        origin: Document = {
            "origin_order_number": body["origin_order_number"],
            "destination_order_number": None,
            "po": body.get("po"),
            "supply_owner": owner[0],
            "delivery_window": window_document(body["delivery_window"]),
            "note": body.get("note"),
            "drops": [drop[0] for drop in drops],
            "bols": [],
            "bol_photos": [],
            "executed_drops": [],
            "extra_data": body.get("extra_data") or {},
        }
        master, destination = (
            {**origin, "supply_owner": owner[at], "drops": [drop[at] for drop in drops]}
            for at in (1, 2)
        )
        mapped = not self.origin_gaps
        return Translation(
            origin=origin,
            master=master if mapped else None,
            destination=destination if mapped and not self.destination_gaps else None,
            origin_gaps=list(self.origin_gaps.values()),
            destination_gaps=list(self.destination_gaps.values()),
        )

    def drop(self, drop: Members[str, Any]) -> list[Document]:
        """One drop in the three wordings.

        What is dropped where, and from which supply, comes again and again in a batch: it is
        translated once, and what it shares with other orders is never changed.
        """
        given = drop["site"], drop.get("product"), drop.get("loads") or ()
        named = (self.origin.scope, self.destination.scope, to_json(given))
        part: _Part | None = self.master.memo.get(named)
        if part is None:
            part = self.master.memo[named] = self._part(*given)
        for gap in part.origin_gaps:
            register(self.origin_gaps, gap)
        for gap in part.destination_gaps:
            register(self.destination_gaps, gap)
        volume, extra_data = drop["volume"], drop.get("extra_data") or {}
        return [
            {
                "site": site,
                "product": product,
                "volume": volume,
                "loads": loads,
                "extra_data": extra_data,
            }
            for site, product, loads in part.wordings
        ]

    def _part(
        self,
        site: Members[str, Any],
        product: Members[str, Any] | None,
        loads: Sequence[Members[str, Any]],
    ) -> _Part:
        alone = Translator(self.master, self.origin, self.destination)
        words = None if product is None else alone.key(PRODUCT, product)
        place = alone.site(site, words)
        supply = [alone.load(load) for load in loads]
        supplies = ([load[wording] for load in supply] for wording in range(3))
        return _Part(
            list(zip(place, _wordings(words), supplies, strict=True)),
            list(alone.origin_gaps.values()),
            list(alone.destination_gaps.values()),
        )

    def load(self, load: Members[str, Any]) -> list[Document]:
        """One load in the three wordings."""
        key = self.key
        terminals = [key(TERMINAL, given) for given in listed(load, "terminal", "terminals")]
        products = [key(PRODUCT, given) for given in listed(load, "product", "products")]
        suppliers = [key(COMPANY, given) for given in listed(load, "supplier", "suppliers")]
        price_types = listed(load, "price_type", "price_types")
        contracts = listed(load, "contract", "contracts")
        same = {
            "price_types": price_types,
            "contracts": contracts,
            "price_type": single(price_types),
            "contract": single(contracts),
        }
        return [
            load_document(
                [words.origin for words in terminals],
                [words.origin for words in products],
                [words.origin for words in suppliers],
                same,
            ),
            load_document(
                [words.master for words in terminals],
                [words.master for words in products],
                [words.master for words in suppliers],
                same,
            ),
            load_document(
                [words.destination for words in terminals],
                [words.destination for words in products],
                [words.destination for words in suppliers],
                same,
            ),
        ]

    def key(self, entity: str, key: Members[str, Any]) -> Words:
        """A key in the three wordings; the same key is looked up once a batch."""
        named = (
            self.origin.scope,
            self.destination.scope,
            entity,
            key.get("goid"),
            key.get("mapping_id"),
            key.get("source_id"),
            key.get("source_name"),
        )
        words: Words | None = self.master.memo.get(named)
        if words is None:
            words = self.master.memo[named] = self._look_up(entity, key)
        if words.origin_gap is not None:
            register(self.origin_gaps, words.origin_gap)
        if words.destination_gap is not None:
            register(self.destination_gaps, words.destination_gap)
        return words

    def site(self, key: Members[str, Any], product: Words | None) -> Wordings:
        """A drop's site with its tank; without a tank it is mapped no further (K04, K05)."""
        words = self.key(SITE, key)
        undecided = not tanks.is_named(key) and product is not None and product.found is None
        if words.found is None or words.master is None or undecided:
            return tanks.given(words.origin, key), None, None
        chosen = tanks.choose(words.found, key, product.found if product is not None else None)
        if isinstance(chosen, NoTank):
            self._no_tank(words.found, chosen, product)
            return tanks.given(words.origin, key), None, None
        tank = chosen.tank
        origin = tanks.echo(words.origin, tank, chosen.mapped)
        master = tanks.echo(words.master, tank, None)
        if words.target is None or words.destination is None:
            return origin, master, None
        mapped = tanks.called(words.target, tank.goid)
        if mapped is None:
            self._tank_not_called(words.found, words.target, tank.goid)
            return origin, master, None
        return origin, master, tanks.echo(words.destination, tank, mapped)

    def _look_up(self, entity: str, key: Members[str, Any]) -> Words:
        found = mapping.resolve(self.master, self.origin, entity, key)
        if isinstance(found, Lost):
            known = found.mapping
            echo = mapping.given(key) if known is None else mapping.echo(known, None)
            return Words(echo, origin_gap=found.gap)
        record = found.record
        origin, master = mapping.echo(found.mapping, record), mapping.echo(None, record)
        target = mapping.called(self.master, self.destination, record, found.mapping)
        if isinstance(target, Gap):
            return Words(origin, master, None, found, destination_gap=target)
        return Words(origin, master, mapping.echo(target, record), found, target)

    def _no_tank(self, site: Found, missing: NoTank, product: Words | None) -> None:
        key = tanks.gap_key(site.mapping, site.record, missing.key)
        tokens = [
            mapped_goid_token(self.origin.scope, site.record.goid),
            record_token(site.record.goid),
        ]
        if site.mapping is not None:
            tokens.append(own_token(site.mapping))
        if product is not None and product.found is not None and product.found.mapping is not None:
            tokens.append(own_token(product.found.mapping))
        gap = self.origin.gap(TANK, missing.kind, key, f"tank '{key}' (by {missing.kind})", *tokens)
        register(self.origin_gaps, gap)

    def _tank_not_called(self, site: Found, target: Mapping, tank_goid: str) -> None:
        key = tanks.gap_key(target, site.record, tank_goid)
        tokens = [
            mapped_goid_token(self.destination.scope, site.record.goid),
            record_token(site.record.goid),
        ]
        if site.mapping is not None:
            tokens.append(own_token(site.mapping))
        gap = self.destination.gap(TANK, "tank_goid", key, f"tank '{key}'", *tokens)
        register(self.destination_gaps, gap)


def register(gaps: dict[tuple[str, str, str], Gap], gap: Gap) -> None:
    """Add a gap to those of one side; of two with one key the tokens are put together."""
    key = (gap.entity, gap.kind, gap.key)
    before = gaps.get(key)
    if before is not None:
        gap = replace(before, wake_on=tuple(dict.fromkeys((*before.wake_on, *gap.wake_on))))
    gaps[key] = gap


def _wordings(words: Words | None) -> Wordings:
    if words is None:
        return None, None, None
    return words.origin, words.master, words.destination


def load_document(
    terminals: list[Any], products: list[Any], suppliers: list[Any], same: Document
) -> Document:
    """A load in one wording: the lists, and the singular where there is exactly one (K06).

    `same` are the members that every wording has alike.
    """
    return {
        "terminals": terminals,
        "products": products,
        "suppliers": suppliers,
        "terminal": single(terminals),
        "product": single(products),
        "supplier": single(suppliers),
        **same,
    }


def single(values: list[Any]) -> Any:
    """The one item of a list; None where it has none or several."""
    return values[0] if len(values) == 1 else None


def window_document(window: Members[str, Any]) -> Document:
    """A delivery window as it is kept: both ends in UTC. Its rules must hold."""
    timezone = windows.timezone_of(window)
    return {
        "start": iso_utc(windows.instant(window["start"], timezone)),
        "end": iso_utc(windows.instant(window["end"], timezone)),
        "timezone": timezone,
    }
