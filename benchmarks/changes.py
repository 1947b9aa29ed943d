"""Changes beside create: updates that are applied, and proposals that are accepted."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.figures import Latency, Run, rounds_beside_create
from benchmarks.latency import latency
from benchmarks.orders import creates, drawn
from benchmarks.sides import Side, hub_run
from benchmarks.stack import SERVICES, BenchStack
from benchmarks.topics import Message, Tail
from tests.acceptance.wire import command_headers
from tests.acceptance.words import Companies, Order

SERVICE = "change-acceptance"


@dataclass(frozen=True, slots=True)
class ChangeSides:
    """Where changes go: the origin's to the destination, and the destination's to the origin."""

    origins: Side
    destinations: Side


def change_sides(stack: BenchStack, companies: Companies, create: Side, said: Tail) -> ChangeSides:
    """The sides of two companies; `said` counts what the origin is told."""
    own = replace(
        create,
        name="update",
        source=f"crossroads.changes.{companies.origin}",
        readers=lambda: stack.pids(SERVICE)[SERVICE],
        processes=lambda: stack.pids(*SERVICES),
        service=SERVICE,
    )
    other = replace(
        own,
        name="propose",
        source=f"crossroads.changes.{companies.destination}",
        target=f"crossroads.sync.{companies.origin}",
        tail=said,
    )
    return ChangeSides(own, other)


class Changes:
    """Measured in alternating rounds: creates, updates of these orders, proposals and accepts."""

    def __init__(
        self, stack: BenchStack, companies: Companies, create: Side, sides: ChangeSides
    ) -> None:
        self._stack = stack
        self._companies = companies
        self._create = create
        self._sides = sides

    async def measure(
        self, *, commands: int, rounds: int, rate: float, seconds: float
    ) -> dict[str, Any]:
        """Throughput, orders a second; then latency at a steady rate."""
        return {
            "orders": commands,
            **await rounds_beside_create(lambda: self._round(commands), rounds),
            "rate": rate,
            "latency_ms": await self._latency(rate, int(rate * seconds)),
        }

    async def _round(self, count: int) -> dict[str, Run]:
        stack, companies = self._stack, self._companies
        origins, destinations = self._sides.origins, self._sides.destinations
        orders = drawn(companies, count)
        created = await hub_run(stack, self._create, creates(companies, orders))
        updated = await hub_run(stack, origins, updates(companies, orders))
        proposed = await hub_run(stack, destinations, proposals(companies, orders))
        accepted = await hub_run(stack, origins, accepts(companies, orders))
        return {
            "create": created,
            "update": updated,
            "propose-accept": _one_after_the_other(proposed, accepted),
        }

    async def _latency(self, rate: float, count: int) -> dict[str, Any]:
        companies, stack = self._companies, self._stack
        orders = drawn(companies, count)
        found: dict[str, Latency] = {}
        for name, side, sent in (
            ("create", self._create, creates(companies, orders)),
            ("update", self._sides.origins, updates(companies, orders)),
            ("propose", self._sides.destinations, proposals(companies, orders)),
            ("accept", self._sides.origins, accepts(companies, orders)),
        ):
            found[name] = await latency(stack, side, sent, rate=rate)
        await stack.quiet()
        base = found["create"]
        return {
            name: {**of.told(), "ratio_p50": of.p50 / base.p50, "ratio_p99": of.p99 / base.p99}
            for name, of in found.items()
        }


def updates(companies: Companies, orders: Iterable[Order]) -> list[Message]:
    """One update of each by its origin: another note, and another volume of every drop."""
    found = []
    for order in orders:
        drops = json.loads(order.body)["drops"]
        body = {"note": "Tor 4", "drops": [{**d, "volume": d["volume"] + 1} for d in drops]}
        found.append(_said(order, "order.update", companies.destination, body))
    return found


def proposals(companies: Companies, orders: Iterable[Order]) -> list[Message]:
    """One proposal for each by its destination: another volume of every drop, in its own words."""
    return [
        _said(order, "change.propose", companies.origin, {"drops": proposed_drops(order)})
        for order in orders
    ]


def accepts(companies: Companies, orders: Iterable[Order]) -> list[Message]:
    """The acceptance of each by its origin."""
    return [_said(order, "change.accept", companies.destination, {}) for order in orders]


def proposed_drops(order: Order) -> list[dict[str, Any]]:
    """The drops of an order in its destination's words, each with two gallons more."""
    return [_drop(wanted) for wanted in order.wanted]


def _drop(wanted: Mapping[str, Any]) -> dict[str, Any]:
    site, tank = wanted["site"]
    product = wanted["product"]
    drop: dict[str, Any] = {
        "site": {"source_id": site, "tank_id": tank},
        "volume": wanted["volume"] + 2,
        "loads": [
            {
                "terminal": {"source_id": terminal},
                "supplier": {"source_id": supplier},
                "price_type": "rack",
            }
            for terminal, supplier in wanted["loads"]
        ],
    }
    return drop if product is None else {**drop, "product": {"source_id": product}}


def _said(order: Order, operation: str, partner: str, body: Mapping[str, Any]) -> Message:
    member = "origin_order_number" if operation == "change.accept" else "order_number"
    value = {"order": {member: order.number}, **body}
    command_id = f"{operation}-{order.number}"
    headers = command_headers(command_id, operation, partner=partner)
    return Message(order.number.encode(), json.dumps(value).encode(), headers)


def _one_after_the_other(first: Run, second: Run) -> Run:
    """Two runs over the same orders as one: an acceptance needs its proposal."""
    pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]] = (
        (first.cpu, second.cpu),
        (first.stages, second.stages),
    )
    cpu, stages = (
        {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {**one, **other}}
        for one, other in pairs
    )
    return Run(first.records, first.seconds + second.seconds, cpu, stages)
