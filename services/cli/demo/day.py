"""A dispatcher's day, drawn from a seed: the orders, and what their destinations must receive.

Each order is drawn as facts by goid, then written twice from the companies' own word lists: as the
sender says it, and as the receiver must read it. The hub has no part in the second, so that
comparing it with the destination's topic proves something.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

from services.cli.demo.broken import BrokenRecord, broken_records
from services.cli.demo.loads import draw_loads
from services.cli.demo.trade import (
    BLENDS,
    COMPANIES,
    DESTINATIONS,
    LATE,
    LATE_SITE,
    LATE_TANK,
    LATE_TANK_SITE,
    NORTH,
    ORIGIN,
    Name,
    TankFact,
    Trade,
    Words,
)
from services.cli.demo.windows import draw_window

LATE_SHARE = 0.07
BROKEN_SHARE = 0.01
HTTP_SHARE = 0.05
REPEATED_SHARE = 0.005
TANK_WAYS = ("tank_goid", "tank_id", "product_source_id", "product")
NOTES = (
    "Gate code 4711",
    "Ring Søren before you turn in - Zufahrt über die Straße",
    "給油口は左側です。Please latch the cap.",
    "Deliver after 22:00, quiet hours! Ñ",
    "Заезд со двора; pump 3 is out of order 🚚",  # noqa: RUF001 - Cyrillic is meant
)

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a drop goes, as facts; `said` is the sender's id of the site by the name it used."""

    site: str
    said: str
    tank: TankFact
    named: bool


@dataclass(slots=True)
class DayOrder:
    """One order: what is sent, and what its destination must receive (`received` of checks.py).

    `late` are the kinds of mappings it cannot do without (keys of LATE), `features` what it shows,
    `places` where its drops go, in their order.
    """

    number: str
    command_id: str
    destination: str
    body: Body
    wanted: Body
    late: frozenset[str]
    by_http: bool
    features: frozenset[str]
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Day:
    """The day in the order it is sent. `repeats` are sent a second time, as a nervous sender does.

    `records` has `size` entries: orders, and at least one of each kind of broken record.
    """

    seed: int
    records: list[DayOrder | BrokenRecord]
    repeats: list[DayOrder]

    @property
    def orders(self) -> list[DayOrder]:
        """The records that read."""
        return [record for record in self.records if isinstance(record, DayOrder)]

    @property
    def broken(self) -> list[BrokenRecord]:
        """The records that do not."""
        return [record for record in self.records if isinstance(record, BrokenRecord)]

    def share(self, feature: str) -> float:
        """How many of the orders show this."""
        return sum(feature in order.features for order in self.orders) / len(self.orders)


def draw_day(trade: Trade, *, seed: int, size: int) -> Day:
    """The same day for the same seed and size (at least 20 records)."""
    rng = random.Random(seed)  # noqa: S311 - a story, not a secret
    broken = broken_records(rng, math.ceil(size * BROKEN_SHARE), prefix=f"day-{seed}")
    count = size - len(broken)
    waits = _late_kinds(rng, count)
    orders = [
        _Draft(trade, rng, f"PF-{index:05}", waits[index]).order(f"day-{seed}-{index:05}")
        for index in range(count)
    ]
    records: list[DayOrder | BrokenRecord] = [*orders, *broken]
    rng.shuffle(records)
    by_topic = [order for order in orders if not order.by_http]
    repeats = rng.sample(by_topic, min(len(by_topic), math.ceil(size * REPEATED_SHARE)))
    return Day(seed, records, repeats)


def _late_kinds(rng: random.Random, count: int) -> list[frozenset[str]]:
    """For each order what it waits for: nothing mostly, one kind in turn, sometimes two."""
    kinds = sorted(LATE)
    late = [frozenset[str]()] * count
    for turn, index in enumerate(rng.sample(range(count), math.ceil(count * LATE_SHARE))):
        first = kinds[turn % len(kinds)]
        second = rng.choice(kinds) if turn % 5 == 0 else first
        late[index] = frozenset({first, second})
    return late


@dataclass(slots=True)
class _Draft:
    """One order while it is drawn."""

    trade: Trade
    rng: random.Random
    number: str
    late: frozenset[str]
    features: set[str] = field(default_factory=set)
    places: list[Place] = field(default_factory=list)

    def order(self, command_id: str) -> DayOrder:
        rng = self.rng
        destination = NORTH if "site" in self.late or rng.random() < 0.7 else DESTINATIONS[1]
        theirs = self.trade.words[destination]
        window = draw_window(rng)
        if window.crosses:
            self.features.add("daylight-saving")
        drops = [self._drop(theirs, place, index=at) for at, place in enumerate(self._places())]
        if len(drops) > 1:
            self.features.add("several-drops")
        body: Body = {
            "origin_order_number": self.number,
            "delivery_window": window.written,
            "drops": [written for written, _ in drops],
        }
        wanted: Body = {
            "number": self.number,
            "po": None,
            "note": None,
            "supply_owner": None,
            "window": window.wanted,
            "drops": [received for _, received in drops],
            "extra_data": {},
        }
        self._extras(body, wanted, theirs)
        return DayOrder(
            number=self.number,
            command_id=command_id,
            destination=destination,
            body=body,
            wanted=wanted,
            late=self.late,
            by_http=rng.random() < HTTP_SHARE,
            features=frozenset(self.features),
            places=tuple(self.places),
        )

    def _places(self) -> list[tuple[str, TankFact, str]]:
        """(site, tank, way to name it) of each drop; what waits comes first."""
        rng, trade = self.rng, self.trade
        places = []
        if "site" in self.late:
            places.append((LATE_SITE, trade.tanks_of(LATE_SITE)[0], "tank_id"))
        if "tank" in self.late:
            tank = next(t for t in trade.tanks_of(LATE_TANK_SITE) if t.goid == LATE_TANK)
            places.append((LATE_TANK_SITE, tank, "tank_id"))
        ordinary = [goid for goid in trade.sites if goid not in (LATE_SITE, LATE_TANK_SITE)]
        wanted = rng.choices((1, 2, 3, 4), (50, 30, 15, 5))[0]
        while len(places) < wanted:
            site = rng.choice(ordinary)
            way = rng.choice(TANK_WAYS)
            places.append((site, self._tank(site, way), way))
        return places

    def _tank(self, site: str, way: str) -> TankFact:
        """A tank of the site; chosen by product it is the one with the lowest id (K04, R044)."""
        ours = self.trade.words[ORIGIN].tanks
        tanks = self.trade.tanks_of(site)
        if way == "product_source_id":
            tanks = tuple(tank for tank in tanks if ours[tank.goid].product_source_id)
        tank = self.rng.choice(tanks)
        if way in ("tank_goid", "tank_id"):
            return tank
        same = [other for other in tanks if other.product == tank.product]
        if len(same) > 1:
            self.features.add("tied-tanks")
        return min(same, key=lambda other: int(ours[other.goid].tank_id))

    def _drop(
        self, theirs: Words, place: tuple[str, TankFact, str], *, index: int
    ) -> tuple[Body, Body]:
        rng = self.rng
        site, tank, way = place
        self.features.add(way)
        ours = self.trade.words[ORIGIN]
        volume = rng.randrange(500, 9_000, 50)
        name, key = self._site(site, tank, way)
        written: Body = {"site": key, "volume": volume}
        named = way == "product" or rng.random() < 0.5
        self.places.append(Place(site, name.source_id, tank, named))
        if named:
            written["product"] = self._key(tank.product)
        if tank.product in BLENDS:
            self.features.add("blend-tank")
        loads = draw_loads(
            rng, ours, theirs, tank.product, late=self.late if index == 0 else frozenset()
        )
        self.features |= loads.features
        if loads.written:
            written["loads"] = loads.written
        return written, {
            "site": theirs.main(site).source_id,
            "tank": theirs.tanks[tank.goid].tank_id,
            "product": theirs.main(tank.product).source_id if named else None,
            "volume": volume,
            "loads": loads.wanted,
        }

    def _site(self, site: str, tank: TankFact, way: str) -> tuple[Name, Body]:
        """The name by which the site is known to who reads it back, and the key as it is sent."""
        ours = self.trade.words[ORIGIN]
        names = ours.names[site]
        name = self.rng.choice(names)
        if len(names) > 1:
            self.features.add("two-names")
        entry = ours.tanks[tank.goid]
        if way == "tank_goid" and self.rng.random() < 0.5:
            return ours.main(site), {"goid": site, "tank_goid": tank.goid}
        if way == "tank_goid":
            return name, {**_said(name), "tank_goid": tank.goid}
        if way == "tank_id":
            return name, {**self._named(name), "tank_id": entry.tank_id}
        if way == "product_source_id":
            return name, {**_said(name), "product_source_id": entry.product_source_id}
        return name, self._named(name)

    def _named(self, name: Name) -> Body:
        """By id, by name, by both, or by id with a name that is only talk (K03)."""
        return self.rng.choice(
            (
                {"source_id": name.source_id},
                {"source_name": name.source_name},
                _said(name),
                {"source_id": name.source_id, "source_name": "Hof 2, bei Frau Ögün läuten"},
            )
        )

    def _key(self, goid: str) -> Body:
        name = self.trade.words[ORIGIN].main(goid)
        return self.rng.choice(
            ({"source_id": name.source_id}, {"source_name": name.source_name}, {"goid": goid})
        )

    def _extras(self, body: Body, wanted: Body, theirs: Words) -> None:
        rng = self.rng
        if rng.random() < 0.5:
            body["note"] = wanted["note"] = rng.choice(NOTES)
            self.features.add("note")
        if rng.random() < 0.4:
            body["po"] = wanted["po"] = f"PO-{rng.randrange(10**6):06}"
        if rng.random() < 0.4:
            owner = rng.choice(sorted(COMPANIES))
            body["supply_owner"] = self._key(owner)
            wanted["supply_owner"] = theirs.main(owner).source_id
        if rng.random() < 0.3:
            data = {"route": f"Ø-{rng.randrange(40)}", "stops": [1, {"priority": "höchste"}]}
            body["extra_data"] = wanted["extra_data"] = data


def _said(name: Name) -> Body:
    return {"source_id": name.source_id, "source_name": name.source_name}
