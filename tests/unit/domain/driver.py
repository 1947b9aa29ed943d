"""The driver's side of the small trade: progress on an order that ACME sent to Beta."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from schemas.orders import ORDER
from schemas.progress import (
    BOL_ANSWER,
    BOL_PHOTO_ANSWER,
    BOL_PHOTO_SAVED_SYNC,
    BOL_SAVED_SYNC,
    DROP_SAVED_SYNC,
    EXECUTED_DROP_ANSWER,
    SAVE_BOL,
    SAVE_BOL_IMAGE,
    SAVE_DROP,
    STATUS_UPDATE_ANSWER,
    STATUS_UPDATED_SYNC,
    UPDATE_STATUS,
)
from schemas.reading import read
from services.domain.command import Command
from services.domain.effects import Effects
from services.domain.operations.table import TABLE
from services.domain.world import OrderState, World
from tests.unit.domain import trade
from tests.unit.domain.trade import ACME, BETA, NOON, body, decide, drop, order_of

STATUS = "order.update-status"
BOL = "order.save-bol"
DROP = "order.save-drop"
IMAGE = "order.save-bol-image"

ADAPTERS: dict[str, TypeAdapter[Any]] = {
    STATUS: UPDATE_STATUS,
    BOL: SAVE_BOL,
    DROP: SAVE_DROP,
    IMAGE: SAVE_BOL_IMAGE,
}
ANSWERS: dict[str, tuple[str, TypeAdapter[Any], TypeAdapter[Any]]] = {
    STATUS: ("status_update", STATUS_UPDATE_ANSWER, STATUS_UPDATED_SYNC),
    BOL: ("bol", BOL_ANSWER, BOL_SAVED_SYNC),
    DROP: ("executed_drop", EXECUTED_DROP_ANSWER, DROP_SAVED_SYNC),
    IMAGE: ("bol_photo", BOL_PHOTO_ANSWER, BOL_PHOTO_SAVED_SYNC),
}

LOADING = ["driving_to_load", "arrived_at_load", "loading", "completed_load"]
DROPPING = ["driving_to_drop", "arrived_at_drop", "dropping", "completed_drop"]

LOADED = drop(
    loads=[{"terminal": {"source_id": "o-north"}, "supplier": {"source_id": "o-sup"}}],
    product={"source_id": "o-reg"},
)
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="


def sent(*drops: Any, **changes: Any) -> OrderState:
    """An order that was sent to Beta; loaded at the north terminal, dropped at the main site."""
    return replace(order_of(decide(body(*(drops or [LOADED])))), **changes)


def world(*orders: OrderState, **changes: Any) -> World:
    """The usual world with these orders, one that was sent where none is given."""
    return trade.world(changes.get("data"), trade.PAIR, *(orders or (sent(),)))


def status(progress: str = "arrived_at_load", **changes: Any) -> dict[str, Any]:
    """A status at the north terminal, in Beta's words."""
    said = {
        "order": {"order_number": "PO-1"},
        "location": {"source_id": "d-north"},
        "progress_status": progress,
        **changes,
    }
    return {member: value for member, value in said.items() if value is not ...}


def complete(**changes: Any) -> dict[str, Any]:
    """The end of the trip, which names no place."""
    return status("complete", location=None, **changes)


def line(**changes: Any) -> dict[str, Any]:
    """A line of regular in Beta's words, without a site."""
    return {
        "supplier": {"source_id": "d-sup"},
        "product": {"source_id": "d-reg"},
        "net_volume": 7488.25,
        "gross_volume": 7500,
        **changes,
    }


def bol(*lines: Any, **changes: Any) -> dict[str, Any]:
    return {
        "order": {"order_number": "PO-1"},
        "bol_number": "B-1",
        "terminal": {"source_id": "d-north"},
        "bol_date": "2026-05-01T15:00:00Z",
        "details": list(lines) or [line()],
        **changes,
    }


def measured(**changes: Any) -> dict[str, Any]:
    return {
        "product": {"source_id": "d-reg"},
        "quantity": 7488.25,
        "post_drop_time": "2026-05-01T18:00:00Z",
        **changes,
    }


def executed(*details: Any, **changes: Any) -> dict[str, Any]:
    return {
        "order": {"order_number": "PO-1"},
        "site": {"source_id": "d-main"},
        "mode": "replace",
        "details": list(details) or [measured()],
        **changes,
    }


def image(**changes: Any) -> dict[str, Any]:
    said = {
        "order": {"order_number": "PO-1"},
        "bol_number": "B-1",
        "file_name": "b-1.png",
        "content": PNG,
        **changes,
    }
    return {member: value for member, value in said.items() if value is not ...}


def command(operation: str, request: Any, *, strict: bool = False, **changes: Any) -> Command:
    """A command of Beta's about an order of the pair with ACME."""
    made = Command(
        operation=operation,
        id="progress-1",
        caller=BETA,
        partner_name="ACME Fuels",
        partner=ACME,
        system_name=None,
        instance_name=None,
        strict=strict,
        correlation_id="correlation-2",
        reading=read(ADAPTERS[operation], request, strict=strict),
        accepted_at=NOON,
        derive=trade.derivation("progress-1"),
        raw=request,
    )
    made = replace(made, **changes)
    return replace(made, derive=trade.derivation(made.id))


def take(made: Command, here: World) -> Effects:
    """Decide, and check what holds of every decision; nothing is applied."""
    before = deepcopy(here.orders)
    operation = TABLE[made.operation]
    operation.needs(made, here.directory)
    effects = operation.decide(made, here, NOON)
    assert here.orders == before, "a decision never changes the world"
    assert operation.decide(made, here, NOON) == effects, "deciding again gives the same"
    _check(made.operation, effects)
    return effects


def apply(made: Command, here: World) -> Effects:
    """Decide, and take the effects into the world as a batch does."""
    effects = take(made, here)
    if effects.order is not None:
        here.put_order(effects.order)
    if effects.in_lane and made.lane is None:
        assert effects.order_id is not None
        order = here.orders[effects.order_id]
        here.put_order(replace(order, waiting=order.waiting + 1))
    return effects


def say(here: World, request: Any, operation: str = STATUS, **changes: Any) -> Effects:
    """A command of Beta's, decided and applied."""
    return apply(command(operation, request, **changes), here)


def by_acme(**changes: Any) -> dict[str, Any]:
    """The members of a command that ACME sends."""
    return {"caller": ACME, "partner": BETA, "partner_name": "Beta Haulage", **changes}


def found(here: World) -> OrderState:
    """The one order of the world."""
    [order] = here.orders.values()
    return order


def errors(effects: Effects) -> list[tuple[list[str | int], str]]:
    """(loc, type) of every error of a refusal."""
    assert effects.answer.code == "request.invalid", effects.answer.body
    return [(each["loc"], each["type"]) for each in effects.answer.body["detail"]]


def told(effects: Effects) -> tuple[str, int, str | None]:
    return effects.answer.outcome, effects.answer.http_status, effects.answer.code


def _check(operation: str, effects: Effects) -> None:
    """Everything is shaped as its schema, and what waits says what for."""
    member, answer, sync = ANSWERS[operation]
    if effects.answer.http_status == 200:
        answer.validate_python(effects.answer.body)
        assert effects.answer.body["log"] in effects.logs
    for each in effects.syncs:
        assert effects.order is not None
        assert list(each.members) == [member]
        envelope = {"order_id": effects.order.id, "routing": each.routing, "sequence": 1}
        sync.validate_python({**envelope, **each.members})
    if effects.order is not None:
        order = effects.order
        documents = (order.origin_document, order.master_document, order.destination_document)
        for document in documents:
            ORDER.validate_python(document)
    waits = [effects.in_lane, effects.number is not None]
    assert waits.count(True) == (effects.answer.outcome == "waiting")
    assert not effects.gaps or effects.in_lane
