"""What every act of the story works with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from services.cli.demo.broken import BrokenRecord
from services.cli.demo.day import Day, DayOrder
from services.cli.demo.ledger import Answers, Deliveries
from services.cli.demo.reading import Watch
from services.cli.demo.sending import Position, Upstream
from services.cli.demo.telling import Teller
from services.cli.demo.trade import DESTINATIONS, ORIGIN, Trade, tenants
from services.local.directory import ReadyLine

DEAD_LETTERS = "crossroads.dead-letter"
OPERATOR_RESULTS = "crossroads.results.operator"


@dataclass(slots=True)
class Stage:
    """The running hub, the companies on both sides of it, and what they must find in the end.

    `orders` are all orders that must arrive, by command id; `broken` is where each broken record
    stands.
    """

    tell: Teller
    line: ReadyLine
    trade: Trade
    day: Day
    watch: Watch
    upstream: Upstream
    answers: Answers
    deliveries: Deliveries
    operator: Answers
    key: str = ""
    orders: dict[str, DayOrder] = field(default_factory=dict)
    broken: dict[Position, BrokenRecord] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    def read_on(self) -> None:
        """Bring the books up to what was read."""
        self.answers.read_on()
        self.deliveries.read_on()

    def arrived(self, order: DayOrder) -> bool:
        """Whether the order stands on its destination's topic."""
        self.deliveries.read_on()
        return (order.destination, order.number) in self.deliveries.orders

    def name(self, slug: str) -> str:
        """What a company calls itself."""
        return next(str(tenant["name"]) for tenant in tenants() if tenant["slug"] == slug)


@asynccontextmanager
async def set_stage(tell: Teller, line: ReadyLine, trade: Trade, day: Day) -> AsyncIterator[Stage]:
    """The stage, connected; everything is let go of at the end."""
    watch = Watch(line["kafka"])
    results = f"crossroads.results.{ORIGIN}"
    syncs = [f"crossroads.sync.{slug}" for slug in DESTINATIONS]
    upstream = Upstream(line["kafka"], line["http"])
    try:
        await watch.start([OPERATOR_RESULTS, DEAD_LETTERS, results, *syncs])
        await upstream.start()
        yield Stage(
            tell=tell,
            line=line,
            trade=trade,
            day=day,
            watch=watch,
            upstream=upstream,
            answers=Answers(watch, results),
            deliveries=Deliveries(watch, DESTINATIONS),
            operator=Answers(watch, OPERATOR_RESULTS),
        )
    finally:
        await upstream.stop()
        await watch.stop()
