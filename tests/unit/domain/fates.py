"""What decides the fate of an order of the small trade: cancel, acceptance, rejection, receipts."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from schemas import requests, sync
from schemas.orders import ORDER, ORDER_ANSWER
from schemas.reading import read
from services.domain.command import Command
from services.domain.effects import Effects
from services.domain.operations.table import TABLE
from services.domain.tenants import Tenant
from services.domain.world import OrderState, World
from tests.unit.domain import trade
from tests.unit.domain.trade import ACME, BETA, NOON

CANCEL = "order.cancel"
ACCEPT = "order.request-accept"
REJECT = "order.request-reject"
RECEIPT = "order.receipt"

ADAPTERS: Mapping[str, TypeAdapter[Any]] = {
    CANCEL: requests.CANCEL_ORDER,
    ACCEPT: requests.REQUEST_ACCEPT,
    REJECT: requests.REQUEST_REJECT,
    RECEIPT: requests.RECEIPT,
}
SYNCS: Mapping[str, TypeAdapter[Any]] = {
    "crossroads.order.created.v1": sync.ORDER_SYNC,
    "crossroads.order.canceled.v1": sync.CANCELLATION_SYNC,
    "crossroads.order.accepted.v1": sync.RECEIPT_SYNC,
    "crossroads.order.rejected.v1": sync.RECEIPT_SYNC,
    "crossroads.order.received.v1": sync.RECEIPT_SYNC,
    "crossroads.order.failed.v1": sync.RECEIPT_SYNC,
}
MANUAL = replace(trade.PAIR, acceptance="manual")
UNMAPPED = trade.drop(product={"source_id": "o-kero"})


def said(operation: str, **members: Any) -> dict[str, Any]:
    """A valid body, about the order by its origin's number."""
    usual: dict[str, Any] = {"order": {"order_number": "PO-1"}}
    if operation == ACCEPT:
        usual["destination_order_number"] = "BH-1"
    if operation == RECEIPT:
        usual["status"] = "received"
    return {**usual, **members}


def command(operation: str, *, by: Any = None, id_: str = "fate-1", **members: Any) -> Command:
    """A command of Beta's; a cancel is ACME's unless told otherwise."""
    caller = by or (ACME if operation == CANCEL else BETA)
    return command_of(operation, said(operation, **members), caller, id_)


def command_of(
    operation: str, request: Any, caller: Tenant, id_: str = "fate-1", *, strict: bool = False
) -> Command:
    """A command of this body, whatever it says."""
    partner = BETA if caller is ACME else ACME
    return Command(
        operation=operation,
        id=id_,
        caller=caller,
        partner_name=partner.name,
        partner=partner,
        system_name=None,
        instance_name=None,
        strict=strict,
        correlation_id="correlation-3",
        reading=read(ADAPTERS[operation], request, strict=strict),
        accepted_at=NOON,
        derive=trade.derivation(id_),
        raw=request,
    )


def world(*, acceptance: str = "auto", mapped: bool = True, **changes: Any) -> World:
    """The usual world with an order that was created so; `changes` are what became of it."""
    pair = replace(trade.PAIR, acceptance=acceptance)
    here = trade.world(None, pair)
    create = trade.command(trade.body(trade.drop() if mapped else UNMAPPED))
    effects = TABLE["order.create"].decide(create, here, NOON)
    assert effects.order is not None
    here.put_order(replace(effects.order, **changes))
    if effects.answer.outcome == "waiting":
        here.creates[effects.order.id] = create
    return here


def found(here: World) -> OrderState:
    """The one order of the world."""
    [order] = here.orders.values()
    return order


def take(made: Command, here: World) -> Effects:
    """Decide, and check what holds of every decision; nothing is applied."""
    before = deepcopy(here.orders)
    operation = TABLE[made.operation]
    assert operation.needs(made, here.directory).create
    effects = operation.decide(made, here, NOON)
    assert here.orders == before, "a decision never changes the world"
    assert operation.decide(made, here, NOON) == effects, "deciding again gives the same"
    _check(made, effects)
    return effects


def apply(made: Command, here: World) -> Effects:
    """Decide, and take the effects into the world."""
    effects = take(made, here)
    if effects.order is not None:
        here.put_order(effects.order)
    if effects.create is not None and effects.order is not None:
        del here.creates[effects.order.id]
    return effects


def _check(made: Command, effects: Effects) -> None:
    answer = effects.answer
    shaped = requests.RECEIPT_ANSWER if made.operation == RECEIPT else ORDER_ANSWER
    if answer.http_status == 200:
        shaped.validate_python(answer.body)
        if answer.body["status"] in {"error", "rejected"}:
            assert answer.body["message"]
            assert answer.body["log"]
    if answer.outcome != "done":
        assert effects.order is None
        assert not effects.syncs
        assert not effects.events
        assert effects.create is None
    for each in [*effects.syncs, *(effects.create.syncs if effects.create else ())]:
        assert effects.order is not None
        envelope = {"order_id": effects.order.id, "routing": each.routing, "sequence": 1}
        SYNCS[each.type].validate_python({**envelope, **each.members})
    if effects.order is not None:
        order = effects.order
        for document in (order.origin_document, order.master_document, order.destination_document):
            if document is not None:
                ORDER.validate_python(document)
