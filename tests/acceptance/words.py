"""Two companies and their words, drawn apart for each test: what is sent, what must come out.

Every order is drawn as facts and written twice, in the origin's words and in the destination's.
The hub has no part in the second.
"""

import json
import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]
# A step: its operation, the member it is told as, what is said, and what is to be read of it.
Said = tuple[str, str, Body, list[Any]]

# The same in every test: master data belongs to all, an upsert that says the same changes nothing.
PRODUCTS = {"REG": "product_ACCREG", "DSL": "product_ACCDSL"}
SITES = {word: f"site_ACCEP{word}" for word in ("A", "B", "C")}
TERMINALS = {"N": "terminal_ACCEPN", "S": "terminal_ACCEPS"}
SUPPLIERS = {"X": "company_ACCEPX", "Y": "company_ACCEPY"}
TANKS = {"1": "REG", "2": "DSL"}
PLACES = ("driving_to_load", "arrived_at_load", "loading", "completed_load")


@dataclass(frozen=True, slots=True)
class Upsert:
    """One reference item as it is sent."""

    id: str
    kind: str
    key: str
    body: Body


@dataclass(slots=True)
class Order:
    """One order: its body, and the drops its destination must read."""

    number: str
    command_id: str
    body: bytes
    wanted: list[Body]


@dataclass(slots=True)
class Step:
    """What the destination says of an order's way, and what its origin must read of it."""

    command_id: str
    operation: str
    body: bytes
    member: str
    wanted: list[Any]


class Companies:
    """An origin and a destination that no other test has, and the draw of all they do.

    With `both_ways` the destination sends orders, too, which the origin accepts by hand (X06).
    """

    def __init__(self, seed: int, *, both_ways: bool = False) -> None:
        self.tag = secrets.token_hex(4)
        self.both_ways = both_ways
        self.rng = random.Random(seed)
        self.origin = f"o-{self.tag}"
        self.destination = f"d-{self.tag}"
        self._orders = 0
        self._upserts = 0

    def reference(self) -> list[Upsert]:
        """Everything but what comes late, in an order drawn at random (X10: any order)."""
        items = [*self._tenants(), *self._records(), *self._mappings()]
        self.rng.shuffle(items)
        return items

    def late(self, number: int) -> list[Upsert]:
        """What lets the orders go on that wait for the late keys of this number, in any order."""
        goid = self._late_terminal(number)
        items = [
            self._mapping(self.origin, "o", "site", f"late-{number}", SITES["A"]),
            self._upsert("record", {"goid": goid, "entity": "terminal", "name": f"Late {number}"}),
            self._mapping(self.destination, "d", "terminal", f"late-{number}", goid),
        ]
        if self.both_ways:
            items.append(self._mapping(self.origin, "o", "terminal", f"late-{number}", goid))
        self.rng.shuffle(items)
        return items

    def order(self, *, late: int | None = None, back: bool = False) -> Order:
        """One order of one or two drops; with `late` it waits for the keys of that number.

        With `back` the destination sends it to the origin.
        """
        self._orders += 1
        number = f"{self.tag}-{self._orders:05}"
        drops = [self._drop(back=back) for _ in range(self.rng.choice((1, 1, 2)))]
        if late is not None:
            said, wanted = drops[0]
            if back:
                said["loads"] = [{"terminal": {"goid": self._late_terminal(late)}}]
                wanted["loads"] = [[f"o-late-{late}", None]]
            elif self.rng.random() < 0.5:
                said["site"]["source_id"] = f"o-late-{late}"
                wanted["site"] = ["d-A", wanted["site"][1]]
            else:
                said["loads"] = [{"terminal": {"goid": self._late_terminal(late)}}]
                wanted["loads"] = [[f"d-late-{late}", None]]
        body = {
            "origin_order_number": number,
            "delivery_window": {"start": "2026-11-23T08:00:00Z", "end": "2026-11-23T12:00:00Z"},
            "note": f"Zufahrt über {number} · 給油口",
            "drops": [said for said, _ in drops],
            "extra_data": {"from": self.tag},
        }
        return Order(
            number,
            f"create-{number}",
            json.dumps(body, ensure_ascii=False).encode(),
            [wanted for _, wanted in drops],
        )

    def steps(self, order: Order, statuses: int = 8) -> list[Step]:
        """The way of an order in the destination's words: statuses, a bill, a drop, the end."""
        site = order.wanted[0]["site"][0]
        said = [self._status(self.rng.choice(PLACES), at) for at in range(statuses - 1)]
        said += [self._bol(site), self._executed(site), self._status(None, statuses)]
        return [
            Step(
                f"step-{order.number}-{at:02}",
                f"order.{operation}",
                json.dumps({"order": {"order_number": order.number}, **body}).encode(),
                member,
                wanted,
            )
            for at, (operation, member, body, wanted) in enumerate(said)
        ]

    def _status(self, place: str | None, at: int) -> Said:
        terminal = self.rng.choice(list(TERMINALS))
        body: Body = {"progress_status": place or "complete", "assigned_to": f"driver {at}"}
        if place is not None:
            body["location"] = {"source_id": f"d-{terminal}"}
        read = None if place is None else f"o-{terminal}"
        wanted = [place or "complete", f"driver {at}", read]
        return "update-status", "status_update", body, wanted

    def _bol(self, site: str) -> Said:
        terminal, supplier = self.rng.choice(list(TERMINALS)), self.rng.choice(list(SUPPLIERS))
        volume = self.rng.randrange(500, 9000)
        line = {
            "site": {"source_id": site},
            "supplier": {"source_id": f"d-{supplier}"},
            "product": {"source_id": "d-REG"},
            "net_volume": volume,
            "gross_volume": volume,
        }
        body = {
            "bol_number": f"B{volume}",
            "terminal": {"source_id": f"d-{terminal}"},
            "bol_date": "2026-11-23T09:00:00Z",
            "details": [line],
        }
        return "save-bol", "bol", body, [f"B{volume}", f"o-{terminal}", f"o-{supplier}", volume]

    def _executed(self, site: str) -> Said:
        volume = self.rng.randrange(500, 9000)
        line = {
            "product": {"source_id": "d-DSL"},
            "quantity": volume,
            "post_drop_time": "2026-11-23T10:00:00Z",
        }
        body = {"site": {"source_id": site}, "mode": "replace", "details": [line]}
        return "save-drop", "executed_drop", body, ["o-DSL", volume]

    def same_number(self, order: Order) -> Order:
        """Another command that gives an order's number again (K36)."""
        return Order(order.number, f"{order.command_id}-again", order.body, [])

    def _drop(self, *, back: bool) -> tuple[Body, Body]:
        mine, theirs = ("d", "o") if back else ("o", "d")
        rng = self.rng
        site, tank = rng.choice(list(SITES)), rng.choice(list(TANKS))
        product, volume = TANKS[tank], rng.randrange(500, 9000)
        key: Body = {"source_id": f"{mine}-{site}"}
        said: Body = {"site": key, "volume": volume, "loads": []}
        way = rng.choice(("tank_id", "product_source_id", "product"))
        if way == "tank_id":
            key["tank_id"] = tank_id(mine, tank)
        elif way == "product_source_id":
            key["product_source_id"] = f"{mine}-{product}"
        else:
            said["product"] = {"source_id": f"{mine}-{product}"}
        wanted: Body = {
            "site": [f"{theirs}-{site}", tank_id(theirs, tank)],
            "volume": volume,
            "loads": [],
        }
        wanted["product"] = f"{theirs}-{product}" if way == "product" else None
        if rng.random() < 0.6:
            terminal, supplier = rng.choice(list(TERMINALS)), rng.choice(list(SUPPLIERS))
            said["loads"] = [
                {
                    "terminal": {"source_id": f"{mine}-{terminal}"},
                    "supplier": {"source_id": f"{mine}-{supplier}"},
                    "price_type": "rack",
                }
            ]
            wanted["loads"] = [[f"{theirs}-{terminal}", f"{theirs}-{supplier}"]]
        return said, wanted

    def _late_terminal(self, number: int) -> str:
        return f"terminal_{self.tag.upper()}L{number:04}"

    def _tenants(self) -> Iterator[Upsert]:
        for slug, system in ((self.origin, "desk"), (self.destination, "fleet")):
            body = {"slug": slug, "name": f"Company {slug}", "systems": [{"name": system}]}
            yield self._upsert("tenant", body)
        yield self._upsert("pair", {"origin": self.origin, "destination": self.destination})
        if self.both_ways:
            back = {"origin": self.destination, "destination": self.origin, "acceptance": "manual"}
            yield self._upsert("pair", back)

    def _records(self) -> Iterator[Upsert]:
        for entity, words in (
            ("product", PRODUCTS),
            ("terminal", TERMINALS),
            ("company", SUPPLIERS),
        ):
            for word, goid in words.items():
                yield self._upsert("record", {"goid": goid, "entity": entity, "name": word})
        for word, goid in SITES.items():
            tanks = [
                {"goid": tank_goid(word, tank), "number": int(tank), "product": PRODUCTS[product]}
                for tank, product in TANKS.items()
            ]
            body = {"goid": goid, "entity": "site", "name": f"Site {word}", "tanks": tanks}
            yield self._upsert("record", body)

    def _mappings(self) -> Iterator[Upsert]:
        words = [
            *(("product", *item) for item in PRODUCTS.items()),
            *(("terminal", *item) for item in TERMINALS.items()),
            *(("company", *item) for item in SUPPLIERS.items()),
            *(("site", *item) for item in SITES.items()),
        ]
        for entity, word, goid in words:
            yield self._mapping(self.origin, "o", entity, word, goid)
            yield self._mapping(self.destination, "d", entity, word, goid)

    def _mapping(self, tenant: str, side: str, entity: str, word: str, goid: str) -> Upsert:
        body: Body = {
            "tenant": tenant,
            "system": "desk" if side == "o" else "fleet",
            "entity": entity,
            "source_id": f"{side}-{word}",
            "source_name": f"{side.upper()} {word}",
            "goid": goid,
        }
        if entity == "site":
            site = goid.removeprefix("site_ACCEP")
            body["tanks"] = [
                {
                    "tank_id": tank_id(side, tank),
                    "product_source_id": f"{side}-{product}",
                    "tank_goid": tank_goid(site, tank),
                }
                for tank, product in TANKS.items()
            ]
        return self._upsert("mapping", body)

    def _upsert(self, kind: str, body: Body) -> Upsert:
        self._upserts += 1
        key = str(body.get("slug") or body.get("goid") or body.get("origin"))
        return Upsert(f"upsert-{self.tag}-{self._upserts:05}", kind, key, body)


def tank_id(side: str, tank: str) -> str:
    """What the origin ("o") or the destination ("d") calls a tank."""
    return tank if side == "o" else f"T{tank}"


def tank_goid(site: str, tank: str) -> str:
    """The goid of a tank of one of SITES."""
    return f"tank_ACCEP{site}{tank}"


def drops_read(order: Body) -> list[Body]:
    """The drops of a synced order as `Order.wanted` has them."""
    return [
        {
            "site": [drop["site"]["source_id"], drop["site"]["tank_id"]],
            "product": None if drop["product"] is None else drop["product"]["source_id"],
            "volume": drop["volume"],
            "loads": [
                [_source_id(load["terminal"]), _source_id(load["supplier"])]
                for load in drop["loads"]
            ],
        }
        for drop in order["drops"]
    ]


def step_read(member: str, said: Body) -> list[Any]:
    """What a sync record says of a step, as `Step.wanted` has it."""
    if member == "status_update":
        return [said["progress_status"], said["assigned_to"], _source_id(said["location"])]
    [line] = said["details"]
    if member == "bol":
        return [
            said["bol_number"],
            _source_id(said["terminal"]),
            _source_id(line["supplier"]),
            line["net_volume"],
        ]
    return [_source_id(line["product"]), line["quantity"]]


def _source_id(key: Body | None) -> Any:
    return None if key is None else key["source_id"]
