"""The demonstration's companies, and what each of them calls the same things (X10).

Prairie Fuels sends orders to three haulers. Facts stand here once, by goid; `Words` holds how one
company's system names them. From both come the reference items, and later, without any code of the
hub, what a destination must have received.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

ORIGIN = "prairie-fuels"
NORTH = "nordhaul"
SOUTH = "sierra-carriers"
# Who looks at each order before taking it; the orders of the day go to the other two.
CAREFUL = "lakeside-lines"
DESTINATIONS = (NORTH, SOUTH)
HAULERS = (*DESTINATIONS, CAREFUL)

Item = dict[str, Any]

PRODUCTS = {
    "product_REG087": "Regular 87",
    "product_PRE093": "Premium 93",
    "product_DSL002": "Diesel No. 2",
    "product_ETH100": "Ethanol",
    "product_BIO100": "Biodiesel",
    "product_E10REG": "Regular E10",
    "product_B20DSL": "Diesel B20",
}
BLENDS = {
    "product_E10REG": (("product_REG087", 0.9), ("product_ETH100", 0.1)),
    "product_B20DSL": (("product_DSL002", 0.8), ("product_BIO100", 0.2)),
}
TERMINALS = {
    "terminal_FARGO1": "Fargo Rack",
    "terminal_MALMO1": "Malmö Hamn",
    "terminal_LODZ01": "Łódź Terminal",
    "terminal_DULUTH": "Duluth Pipeline",
}
COMPANIES = {
    "company_NORSKE": "Norske Olje ÅS",
    "company_MIDCON": "Mid-Continent Supply",
    "company_CAFEOI": "Café Öl & Søn",
    "company_REDRIV": "Red River Energy",
}
SITE_NAMES = (
    "Main Street", "Café du Lac", "Åkerby Stop", "Zürichsee Oil", "São Pedro", "Łódź Depot",
    "Rue de l'Église", "東町 Station", "Kraków Wschód", "Ñandú Travel Plaza", "Þórshöfn Quay",
    "Prairie Co-op 7", "Straße 12", "Αθήνα South", "Київ North", "Fargo Truck Stop",
    "Bemidji Lake", "Grand Forks East", "Moorhead (The Pit)", "Jamestown", "Devils Lake",
    "Wahpeton", "Detroit Lakes", "Québec Corner",
)  # fmt: skip
# What the tanks of a site hold; sites take these in turn.
LAYOUTS = (
    ("product_REG087", "product_REG087", "product_DSL002"),
    ("product_REG087", "product_PRE093", "product_DSL002"),
    ("product_E10REG", "product_DSL002"),
    ("product_B20DSL", "product_REG087", "product_E10REG"),
)

LATE_SITE = "site_NEWSTN"
LATE_TANK_SITE = "site_EXPAND"
LATE_TANK = "tank_EXPA02"
LATE_SUPPLIER = "company_LATECO"
LATE_TERMINAL = "terminal_LATE01"
# What is not mapped when the day begins, and on whose side.
LATE = {
    "site": (NORTH, "a new site that the hauler has not entered yet"),
    "tank": (ORIGIN, "a second tank that Prairie's system does not list yet"),
    "supplier": (ORIGIN, "a supplier that Prairie signed this morning"),
    "terminal": (ORIGIN, "a terminal that Prairie knows by name only"),
}


@dataclass(frozen=True, slots=True)
class TankFact:
    """A tank of the master data."""

    goid: str
    number: int
    product: str


@dataclass(frozen=True, slots=True)
class Name:
    """What one system calls a record; several names of one record are told apart by `primary`."""

    source_id: str
    source_name: str
    primary: bool = False


@dataclass(frozen=True, slots=True)
class TankName:
    """What one system calls a tank; without `product_source_id` it is never chosen by that."""

    tank_id: str
    product_source_id: str | None


@dataclass(slots=True)
class Words:
    """All names of one system: by goid, the first is the oldest; tanks by their goid."""

    tenant: str
    system: str
    names: dict[str, list[Name]] = field(default_factory=dict)
    tanks: dict[str, TankName] = field(default_factory=dict)

    def main(self, goid: str) -> Name:
        """The name an answer or an order for this company uses: the primary, else the oldest."""
        names = self.names[goid]
        return next((name for name in names if name.primary), names[0])


@dataclass(slots=True)
class Trade:
    """Everything the companies trade with. `late` are the mappings that come during the day."""

    sites: dict[str, tuple[str, tuple[TankFact, ...]]]
    words: dict[str, Words]

    def reference(self) -> dict[str, list[Item]]:
        """The items of the file form, parents first; what comes late is not in them."""
        return {
            "tenants": tenants(),
            "pairs": [
                {"origin": ORIGIN, "destination": slug, "acceptance": acceptance}
                for slug, acceptance in (*((s, "auto") for s in DESTINATIONS), (CAREFUL, "manual"))
            ],
            "records": list(self._records()),
            "mappings": [
                item
                for words in self.words.values()
                for item in self._mappings(words)
                if not _is_late(item)
            ],
        }

    def late(self) -> dict[str, Item]:
        """The mapping that lets each kind of waiting order go on, by the kind (X05)."""
        origin, north = self.words[ORIGIN], self.words[NORTH]
        goids = {
            "site": (north, LATE_SITE),
            "tank": (origin, LATE_TANK_SITE),
            "supplier": (origin, LATE_SUPPLIER),
            "terminal": (origin, LATE_TERMINAL),
        }
        return {
            kind: self._mapping(words, goid, words.main(goid))
            for kind, (words, goid) in goids.items()
        }

    def tanks_of(self, site: str) -> tuple[TankFact, ...]:
        """The tanks of a site, by number."""
        return self.sites[site][1]

    def _records(self) -> Iterator[Item]:
        for goid, name in PRODUCTS.items():
            record: Item = {"goid": goid, "entity": "product", "name": name}
            if goid in BLENDS:
                record["components"] = [
                    {"product": product, "ratio": ratio} for product, ratio in BLENDS[goid]
                ]
            yield record
        for goid, name in {**TERMINALS, LATE_TERMINAL: "Superior Dock"}.items():
            yield {"goid": goid, "entity": "terminal", "name": name}
        for goid, name in {**COMPANIES, LATE_SUPPLIER: "Tomorrow's Energy"}.items():
            yield {"goid": goid, "entity": "company", "name": name}
        for goid, (name, tanks) in self.sites.items():
            yield {
                "goid": goid,
                "entity": "site",
                "name": name,
                "tanks": [
                    {"goid": tank.goid, "number": tank.number, "product": tank.product}
                    for tank in tanks
                ],
            }

    def _mappings(self, words: Words) -> Iterator[Item]:
        for goid, names in words.names.items():
            for name in names:
                yield self._mapping(words, goid, name, known=goid != LATE_TANK_SITE)

    def _mapping(self, words: Words, goid: str, name: Name, *, known: bool = True) -> Item:
        """One mapping; unless all is `known`, the origin's lacks the tank that comes late."""
        item: Item = {
            "tenant": words.tenant,
            "system": words.system,
            "entity": goid.partition("_")[0],
            "source_id": name.source_id,
            "source_name": name.source_name,
            "goid": goid,
            "primary": name.primary,
        }
        if goid in self.sites:
            item["tanks"] = [
                {
                    "tank_id": words.tanks[tank.goid].tank_id,
                    "product_source_id": words.tanks[tank.goid].product_source_id,
                    "tank_goid": tank.goid,
                }
                for tank in self.tanks_of(goid)
                if known or words.tenant != ORIGIN or tank.goid != LATE_TANK
            ]
        return item


def tenants() -> list[Item]:
    """The four companies; Prairie's second system is the documents' examples' own."""
    return [
        {
            "slug": ORIGIN,
            "name": "Prairie Fuels",
            "systems": [
                {"name": "Backoffice", "primary": True, "instances": ["prod"]},
                {"name": "Documents"},
            ],
        },
        {
            "slug": NORTH,
            "name": "Nørdhaul Spedition",
            "systems": [{"name": "TMS", "primary": True, "instances": ["Malmö"]}],
        },
        {
            "slug": SOUTH,
            "name": "Sierra Carriers",
            "systems": [{"name": "Dispatch", "primary": True}],
        },
        {
            "slug": CAREFUL,
            "name": "Lakeside Tank Lines",
            "systems": [{"name": "Desk", "primary": True}],
        },
    ]


def trade() -> Trade:
    """The demonstration's facts and words; the same at every call."""
    sites = {}
    for index, name in enumerate(SITE_NAMES):
        tag = f"S{index:02}"
        layout = LAYOUTS[index % len(LAYOUTS)]
        tanks = [TankFact(f"tank_{tag}T{n:02}X", n, goid) for n, goid in enumerate(layout, 1)]
        sites[f"site_{tag}XXX"] = (name, tuple(tanks))
    sites[LATE_SITE] = ("New Station", (TankFact("tank_NEWS01", 1, "product_DSL002"),))
    sites[LATE_TANK_SITE] = (
        "Expanded Stop",
        (TankFact("tank_EXPA01", 1, "product_DSL002"), TankFact(LATE_TANK, 2, "product_REG087")),
    )
    made = Trade(sites=sites, words={})
    made.words[ORIGIN] = _origin_words(sites)
    made.words[NORTH] = _hauler_words(sites, NORTH, "TMS", "NH")
    made.words[SOUTH] = _hauler_words(sites, SOUTH, "Dispatch", "SC")
    made.words[CAREFUL] = _hauler_words(sites, CAREFUL, "Desk", "LT")
    return made


Sites = dict[str, tuple[str, tuple[TankFact, ...]]]


def _origin_words(sites: Sites) -> Words:
    words = Words(ORIGIN, "Backoffice")
    _number(words, "P", PRODUCTS)
    _number(words, "R", {**TERMINALS, LATE_TERMINAL: "Superior Dock"})
    _number(words, "V", {**COMPANIES, LATE_SUPPLIER: "Tomorrow's Energy"})
    for index, (goid, (name, tanks)) in enumerate(sites.items()):
        two = index < 4  # names for one site, on the sender's side
        # Which of them is older depends on the topic's partitions: the first is the primary.
        words.names[goid] = [Name(f"47{index:02}-01", name, primary=two)]
        if two:
            words.names[goid].append(Name(f"OLD-{index}", f"{name} (before the merger)"))
        for at, tank in enumerate(tanks):
            # 2, 10, 3: by text "10" would come first, by number it comes last (K04).
            tank_id = ("2", "10", "3")[at]
            product = words.names[tank.product][0].source_id
            bare = index % 3 == 0 and at == 0  # chosen by product_source_id never (R044)
            words.tanks[tank.goid] = TankName(tank_id, None if bare else product)
    return words


def _hauler_words(sites: Sites, slug: str, system: str, prefix: str) -> Words:
    words = Words(slug, system)
    _number(words, f"{prefix}-PROD-", PRODUCTS)
    _number(words, f"{prefix}-TERM-", {**TERMINALS, LATE_TERMINAL: "Superior Dock"})
    _number(words, f"{prefix}-SUPP-", {**COMPANIES, LATE_SUPPLIER: "Tomorrow's Energy"})
    for index, (goid, (name, tanks)) in enumerate(sites.items()):
        words.names[goid] = [Name(f"{prefix}-{index:03}", f"{name} / {system}")]
        if index in (2, 5, 7):  # two names for one site: the later one is the primary
            words.names[goid].append(Name(f"{prefix}-{index:03}-B", f"{name} gate B", primary=True))
        for tank in tanks:
            words.tanks[tank.goid] = TankName(f"T{tank.number:02}", None)
    return words


def _number(words: Words, prefix: str, names: dict[str, str]) -> None:
    for number, (goid, name) in enumerate(names.items(), 1):
        words.names[goid] = [Name(f"{prefix}{number}", name)]


def _is_late(item: Item) -> bool:
    late = {
        (NORTH, LATE_SITE),
        (ORIGIN, LATE_SUPPLIER),
        (ORIGIN, LATE_TERMINAL),
    }
    return (item["tenant"], item["goid"]) in late
