"""Which order a command or a reader names, and what follows when there is none (R012-R014, K34)."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Members
from typing import Any, NamedTuple

from schemas.codes import Code
from schemas.errors import ErrorEntry
from schemas.reading import Reading
from services.domain import refusals
from services.domain.command import Command
from services.domain.effects import Answer, UnknownNumber
from services.domain.entries import entry
from services.domain.mapping import Side
from services.domain.tenants import Directory, Tenant
from services.domain.world import Needs, OrderState, Scope, World

Key = tuple[str, Members[str, Any]]


class Wanted(NamedTuple):
    """The hub's id, the caller's or the partner's number, or both; at least one."""

    order_id: str | None
    order_number: str | None


def wanted(body: Members[str, Any]) -> Wanted:
    """What is asked for, nested or flat; the nested form goes first (K08). Empty says nothing."""
    nested = body.get("order") or {}
    return Wanted(
        order_id=nested.get("order_id") or body.get("order_id") or None,
        order_number=nested.get("order_number") or body.get("order_number") or None,
    )


def problems(reading: Reading) -> list[ErrorEntry]:
    """That neither id nor number was given (R012); nothing where either did not read."""
    asked = wanted(reading.wellformed)
    if asked.order_id is not None or asked.order_number is not None:
        return []
    if reading.errors and reading.spoiled("order"):
        return []
    return [entry(("order",), "Give at least one of order_id and order_number", "key_required")]


def miss(asked: Wanted) -> Answer:
    """Not found, by number where one was given."""
    if asked.order_number is not None:
        detail = refusals.NOT_FOUND_NUMBER.format(number=asked.order_number)
    else:
        detail = refusals.NOT_FOUND_ID.format(order_id=asked.order_id)
    return refusals.refused(Code.ORDER_NOT_FOUND, detail)


def ambiguous() -> Answer:
    """The number fits orders of several pairs (K34)."""
    return refusals.refused(Code.ORDER_AMBIGUOUS, refusals.text(Code.ORDER_AMBIGUOUS))


def needs(command: Command, directory: Directory, keys: Iterable[Key]) -> Needs:
    """The orders a command may mean, and its keys in every system that may give them meaning.

    Which side the caller is, and which systems the order goes between, is known with the order
    alone: where a tenant has several systems, the keys are needed in each of them.
    """
    found = Needs()
    asked = wanted(command.body)
    if command.lane is not None:
        found.order_ids.add((command.caller.id, command.lane))
    elif asked.order_id is not None:
        found.order_ids.add((command.caller.id, asked.order_id))
    elif asked.order_number is not None:
        found.addresses.add((command.caller.id, asked.order_number))
    partner = command.partner
    if partner is None or not between(directory, command.caller, partner):
        return found
    named = list(keys)
    if not named:
        return found
    ways = [
        (mine, theirs)
        for mine in _scopes(command.caller, command.system_name)
        for theirs in _scopes(partner, None)
    ]
    found.scope, found.towards = ways[0]
    found.keys = named
    if len(ways) > 1:
        found.further = tuple(Needs(mine, theirs, named) for mine, theirs in ways[1:])
    return found


def between(directory: Directory, one: Tenant, other: Tenant) -> bool:
    """Whether orders go between these two, in either direction."""
    return (one.id, other.id) in directory.pairs or (other.id, one.id) in directory.pairs


def find(command: Command, partner: Tenant, world: World) -> OrderState | Answer | UnknownNumber:
    """The order that is meant; the 404 or the ambiguity to answer with; or the number to wait for.

    An order of another pair is the same miss as one that does not exist: with an id 404 at once,
    with a number the same wait (guarantee 6). The caller's own number goes before the partner's.
    """
    if command.lane is not None:
        return world.orders[command.lane]
    asked = wanted(command.body)
    caller, number = command.caller, asked.order_number
    if asked.order_id is not None:
        order = world.orders.get(asked.order_id)
        if order is None or not _is_of(order, caller, partner):
            return miss(asked)
        if number is not None and number not in (order.origin_number, order.destination_number):
            return miss(asked)
        return order
    if number is None:
        return miss(asked)
    found = [
        each for each in world.orders_called(caller.id, number) if _is_of(each, caller, partner)
    ]
    if len(found) > 1:
        found = [each for each in found if own_number(each, caller.id) == number] or found
    if len(found) > 1:
        return ambiguous()
    if found:
        return found[0]
    return miss(asked) if command.overdue else UnknownNumber(caller.id, partner.id, number)


def own_number(order: OrderState, tenant_id: str) -> str | None:
    """The number this side of the order gave it; None where the destination gave none."""
    return order.origin_number if tenant_id == order.origin_id else order.destination_number


def _is_of(order: OrderState, caller: Tenant, partner: Tenant) -> bool:
    sides = (order.origin_id, order.destination_id)
    return sides in ((caller.id, partner.id), (partner.id, caller.id))


def _scopes(tenant: Tenant, named: str | None) -> list[Scope]:
    """The systems that may give a tenant's keys their meaning: the named one, else each."""
    if named is None and len(tenant.systems) > 1:
        return [Scope(tenant.id, system.name) for system in tenant.systems]
    return [Side.of(tenant, named).scope]
