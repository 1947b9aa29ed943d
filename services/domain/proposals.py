"""Proposed changes: whose they are, how they are told, how they are settled (X01-X04, K35).

An order has one pending change at most. It says what members of the order become; an update that is
applied meanwhile makes it stale, which progress and papers do not.
"""

from __future__ import annotations

from collections.abc import Mapping as Members
from dataclasses import replace
from datetime import datetime
from typing import Any

from schemas.codes import Code
from schemas.dump import iso_utc
from schemas.errors import ErrorEntry
from services.domain import addressing, refusals
from services.domain.amendments import Amendment
from services.domain.command import Command
from services.domain.effects import Answer, Effects, Event, Sync, UnknownNumber
from services.domain.entries import entry
from services.domain.progress import Case
from services.domain.tenants import Directory, Tenant
from services.domain.world import ChangeState, Needs, OrderState, World

Document = dict[str, Any]

PROPOSED = "crossroads.change.proposed.v1"
ACCEPTED = "crossroads.change.accepted.v1"
REJECTED = "crossroads.change.rejected.v1"

REQUESTED = "requested"
SYNCED = "synced"
TURNED_DOWN = "rejected"

SUPERSEDED = "superseded"
ORDER_CLOSED = "order_closed"


def needs(command: Command, directory: Directory) -> Needs:
    """The change and its order, however they are named."""
    found = Needs(changes=True)
    asked = command.body.get("order") or {}
    if command.lane is not None:
        found.order_ids.add((command.caller.id, command.lane))
    elif asked.get("order_id"):
        found.order_ids.add((command.caller.id, asked["order_id"]))
    else:
        found.addresses |= {
            (command.caller.id, asked[member]) for member in _NUMBERS if asked.get(member)
        }
    if command.body.get("id"):
        found.change_ids.add((command.caller.id, command.body["id"]))
    return found


def rules(command: Command) -> list[ErrorEntry]:
    """That neither a change nor an order was named (R015)."""
    body, reading = command.body, command.reading
    asked = body.get("order") or {}
    if body.get("id") or any(asked.get(member) for member in (*_NUMBERS, "order_id")):
        return []
    if reading.errors and (reading.spoiled("id") or reading.spoiled("order")):
        return []
    return [entry((), "Name the change by id, or its order", "key_required")]


def find(command: Command, partner: Tenant, world: World) -> OrderState | Answer | UnknownNumber:
    """The order whose change is meant; the 404; or the number to wait for (K34, K35).

    A change or an order that does not exist, one of another pair, and names that disagree are the
    same miss (guarantee 6).
    """
    if command.lane is not None:
        return world.orders[command.lane]
    caller, body = command.caller, command.body
    asked = body.get("order") or {}
    if body.get("id"):
        change = world.changes.get(body["id"])
        order = None if change is None else world.orders.get(change.order_id)
        return order if order is not None and _fits(order, caller, partner, asked) else _miss()
    if asked.get("order_id"):
        order = world.orders.get(asked["order_id"])
        return order if order is not None and _fits(order, caller, partner, asked) else _miss()
    number = next(asked[member] for member in _NUMBERS if asked.get(member))
    found = [
        each
        for each in world.orders_called(caller.id, number)
        if _fits(each, caller, partner, asked)
    ]
    if len(found) > 1:
        # The same number in both directions: the one that has something to settle.
        found = [each for each in found if world.pending_change(each.id)] or found
    if len(found) > 1:
        return addressing.ambiguous()
    if found:
        return found[0]
    if command.overdue:
        return addressing.miss(addressing.Wanted(None, number))
    if _known(world, caller, partner, asked):
        return _miss()
    return UnknownNumber(caller.id, partner.id, number)


def named(case: Case, world: World) -> ChangeState | None:
    """The change a command names: by its id whatever became of it, else the pending one."""
    command, order = case.saying.command, case.order
    asked = command.body.get("order") or {}
    if not _fits(order, case.mine.tenant, case.theirs.tenant, asked):
        return None  # the order took its command over, by a number that means another's
    change_id = command.body.get("id")
    if not change_id:
        return world.pending_change(order.id)
    change = world.changes.get(change_id)
    return change if change is not None and change.order_id == order.id else None


def not_found(case: Case) -> Effects:
    """The one miss there is."""
    return case.saying.rule(Code.CHANGE_NOT_FOUND)


def proposed(case: Case, amendment: Amendment, now: datetime) -> ChangeState:
    """The change a command proposes."""
    command, order = case.saying.command, case.order
    mine, theirs = amendment.mine, amendment.theirs
    is_origin = case.mine.tenant.id == order.origin_id
    return ChangeState(
        id=command.derive("change"),
        order_id=order.id,
        origin_id=order.origin_id,
        destination_id=order.destination_id,
        proposer_id=case.mine.tenant.id,
        command_id=command.id,
        types=amendment.types,
        amended=case.by_document(amendment.members),
        changes=(mine, theirs) if is_origin else (theirs, mine),
        created_at=now,
        updated_at=now,
    )


def settled(
    change: ChangeState, status: str, now: datetime, reason_code: str | None
) -> ChangeState:
    """The change as it is settled."""
    return replace(change, status=status, reason_code=reason_code, updated_at=now)


def close(effects: Effects, order: OrderState, world: World, now: datetime, by: Tenant) -> None:
    """Settle what is pending of an order that these effects close (X01).

    It has no record of its own: whatever closes the order is told anyway.
    """
    pending = world.pending_change(order.id)
    if pending is not None:
        change = settled(pending, TURNED_DOWN, now, ORDER_CLOSED)
        effects.changes.append(change)
        effects.events.insert(0, event("change-closed", change, by))


def stale(order: OrderState, world: World) -> list[ChangeState]:
    """The pending change of an order that was just updated (X04)."""
    pending = world.pending_change(order.id)
    return [] if pending is None or pending.stale else [replace(pending, stale=True)]


def document(
    change: ChangeState,
    reader_id: str,
    directory: Directory,
    *,
    origin_number: str,
    destination_number: str | None,
) -> Document:
    """An order_change (X02) in the words of one side; tenants by name (K30)."""
    by_id = directory.by_id
    mine, theirs = change.changes
    return {
        "id": change.id,
        "origin_order_number": origin_number,
        "destination_order_number": destination_number,
        "status": change.status,
        "change_types": list(change.types),
        "changes": mine if reader_id == change.origin_id else theirs,
        "proposed_by": by_id[change.proposer_id].name,
        "reason_code": change.reason_code,
        "created_on": iso_utc(change.created_at),
        "updated_on": iso_utc(change.updated_at),
        "origin_tenant_name": by_id[change.origin_id].name,
        "destination_tenant_name": by_id[change.destination_id].name,
    }


def shown(case: Case, change: ChangeState, reader: Tenant, world: World) -> Document:
    """The change of a case's order, as one of its two sides is told of it."""
    return document(
        change,
        reader.id,
        world.directory,
        origin_number=case.order.origin_number,
        destination_number=case.order.destination_number,
    )


def sync(
    case: Case,
    kind: str,
    change: ChangeState,
    receiver: Tenant,
    *,
    world: World,
    way: Members[str, Any],
    **members: Any,
) -> Sync:
    """The record that tells one side of a change; `way` is its routing."""
    told = {"change": shown(case, change, receiver, world), **members}
    return Sync(receiver, kind, told, way)


def event(kind: str, change: ChangeState, by: Tenant) -> Event:
    """A line of the order's timeline about a change."""
    detail = {
        "change_id": change.id,
        "change_types": list(change.types),
        "reason_code": change.reason_code,
        "by": by.name,
    }
    return Event(kind, detail)


_NUMBERS = ("origin_order_number", "destination_order_number")


def _miss() -> Answer:
    return refusals.refused(Code.CHANGE_NOT_FOUND, refusals.text(Code.CHANGE_NOT_FOUND))


def _fits(order: OrderState, caller: Tenant, partner: Tenant, asked: Members[str, Any]) -> bool:
    """Whether the order is one of these two tenants' and is called all that was given (K35)."""
    sides = (order.origin_id, order.destination_id)
    if sides not in ((caller.id, partner.id), (partner.id, caller.id)):
        return False
    called = {
        "order_id": order.id,
        "origin_order_number": order.origin_number,
        "destination_order_number": order.destination_number,
    }
    return all(asked.get(member) in (None, "", value) for member, value in called.items())


def _known(world: World, caller: Tenant, partner: Tenant, asked: Members[str, Any]) -> bool:
    """Whether one number of several is known, so that they disagree: nothing to wait for."""
    given = [member for member in _NUMBERS if asked.get(member)]
    return len(given) > 1 and any(
        _fits(order, caller, partner, {member: asked[member]})
        for member in given
        for order in world.orders_called(caller.id, asked[member])
    )
