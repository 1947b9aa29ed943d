"""A small trade in memory: ACME Fuels sends orders to Beta Haulage, and both have words for all."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from schemas.orders import CREATE_ORDER
from schemas.reading import read
from services.domain.command import Command
from services.domain.effects import Effects
from services.domain.mapping import Side
from services.domain.operations import create
from services.domain.tenants import Directory, Instance, Pair, System, Tenant
from services.domain.world import (
    MappedTank,
    MasterData,
    MasterRecord,
    OrderState,
    Scope,
    Tank,
    World,
)
from services.domain.world import Mapping as KeyMapping

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)

ACME = Tenant(
    "a" * 24,
    "acme",
    "ACME Fuels",
    systems=(
        System("a-erp", "ERP", primary=True, instances=(Instance("a-i1", "prod"),)),
        System("a-old", "Old ERP", primary=False),
    ),
)
BETA = Tenant(
    "b" * 24,
    "beta",
    "Beta Haulage",
    systems=(System("b-tms", "TMS", primary=True, instances=(Instance("b-i1", "main"),)),),
)
GAMMA = Tenant("c" * 24, "gamma", "Gamma Oil", systems=(System("c-x", "X", primary=True),))
PAIR = Pair("d" * 24, ACME, BETA)

ERP = Scope(ACME.id, "ERP")
TMS = Scope(BETA.id, "TMS")
ACME_SIDE = Side(ACME, ERP)
BETA_SIDE = Side(BETA, TMS)

REGULAR = MasterRecord("product_REGULAR", "product", "Regular")
DIESEL = MasterRecord("product_DIESEL", "product", "Diesel")
NORTH = MasterRecord("terminal_NORTH1", "terminal", "North Terminal")
SUPPLY = MasterRecord("company_SUPPLY", "company", "Supply Co")
SITE = MasterRecord(
    "site_MAIN01",
    "site",
    "Main Street",
    tanks=(
        Tank("tank_MAIN0A", 1, "product_REGULAR", "Regular tank"),
        Tank("tank_MAIN0B", 2, "product_DIESEL"),
        Tank("tank_MAIN0C", 3, "product_REGULAR"),
    ),
)
RECORDS = (REGULAR, DIESEL, NORTH, SUPPLY, SITE)


def mapping(
    tenant: Tenant,
    system: str,
    entity: str,
    source_id: str,
    goid: str,
    *,
    name: str | None = None,
    tanks: Iterable[tuple[str, str | None, str]] = (),
    primary: bool = False,
    age: int = 1,
) -> KeyMapping:
    """A mapping; its id is derived from its key."""
    digest = hashlib.sha256(f"{tenant.id}|{system}|{entity}|{source_id}".encode()).hexdigest()
    return KeyMapping(
        id=digest[:24],
        tenant_id=tenant.id,
        system=system,
        entity=entity,
        source_id=source_id,
        source_name=name or f"{source_id} name",
        goid=goid,
        primary=primary,
        age=age,
        tanks=tuple(MappedTank(*tank) for tank in tanks),
    )


def words(tenant: Tenant, system: str, prefix: str) -> list[KeyMapping]:
    """One side's mapping of every record; source ids begin with `prefix`."""
    tanks = [
        ("1", f"{prefix}-reg", "tank_MAIN0A"),
        ("2", f"{prefix}-dsl", "tank_MAIN0B"),
        ("10", f"{prefix}-reg", "tank_MAIN0C"),
    ]
    return [
        mapping(tenant, system, "product", f"{prefix}-reg", "product_REGULAR"),
        mapping(tenant, system, "product", f"{prefix}-dsl", "product_DIESEL"),
        mapping(tenant, system, "terminal", f"{prefix}-north", "terminal_NORTH1"),
        mapping(tenant, system, "company", f"{prefix}-sup", "company_SUPPLY"),
        mapping(tenant, system, "site", f"{prefix}-main", "site_MAIN01", tanks=tanks),
    ]


ORIGIN_WORDS = words(ACME, "ERP", "o")
DESTINATION_WORDS = words(BETA, "TMS", "d")


def master(
    *mappings: KeyMapping, records: Sequence[MasterRecord] = RECORDS, usual: bool = True
) -> MasterData:
    """Master data with these mappings beside the usual ones."""
    known = [*ORIGIN_WORDS, *DESTINATION_WORDS] if usual else []
    return MasterData(records, [*known, *mappings])


def world(data: MasterData | None = None, pair: Pair | None = PAIR, *orders: OrderState) -> World:
    """The three tenants, the pair, and the orders that are there."""
    tenants = [ACME, BETA, GAMMA]
    if pair is not None:
        tenants = [pair.origin, pair.destination, GAMMA]
    found = World(
        Directory.of(tenants, [] if pair is None else [pair]), master() if data is None else data
    )
    for order in orders:
        found.put_order(order)
    return found


def window(**changes: Any) -> dict[str, Any]:
    return {"start": "2026-05-01T13:00:00Z", "end": "2026-05-01T23:00:00Z", **changes}


def drop(**changes: Any) -> dict[str, Any]:
    """A drop of regular into tank 1 of the main site, loaded at the north terminal."""
    return {
        "site": {"source_id": "o-main", "tank_id": "1"},
        "product": {"source_id": "o-reg"},
        "volume": 7500,
        **changes,
    }


def body(*drops: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A create that maps on both sides."""
    return {
        "origin_order_number": "PO-1",
        "delivery_window": window(),
        "drops": list(drops) or [drop()],
        **changes,
    }


def command(request: Any = None, *, strict: bool = False, **changes: Any) -> Command:
    """A create of ACME's towards Beta; `changes` are members of the command."""
    raw = body() if request is None else request
    made = Command(
        operation="order.create",
        id="command-1",
        caller=ACME,
        partner_name="Beta Haulage",
        partner=BETA,
        system_name=None,
        instance_name=None,
        strict=strict,
        correlation_id="correlation-1",
        reading=read(CREATE_ORDER, raw, strict=strict),
        accepted_at=NOON,
        derive=derivation("command-1"),
        raw=raw,
    )
    made = replace(made, **changes)
    return replace(made, derive=derivation(made.id))


def derivation(command_id: str) -> Any:
    return lambda *parts: hashlib.sha256(repr((command_id, *parts)).encode()).hexdigest()[:24]


def decide(request: Any = None, in_world: World | None = None, **changes: Any) -> Effects:
    """What becomes of a create in the usual world."""
    made = request if isinstance(request, Command) else command(request, **changes)
    return create.decide(made, world() if in_world is None else in_world, NOON)


def errors(request: Any = None, **changes: Any) -> list[tuple[list[str | int], str]]:
    """(loc, type) of every error a create is told of without the world."""
    return [(entry["loc"], entry["type"]) for entry in create.problems(command(request, **changes))]


def order_of(effects: Effects) -> OrderState:
    assert effects.order is not None
    return effects.order
