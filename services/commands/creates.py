"""The creates of orders whose fate a batch may settle, as jobs that wait (X06, X08)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from schemas.topics import ORDERS
from services.commands.batch import Job
from services.commands.decode import Arrival, Dead, command_between, decode
from services.domain import status
from services.domain.world import Needs, OrderState
from services.kit.cloudevents import Record, Source
from services.kit.database import Connection
from services.records import directory, requested
from services.records.requested import WaitingCreate

_WAITING = (status.UNSENT, status.REQUESTED)


async def load(
    connection: Connection, needs: Sequence[Needs], states: Iterable[OrderState]
) -> dict[str, Job]:
    """The creates that wait, by the orders they make, of those a need may be about.

    The orders are locked by the caller.
    """
    asking = [need for need in needs if need.create]
    if not asking:
        return {}
    ids = {order_id for need in asking for _, order_id in need.order_ids}
    numbers = {address for need in asking for address in need.addresses}
    about = {
        state.id: state
        for state in states
        if state.delivery in _WAITING and (state.id in ids or not numbers.isdisjoint(_of(state)))
    }
    if not about:
        return {}
    found = await requested.load(
        connection, [(each.origin_id, each.command_id) for each in about.values()], list(about)
    )
    parties = {
        tenant for each in about.values() for tenant in (each.origin_id, each.destination_id)
    }
    known = (await directory.of_tenants(connection, sorted(parties))).by_id
    slugs = {id_: tenant.slug for id_, tenant in known.items()}
    found += [
        WaitingCreate(state.id, _as_known(state, slugs[state.origin_id]), None, None)
        for state in about.values()
        if state.delivery == status.REQUESTED and state.id not in {each.order_id for each in found}
    ]
    jobs = {}
    for create in found:
        state, arrival = about[create.order_id], _read(create.record)
        jobs[state.id] = Job(
            arrival,
            command_between(arrival, known[state.origin_id], known[state.destination_id]),
            turn=True,
            lane=None if create.lane_id is None else state.id,
            lane_id=create.lane_id,
            reason=create.reason,
        )
    return jobs


def _read(record: Record) -> Arrival:
    arrival = decode(record)
    if isinstance(arrival, Dead):
        raise AssertionError(f"a create that was accepted does not read: {arrival.reason}")  # noqa: TRY004
    return arrival


def _as_known(order: OrderState, slug: str) -> Record:
    """A create as its order tells of it: earlier releases kept no record of those that waited."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": order.command_id,
        "ce_source": "/crossroads",
        "ce_type": "crossroads.order.create.v1",
        "ce_origintenant": slug,
        "ce_correlationid": order.correlation_id,
    }
    return Record(
        source=Source("", ORDERS, 0, 0),
        key=order.origin_number.encode(),
        value=orjson.dumps({"origin_order_number": order.origin_number}),
        headers=tuple((name, value.encode()) for name, value in headers.items()),
        timestamp_ms=int(order.accepted_at.timestamp() * 1000),
    )


def _of(state: OrderState) -> set[tuple[str, str]]:
    """What either side may call the order by (K34)."""
    numbers = {state.origin_number, state.destination_number} - {None}
    return {
        (tenant, number)
        for tenant in (state.origin_id, state.destination_id)
        for number in numbers
        if number is not None
    }
