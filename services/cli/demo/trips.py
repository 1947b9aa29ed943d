"""The drivers' day, drawn from the dispatcher's: statuses, papers, and what must be read of them.

As with the orders, each fact is written twice from the companies' own word lists: as the hauler
says it, and as the sender of the order must read it. The hub has no part in the second.
"""

from __future__ import annotations

import base64
import hashlib
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from services.cli.demo.day import Day, DayOrder, Place
from services.cli.demo.picture import drawn_picture
from services.cli.demo.trade import COMPANIES, ORIGIN, TERMINALS, Trade, Words, tenants
from services.cli.demo.windows import exists

TRIP_SHARE = 0.15
HTTP_SHARE = 0.06
EARLY_SHARE = 0.15
PICTURE_SHARE = 0.1
COMPLETE_SHARE = 0.8
LOADING = ("driving_to_load", "arrived_at_load", "loading", "completed_load")
DROPPING = ("driving_to_drop", "arrived_at_drop", "dropping", "completed_drop")
DRIVERS = ("Åse Nørgård", "Joaquín Peña", "Kowalski, J.", "王小明", "Big Mike")

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a hauler says of an order: how it is said, and what the sender must read.

    `operation` is the type without prefix and version, `member` what it is called in the sync
    record, `wanted` the form of `told` of checks.py.
    """

    command_id: str
    operation: str
    member: str
    body: Body
    wanted: Body


@dataclass(slots=True)
class Trip:
    """The way of one order in the order it is told.

    `early` steps are told before the order is sent; `newest` is the status that the order must show
    in the end, which is not the last one where a late status came after it.
    """

    order: DayOrder
    steps: list[Step]
    early: int
    by_http: bool
    newest: str


def draw_trips(trade: Trade, day: Day) -> list[Trip]:
    """The same trips for the same day: of some of its orders, and of more of those that wait."""
    rng = random.Random(f"trips-{day.seed}")  # noqa: S311 - a story, not a secret
    trips = []
    for order in day.orders:
        share = 0.5 if order.late else TRIP_SHARE
        if _one_name_a_site(order) and rng.random() < share:
            by_http = rng.random() < HTTP_SHARE
            early = 1 if not by_http and rng.random() < EARLY_SHARE else 0
            pen = Pen(trade, rng, order)
            pen.trip()
            trips.append(Trip(order, pen.steps, early, by_http, pen.newest))
    return trips


def _one_name_a_site(order: DayOrder) -> bool:
    """Where an order calls one site by two names, either is right to be read back."""
    named = {(place.site, place.said) for place in order.places}
    return len(named) == len({place.site for place in order.places})


@dataclass(slots=True)
class Pen:
    """Writes what the hauler of an order says of it, and what its sender reads.

    `decimals` are how many places the hauler's system gives of a volume, one of them each time.
    """

    trade: Trade
    rng: random.Random
    order: DayOrder
    decimals: tuple[int, ...] = (0, 2, 4, 9)
    steps: list[Step] = field(default_factory=list)
    newest: str = ""
    _now: timedelta = timedelta()
    _newest_at: datetime | None = None

    @property
    def _ours(self) -> Words:
        return self.trade.words[ORIGIN]

    @property
    def _theirs(self) -> Words:
        return self.trade.words[self.order.destination]

    def trip(self) -> None:
        """A whole way; drivers skip what they have no time to say."""
        rng = self.rng
        said = [word for word in (*LOADING, *DROPPING) if rng.random() < 0.4] or ["assigned"]
        for word in said:
            self.status(word, late=bool(self.steps) and rng.random() < 0.08)
        self.bill(f"B-{self.order.number}")
        if rng.random() < PICTURE_SHARE:
            self.picture(f"B-{self.order.number}")
        for site in dict.fromkeys(place.site for place in self.order.places):
            self.drop(site)
        if rng.random() < COMPLETE_SHARE:
            self.complete()

    def status(self, word: str, *, late: bool = False) -> None:
        """Where the driver is (R075-R083, K12); a `late` one tells of a time long past (K26)."""
        rng = self.rng
        said, wanted = self._moment(back=late)
        terminal = rng.choice(sorted(TERMINALS))
        site = rng.choice(self.order.places).site
        place: Body = {"location": self._key(terminal), "site": None}
        read: Body = {"location": self._read(terminal), "site": None}
        if word in DROPPING and rng.random() < 0.5:
            place, read = {"location": self._key(site)}, {**read, "location": self._read(site)}
        elif word in DROPPING:
            place["site"], read["site"] = self._key(site), self._read(site)
        eta, eta_read = self._moment(ahead=timedelta(hours=rng.randrange(1, 6)))
        driver = rng.choice((*DRIVERS, None))
        body = {"progress_status": word, **place, "actual": said, "eta": eta, "assigned_to": driver}
        # R079, R080, K11: the one stands for the other.
        etas = {"eta": eta_read, "delivery_eta": eta_read}
        self._add_status(body, {**read, **etas, "actual": wanted, "assigned_to": driver})
        if not late:
            self.newest = word

    def complete(self) -> None:
        """The end, which names no place."""
        nothing = dict.fromkeys(
            ("location", "site", "eta", "delivery_eta", "actual", "assigned_to")
        )
        self._add_status({"progress_status": "complete"}, nothing)
        self.newest = "complete"

    def bill(self, number: str) -> None:
        """A bill of lading with a line for each tank (R056-R059, K16)."""
        rng = self.rng
        terminal, supplier = rng.choice(sorted(TERMINALS)), rng.choice(sorted(COMPANIES))
        said, wanted = self._moment()
        tanks = {place.tank.goid: place for place in self.order.places}
        lines = [self._line(place, supplier) for place in tanks.values()]
        body = {
            "bol_number": number,
            "terminal": self._key(terminal),
            "bol_date": said,
            "details": [line for line, _ in lines],
        }
        sites = dict.fromkeys(read["site"] for _, read in lines)
        told = {
            "bol_number": number,
            "terminal": self._read(terminal),
            "bol_date": wanted,
            "details": [read for _, read in lines],
            "sites": list(sites),
        }
        self._add("order.save-bol", "bol", body, told)

    def picture(self, number: str) -> None:
        """A picture of the bill, its bytes in the record itself (R060, X09)."""
        content = drawn_picture(self.rng.randbytes(8))
        name, note = f"{number} Rückseite.png", self.rng.choice(("größer nicht", None))
        body: Body = {"bol_number": number, "file_name": name, "note": note}
        told = picture_read(content, body)
        body["content"] = base64.b64encode(content).decode()
        self._add("order.save-bol-image", "bol_photo", body, told)

    def drop(self, site: str) -> None:
        """What was measured at one site, tank by tank (R061-R063)."""
        tanks = {place.tank.goid: place for place in self.order.places if place.site == site}
        lines = [self._measured(place) for place in tanks.values()]
        mode = self.rng.choice(("replace", "append"))
        body = {"site": self._key(site), "mode": mode, "details": [line for line, _ in lines]}
        told = {"site": self._read(site), "mode": mode, "details": [read for _, read in lines]}
        self._add("order.save-drop", "executed_drop", body, told)

    def _line(self, place: Place, supplier: str) -> tuple[Body, Body]:
        net, gross = self._volume(), self._volume()
        tank = {"tank_id": self._theirs.tanks[place.tank.goid].tank_id}
        same = {"contract": None, "price_type": self.rng.choice(("rack", "spot", None))}
        line = {
            "site": {**self._key(place.site), **tank},
            "supplier": self._key(supplier),
            "product": self._key(place.tank.product),
            "net_volume": net,
            "gross_volume": gross,
            **same,
        }
        return line, {
            "site": place.said,
            "tank": self._ours.tanks[place.tank.goid].tank_id,
            "supplier": self._read(supplier),
            "product": self._read(place.tank.product),
            "net_volume": rounded(net),
            "gross_volume": rounded(gross),
            **same,
        }

    def _measured(self, place: Place) -> tuple[Body, Body]:
        said, wanted = self._moment()
        quantity, inches = self._volume(), round(self.rng.uniform(10, 90), 2)
        line = {
            "product": self._key(place.tank.product),
            "quantity": quantity,
            "tank": {"tank_id": self._theirs.tanks[place.tank.goid].tank_id},
            "post_drop_inches": inches,
            "post_drop_time": said,
        }
        return line, {
            "product": self._read(place.tank.product),
            "quantity": rounded(quantity),
            "tank": self._ours.tanks[place.tank.goid].tank_id,
            "post_drop_inches": inches,
            "post_drop_time": wanted,
        }

    def _add_status(self, body: Body, read: Body) -> None:
        hauler = next(t["name"] for t in tenants() if t["slug"] == self.order.destination)
        told = {"progress_status": body["progress_status"], **read, "hauled_by": hauler}
        self._add("order.update-status", "status_update", body, told)

    def _add(self, operation: str, member: str, body: Body, wanted: Body) -> None:
        order = self.order
        said = {"order": {"order_number": order.number}, **body}
        command_id = f"{order.command_id}-way-{len(self.steps):02}"
        self.steps.append(Step(command_id, operation, member, said, wanted))

    def _key(self, goid: str) -> Body:
        """As the hauler's system names it."""
        return {"source_id": self._theirs.main(goid).source_id}

    def _read(self, goid: str) -> str:
        """As the sender reads it: a site by the name it used itself."""
        for place in self.order.places:
            if place.site == goid:
                return place.said
        return self._ours.main(goid).source_id

    def _volume(self) -> float:
        """Systems that reckon send more places than anybody keeps."""
        return round(self.rng.uniform(400, 9_000), self.rng.choice(self.decimals))

    def _moment(self, *, back: bool = False, ahead: timedelta = timedelta()) -> tuple[str, str]:
        """A later moment of the trip: as said, mostly local time of the order's zone, and in UTC.

        `back`: a day before everything else; `ahead`: so much later, without the trip going on.
        """
        begin, _, name = self.order.wanted["window"]
        zone = ZoneInfo(name)
        if not ahead:
            self._now += timedelta(minutes=7)
        moment = datetime.fromisoformat(begin) + self._now + ahead - timedelta(days=back)
        local = moment.astimezone(zone).replace(tzinfo=None, fold=0)
        first = local.replace(tzinfo=zone).astimezone(UTC)
        zulu = moment.replace(tzinfo=None).isoformat() + "Z"
        # Of a doubled local time the earlier is meant: the later one needs its offset.
        if first == moment and exists(local, zone) and self.rng.random() < 0.7:
            return local.isoformat(), zulu
        return zulu, zulu


def rounded(volume: float) -> float:
    """Four places, half to even (K16)."""
    exact = Decimal(repr(volume)).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)
    return float(exact)


def picture_read(content: bytes, body: Body) -> Body:
    """What must be read of a picture that is sent with these names."""
    return {
        **{member: body[member] for member in ("bol_number", "file_name", "note")},
        "media_type": "image/png",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
