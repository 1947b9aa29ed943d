"""Create an order: read, map, send (R018-R054, R064-R074, R086-R088, K02, K27, K36)."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Members
from dataclasses import replace
from datetime import datetime
from typing import Any

from schemas.codes import Code, http_status_of
from schemas.errors import ErrorEntry
from services.domain import drops, keys, logs, mapping_ids, refusals, routing, status, windows
from services.domain.command import Command
from services.domain.effects import Answer, Effects, Event, Gap, Sync
from services.domain.entries import ignored, together
from services.domain.mapping import Side
from services.domain.tenants import Directory, Pair
from services.domain.translate import Translation, translate
from services.domain.world import MasterData, Needs, OrderState, World

CREATED = "crossroads.order.created.v1"
REQUESTED = "crossroads.order.requested.v1"
TITLE = "Create order"


def needs(command: Command, directory: Directory) -> Needs:
    """The order itself, the order of the same number, and every key in both sides' systems."""
    found = Needs(order_ids={(command.caller.id, command.derive("order"))})
    number = command.body.get("origin_order_number")
    if number is not None:
        found.numbers.add((command.caller.id, number))
    if command.partner is None:
        return found
    pair = directory.pair(command.caller, command.partner)
    if pair is None:
        return found
    found.scope = Side.of(pair.origin, command.system_name).scope
    found.towards = Side.of(pair.destination, pair.destination_system).scope
    found.keys = _named(command.body)
    return found


def problems(command: Command) -> list[ErrorEntry]:
    """Everything wrong with the request that can be told without the world (K28).

    The reading's own errors, headers, strict unknown members and rules, in document order. An
    unknown mapping_id is found by `decide` alone.
    """
    return together(command, _rules(command))


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Refuse it, let it wait for mappings or for acceptance, or send it to the destination.

    Decided again for an order that waits on a gap, the decision goes on from there (X05).
    """
    known = world.orders.get(command.derive("order"))
    order = known if known is not None and _waits_on_gap(known, command) else None
    partner = command.partner
    pair = world.directory.pair(command.caller, partner) if partner is not None else None
    if order is None:
        refusal = _refusal(command, world, pair, now)
        if refusal is not None:
            return refusal
    if pair is None:
        return _refused(command, None, now, Code.NO_SUCH_PAIR, refusals.NO_SUCH_PAIR)
    origin = Side.of(pair.origin, command.system_name)
    destination = Side.of(pair.destination, pair.destination_system)
    translation = translate(world.master, origin, destination, command.body)
    state = _order(command, pair, order, translation, now)
    if translation.gaps:
        told = order.message if order is not None else None
        return _wait_for_mapping(command, pair, state, translation.gaps, told=told, now=now)
    if pair.acceptance == "manual":
        return _request(command, pair, state, now)
    return _send(command, pair, state, now)


def accepted(command: Command, pair: Pair, order: OrderState, now: datetime) -> Effects:
    """What a create comes to whose order its destination accepted by hand; `order` becomes sent.

    It was mapped when it was asked for and goes out as it was stored (X06).
    """
    effects = _send(command, pair, order, now)
    effects.order, effects.about = None, order.id
    return effects


def ended(
    command: Command, pair: Pair, order: OrderState, now: datetime, *, code: Code, text: str
) -> Effects:
    """What a create comes to whose order was canceled or rejected before it was sent (X06, X08)."""
    log = _log(command, pair, now, "refused", code=code, text=text, order_id=order.id)
    return Effects(refusals.refused(code, text, log), logs=[log], about=order.id)


def _rules(command: Command, master: MasterData | None = None) -> Iterator[ErrorEntry]:
    """The rules; with master data also that every mapping_id is one of the caller's (K03)."""
    body = command.body
    reading = command.reading
    spoiled = reading.spoiled if reading.errors else _unspoiled
    if reading.errors or not all(keys.is_plain(key) for _, key in _named(body)):
        for path, entity, key in _keys(body):
            yield from keys.problems(entity, key, path, spoiled=spoiled(*path))
        if master is not None:
            yield from mapping_ids.unknown(body, mapping_ids.of(master, command.caller.id))
    window = body.get("delivery_window")
    if window is not None:
        yield from windows.problems(window, ("delivery_window",), spoiled)
    yield from drops.problems(body.get("drops") or (), ("drops",), spoiled)
    yield from drops.extra_data_problems(body, ())


def _unspoiled(*_path: str | int) -> bool:
    return False


def _keys(body: dict[str, Any]) -> drops.Keys:
    found = drops.keys_of(body.get("drops") or (), ("drops",))
    owner = body.get("supply_owner")
    if owner is not None:
        found.append((("supply_owner",), keys.COMPANY, owner))
    return found


def _named(body: dict[str, Any]) -> list[tuple[str, Members[str, Any]]]:
    found = drops.named(body.get("drops") or ())
    owner = body.get("supply_owner")
    if owner is not None:
        found.append((keys.COMPANY, owner))
    return found


def _waits_on_gap(order: OrderState, command: Command) -> bool:
    return (
        order.command_id == command.id
        and order.delivery == status.UNSENT
        and order.mapping != status.DESTINATION_MAPPED
    )


def _refusal(command: Command, world: World, pair: Pair | None, now: datetime) -> Effects | None:
    if not command.caller.active:
        return _refused(command, pair, now, Code.NOT_ALLOWED, refusals.INACTIVE)
    errors = together(command, _rules(command, world.master if pair is not None else None))
    if errors:
        log = _log(command, pair, now, "refused", code=Code.INVALID, text=refusals.INVALID)
        return Effects(refusals.invalid(errors), logs=[log])
    if pair is None:
        # An unknown tenant and one without a pair are told the same: nobody learns who exists.
        return _refused(command, None, now, Code.NO_SUCH_PAIR, refusals.NO_SUCH_PAIR)
    number = command.body["origin_order_number"]
    if world.order_numbered(pair.origin.id, pair.destination.id, number) is not None:
        detail = refusals.text(Code.ORDER_ALREADY_EXISTS, number=number)
        return _refused(command, pair, now, Code.ORDER_ALREADY_EXISTS, detail)
    return None


def _refused(
    command: Command, pair: Pair | None, now: datetime, code: Code, detail: str
) -> Effects:
    log = _log(command, pair, now, "refused", code=code, text=detail)
    return Effects(refusals.refused(code, detail, log), logs=[log])


def _order(
    command: Command,
    pair: Pair,
    before: OrderState | None,
    translation: Translation,
    now: datetime,
) -> OrderState:
    """The order as far as it is mapped, an object of its own; nothing of it is sent yet."""
    body = command.body
    step = None
    if translation.origin_gaps:
        step = status.ORIGIN_MAPPED
    elif translation.destination_gaps:
        step = status.MASTER_MAPPED
    if before is not None:
        order = replace(before)
    else:
        order = OrderState(
            id=command.derive("order"),
            origin_id=pair.origin.id,
            destination_id=pair.destination.id,
            origin_number=body["origin_order_number"],
            command_id=command.id,
            correlation_id=command.correlation_id,
            accepted_at=command.accepted_at,
            created_at=now,
            updated_at=now,
            origin_document={},
            po=body.get("po"),
            origin_system=Side.of(pair.origin, command.system_name).scope.system,
            origin_instance=command.instance_name,
            units=body.get("units") or "gallons",
            created_by_hauler=bool(body.get("created_by_hauler")),
        )
    order.updated_at = now
    order.origin_document = translation.origin
    order.master_document = translation.master
    order.destination_document = translation.destination
    order.mapping = step or status.DESTINATION_MAPPED
    order.failed_at_step = step
    order.message = _missing(translation)
    return order


def _missing(translation: Translation) -> str | None:
    if not translation.gaps:
        return None
    return f"Missing mappings: {'; '.join(gap.message for gap in translation.gaps)}"


def _wait_for_mapping(
    command: Command,
    pair: Pair,
    order: OrderState,
    gaps: list[Gap],
    *,
    told: str | None,
    now: datetime,
) -> Effects:
    """Named at once and registered: every key of both sides that can be known to miss (K02).

    `told` is what was told of the order before: the same again is no news.
    """
    message = order.message or ""
    log = _log(command, pair, now, "waiting", code=Code.MAPPING_GAP, text=message)
    news = told != message
    return Effects(
        answer=_waiting(command, Code.MAPPING_GAP, order, message, log),
        order=order,
        logs=[log] if news else [],
        events=[Event("waiting", {"step": order.mapping, "message": message})] if news else [],
        gaps=gaps,
        in_lane=True,
    )


def _request(command: Command, pair: Pair, order: OrderState, now: datetime) -> Effects:
    """The pair accepts by hand: the mapped order is asked for, and its create waits (X06, K38)."""
    message = f"Waiting for acceptance by {pair.destination.name}."
    order.delivery = status.REQUESTED
    log = _log(command, pair, now, "waiting", code=Code.MANUAL_ACCEPTANCE, text=message)
    return Effects(
        answer=_waiting(command, Code.MANUAL_ACCEPTANCE, order, message, log),
        order=order,
        syncs=[_sync(REQUESTED, pair, order, log["routing"])],
        logs=[log],
        events=[Event("requested", {})],
    )


def _send(command: Command, pair: Pair, order: OrderState, now: datetime) -> Effects:
    """Mapped on both sides: it goes out, and the answer is told once it is acknowledged (K40)."""
    order.delivery = status.SENT
    log = _log(command, pair, now, "success", code=None, text=f"Sent to {pair.destination.name}.")
    body = {
        "status": status.SYNCED,
        "message": ignored(command.reading),
        "log": log,
        "order": order.origin_document,
    }
    return Effects(
        answer=Answer("done", 200, None, body),
        order=order,
        syncs=[_sync(CREATED, pair, order, log["routing"])],
        logs=[log],
        events=[Event("sent", {})],
    )


def _waiting(
    command: Command, code: Code, order: OrderState, message: str, log: dict[str, Any]
) -> Answer:
    also = ignored(command.reading)
    body = {
        "status": status.of(order),
        "message": message if also is None else f"{message} {also}",
        "log": log,
        "order": order.origin_document,
    }
    return Answer("waiting", http_status_of(code), str(code), body)


def _sync(kind: str, pair: Pair, order: OrderState, way: routing.Routing) -> Sync:
    return Sync(
        receiver=pair.destination,
        type=kind,
        members={"order": order.destination_document},
        routing=way,
    )


_SHORT = {"success": "Order sent", "waiting": "Order waits", "refused": "Order refused"}
_CATEGORY = {
    Code.MAPPING_GAP: "mapping",
    Code.MANUAL_ACCEPTANCE: "delivery",
    Code.ORDER_CANCELED: "crossroads",
    Code.ORDER_REJECTED: "delivery",
    None: "crossroads",
}


def _log(
    command: Command,
    pair: Pair | None,
    now: datetime,
    outcome: str,
    *,
    code: Code | None,
    text: str,
    order_id: str | None = None,
) -> dict[str, Any]:
    number = command.body.get("origin_order_number")
    return logs.entry(
        command,
        now,
        title=TITLE if number is None else f"{TITLE} {number}",
        status=outcome,
        category=_CATEGORY.get(code, "validation"),
        message=text,
        short=_SHORT[outcome],
        routing=routing.between(
            command.caller,
            command.caller.system(command.system_name),
            routing.instance_of(command.caller, command.system_name, command.instance_name),
            pair,
        ),
        subject=logs.Subject(
            number=number,
            origin_number=number,
            order_id=order_id if outcome == "refused" else command.derive("order"),
        ),
        error=None if code is None else str(code),
    )
