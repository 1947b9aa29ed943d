"""What every act of the story works with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from services.cli.demo.broken import BrokenRecord
from services.cli.demo.day import Day, DayOrder
from services.cli.demo.ledger import Answers, Deliveries, Ways
from services.cli.demo.reading import Seen, Watch
from services.cli.demo.sending import Position, Upstream
from services.cli.demo.telling import Teller
from services.cli.demo.trade import HAULERS, ORIGIN, Trade, tenants
from services.cli.demo.trips import Trip, draw_trips
from services.local.directory import ReadyLine

DEAD_LETTERS = "crossroads.dead-letter"
OPERATOR_RESULTS = "crossroads.results.operator"


@dataclass(slots=True)
class Stage:
    """The running hub, the companies on both sides of it, and what they must find in the end.

    `orders` are all orders that must arrive, by command id; `trips` all ways that must be told;
    `refused` and `untold` are what haulers said that is refused, or done and told to nobody.
    `broken` is where each broken record stands. `haulers` are the answers to each of them, `ways`
    what the sender of the orders was told. `keys` are credentials by tenant. `dealt` is what was
    asked of single orders, by command id: who asked, the operation, and the outcome it must have;
    `heard` are the records of it that were read, and no others may be, as `Syncs.others` has them.
    """

    tell: Teller
    line: ReadyLine
    trade: Trade
    day: Day
    day_trips: list[Trip]
    watch: Watch
    upstream: Upstream
    answers: Answers
    deliveries: Deliveries
    operator: Answers
    haulers: dict[str, Answers]
    ways: Ways
    keys: dict[str, str] = field(default_factory=dict)
    orders: dict[str, DayOrder] = field(default_factory=dict)
    trips: list[Trip] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    untold: set[str] = field(default_factory=set)
    broken: dict[Position, BrokenRecord] = field(default_factory=dict)
    dealt: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    heard: set[tuple[str, str, str]] = field(default_factory=set)
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The credential of the orders' sender."""
        return self.keys[ORIGIN]

    def read_on(self) -> None:
        """Bring the books up to what was read."""
        for book in (self.answers, self.deliveries, self.ways, *self.haulers.values()):
            book.read_on()

    def answers_of(self, slug: str) -> Answers:
        """The book of one tenant's answers."""
        return self.answers if slug == ORIGIN else self.haulers[slug]

    def told_to(self, slug: str) -> Mapping[tuple[str, str, str], Seen]:
        """What a tenant was told of changes, receipts and the like."""
        return (self.ways if slug == ORIGIN else self.deliveries).others

    def arrived(self, order: DayOrder) -> bool:
        """Whether the order stands on its destination's topic."""
        self.deliveries.read_on()
        return (order.destination, order.number) in self.deliveries.orders

    def told(self, trip: Trip) -> int:
        """How many steps of a way its hauler was answered and the orders' sender has read."""
        final, ways = self.haulers[trip.order.destination].final, self.ways.told
        return sum(s.command_id in final and s.command_id in ways for s in trip.steps)

    def name(self, slug: str) -> str:
        """What a company calls itself."""
        return next(str(tenant["name"]) for tenant in tenants() if tenant["slug"] == slug)


@asynccontextmanager
async def set_stage(tell: Teller, line: ReadyLine, trade: Trade, day: Day) -> AsyncIterator[Stage]:
    """The stage, connected; everything is let go of at the end."""
    watch = Watch(line["kafka"])
    results = f"crossroads.results.{ORIGIN}"
    syncs = [f"crossroads.sync.{slug}" for slug in (*HAULERS, ORIGIN)]
    told = {slug: f"crossroads.results.{slug}" for slug in HAULERS}
    upstream = Upstream(line["kafka"], line["http"])
    try:
        await watch.start([OPERATOR_RESULTS, DEAD_LETTERS, results, *told.values(), *syncs])
        await upstream.start()
        yield Stage(
            tell=tell,
            line=line,
            trade=trade,
            day=day,
            day_trips=draw_trips(trade, day),
            watch=watch,
            upstream=upstream,
            answers=Answers(watch, results),
            deliveries=Deliveries(watch, HAULERS),
            operator=Answers(watch, OPERATOR_RESULTS),
            haulers={slug: Answers(watch, topic) for slug, topic in told.items()},
            ways=Ways(watch, ORIGIN),
        )
    finally:
        await upstream.stop()
        await watch.stop()
