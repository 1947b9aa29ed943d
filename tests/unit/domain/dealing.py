"""The two sides of the small trade change an order: updates, proposals, acceptance, rejection."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from schemas import changes
from schemas.orders import ORDER
from schemas.reading import read
from services.domain.command import Command
from services.domain.effects import Effects
from services.domain.operations.table import TABLE
from services.domain.tenants import Pair
from services.domain.world import ChangeState, MasterData, OrderState, World
from tests.unit.domain import trade
from tests.unit.domain.driver import LOADED, sent
from tests.unit.domain.trade import ACME, BETA, NOON

UPDATE = "order.update"
PROPOSE = "change.propose"
ACCEPT = "change.accept"
REJECT = "change.reject"

ADAPTERS: Mapping[str, TypeAdapter[Any]] = {
    UPDATE: changes.UPDATE_ORDER,
    PROPOSE: changes.PROPOSE_CHANGE,
    ACCEPT: changes.ACCEPT_CHANGE,
    REJECT: changes.REJECT_CHANGE,
}
ANSWERS: Mapping[str, TypeAdapter[Any]] = {
    UPDATE: changes.UPDATE_ANSWER,
    PROPOSE: changes.CHANGE_ANSWER,
    ACCEPT: changes.ACCEPT_ANSWER,
    REJECT: changes.CHANGE_ANSWER,
}
SYNCS: Mapping[str, TypeAdapter[Any]] = {
    "crossroads.order.updated.v1": changes.ORDER_UPDATED_SYNC,
    "crossroads.change.proposed.v1": changes.CHANGE_SYNC,
    "crossroads.change.accepted.v1": changes.CHANGE_ACCEPTED_SYNC,
    "crossroads.change.rejected.v1": changes.CHANGE_SYNC,
}
OTHER = {ACME.id: BETA, BETA.id: ACME}
EARLY, LATE = "2026-05-02T08:00:00Z", "2026-05-02T18:00:00Z"


def world(*orders: OrderState, pair: Pair = trade.PAIR, data: MasterData | None = None) -> World:
    """The usual world with these orders, one that was sent where none is given."""
    return trade.world(data, pair, *(orders or (sent(),)))


def amend(**members: Any) -> dict[str, Any]:
    """An update of the order's note, or of what is said instead."""
    return {"order": {"order_number": "PO-1"}, **(members or {"note": "Gate 4"})}


def by_order(**members: Any) -> dict[str, Any]:
    """The pending change of the order."""
    return {"order": {"origin_order_number": "PO-1"}, **members}


def loaded(volume: int = 7500, **members: Any) -> dict[str, Any]:
    """The order's own drop, in ACME's words."""
    return {**LOADED, "volume": volume, **members}


def command(operation: str, request: Any, *, by: Any = ACME, **members: Any) -> Command:
    """A command of ACME's, or of Beta's."""
    partner = OTHER.get(by.id, BETA)
    strict = bool(members.get("strict"))
    made = Command(
        operation=operation,
        id="change-1",
        caller=by,
        partner_name=partner.name,
        partner=partner,
        system_name=None,
        instance_name=None,
        strict=False,
        correlation_id="correlation-3",
        reading=read(ADAPTERS[operation], request, strict=strict),
        accepted_at=NOON,
        derive=trade.derivation("change-1"),
        raw=request,
    )
    made = replace(made, **members)
    return replace(made, derive=trade.derivation(made.id))


def take(made: Command, here: World) -> Effects:
    """Decide, and check what holds of every decision; nothing is applied."""
    before = deepcopy((here.orders, here.changes))
    operation = TABLE[made.operation]
    assert operation.needs(made, here.directory).changes
    effects = operation.decide(made, here, NOON)
    assert (here.orders, here.changes) == before, "a decision never changes the world"
    assert operation.decide(made, here, NOON) == effects, "deciding again gives the same"
    _check(made.operation, effects)
    return effects


def say(here: World, operation: str, request: Any, **members: Any) -> Effects:
    """Decide a command, and take the effects into the world as a batch does."""
    effects = take(command(operation, request, **members), here)
    apply(effects, here)
    return effects


def apply(effects: Effects, here: World) -> None:
    """What a batch does with effects."""
    if effects.order is not None:
        here.put_order(effects.order)
    for change in effects.changes:
        here.put_change(change)


def proposal(here: World, request: Any = None, **members: Any) -> ChangeState:
    """A change that ACME proposes, pending."""
    say(here, PROPOSE, amend() if request is None else request, **members)
    return pending(here)


def pending(here: World) -> ChangeState:
    """The one pending change."""
    [order_id] = here.orders
    change = here.pending_change(order_id)
    assert change is not None
    return change


def found(here: World) -> OrderState:
    """The one order of the world."""
    [order] = here.orders.values()
    return order


def told(effects: Effects) -> tuple[str, int, str | None]:
    return effects.answer.outcome, effects.answer.http_status, effects.answer.code


def errors(effects: Effects) -> list[tuple[list[str | int], str]]:
    """(loc, type) of every error of a refusal."""
    assert effects.answer.code == "request.invalid", effects.answer.body
    return [(each["loc"], each["type"]) for each in effects.answer.body["detail"]]


def sent_to(effects: Effects) -> list[tuple[str, str]]:
    """(receiver's slug, type) of every record."""
    return [(sync.receiver.slug, sync.type.removeprefix("crossroads.")) for sync in effects.syncs]


def _check(operation: str, effects: Effects) -> None:
    """Everything is shaped as its schema, and a refusal changes nothing."""
    answer = effects.answer
    if answer.http_status == 200:
        ANSWERS[operation].validate_python(answer.body)
        assert answer.body["log"] in effects.logs
    for sync in effects.syncs:
        assert effects.order is not None
        envelope = {"order_id": effects.order.id, "routing": sync.routing, "sequence": 1}
        SYNCS[sync.type].validate_python({**envelope, **sync.members})
    if effects.order is not None:
        order = effects.order
        for document in (order.origin_document, order.master_document, order.destination_document):
            ORDER.validate_python(document)
    if answer.outcome != "done":
        assert [effects.order, effects.syncs, effects.changes, effects.events] == [None, [], [], []]
    waits = [effects.in_lane, effects.number is not None]
    assert waits.count(True) == (answer.outcome == "waiting")
    assert not effects.gaps
