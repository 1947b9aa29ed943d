"""order/create, order/get and an order's timeline (R001, R086-R090, K08, K34)."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from whenever import SkippedTime, TimeZoneNotFoundError

from schemas.dump import iso_utc
from schemas.errors import ErrorEntry
from schemas.operations import operation
from schemas.orders import GET_ORDER
from schemas.reading import read
from services.domain import views
from services.domain.effects import Answer
from services.domain.mapping import Side
from services.domain.operations import create
from services.domain.operations import get as lookup
from services.domain.tenants import Directory, Tenant
from services.domain.translate import translate
from services.domain.world import MasterData
from services.gateway.bodies import parse_body, take_body
from services.gateway.caller import admit, reading_tenants
from services.gateway.commands import CommandRoute
from services.gateway.headers import read_headers
from services.gateway.hub import hub_of
from services.gateway.problems import Problem, answer
from services.records import directory, orders
from services.records import timeline as history
from services.records.timeline import Line

# No tenant has it: a partner nobody knows is looked for like any other (guarantee 6).
_NOBODY = "-"


def create_route() -> CommandRoute:
    """How order/create is taken."""
    return CommandRoute(
        operation=operation("order.create"),
        problems=create.problems,
        key=lambda body: str(body["origin_order_number"]),
        as_read=order_as_read,
    )


def order_as_read(body: dict[str, Any]) -> dict[str, Any] | None:
    """A create's order with every documented member, its keys as they were given (K30, K41).

    None where a rule is broken so that it cannot be shaped; its result will say so.
    """
    nobody = Side.of(Tenant(_NOBODY, _NOBODY, _NOBODY), None)
    try:
        return translate(MasterData(), nobody, nobody, body).origin
    except (SkippedTime, TimeZoneNotFoundError):
        return None


async def get(request: Request) -> Response:
    """The flat document of one order, with the caller's own view in `order` (R089, K08).

    An order that is not there and one of another pair take the same way to the same 404.
    """
    hub = hub_of(request)
    credential = await admit(request, hub, operation("order.get").scope)
    headers = read_headers(request.scope)
    tenants = reading_tenants(credential, headers.tenant)
    raw = parse_body(await take_body(request, hub.patience))
    strict = headers.preferences.strict
    found = read(GET_ORDER, raw, strict=strict)
    errors: list[ErrorEntry] = [*headers.errors, *lookup.problems(found)]
    if errors:
        raise Problem(422, errors)
    asked = lookup.wanted(found.wellformed)
    ids = [tenant.id for tenant in tenants]
    async with hub.reading.of_tenants(ids) as connection:
        partner_id = None
        if headers.partner is not None:
            partner = (await directory.load(connection, [headers.partner])).find(headers.partner)
            partner_id = _NOBODY if partner is None else partner.id
        states = await orders.find(
            connection,
            ids,
            order_id=asked.order_id,
            number=asked.order_number,
            partner_id=partner_id,
        )
        state = lookup.decide(asked, states)
        if isinstance(state, Answer):
            return answer(state.http_status, state.body)
        parties = await directory.of_tenants(connection, [state.origin_id, state.destination_id])
    return answer(200, views.order_document(state, ids, parties))


async def timeline(request: Request) -> Response:
    """What the caller's commands did to an order, and what was sent to the caller because of it.

    An order that is not there and one of another pair take the same way to the same 404.
    """
    hub = hub_of(request)
    credential = await admit(request, hub, operation("order.timeline").scope)
    headers = read_headers(request.scope)
    tenants = reading_tenants(credential, headers.tenant)
    if headers.errors:
        raise Problem(422, headers.errors)
    # NUL is no text for the database, and no id has any.
    asked = lookup.Wanted(str(request.path_params["order_id"]).replace("\x00", ""), None)
    ids = [tenant.id for tenant in tenants]
    async with hub.reading.of_tenants(ids) as connection:
        state = lookup.decide(asked, await orders.find(connection, ids, order_id=asked.order_id))
        if isinstance(state, Answer):
            return answer(state.http_status, state.body)
        parties = await directory.of_tenants(connection, [state.origin_id, state.destination_id])
        create = (state.origin_id, state.command_id)
        lines = await history.of_order(connection, state.id, state.created_at, create)
    seen = history.seen_by(lines, ids, [tenant.slug for tenant in tenants])
    return answer(200, {"order_id": state.id, "items": [_item(line, parties) for line in seen]})


def _item(line: Line, parties: Directory) -> dict[str, Any]:
    """A line with tenants by name (K30)."""
    detail = line.detail
    if line.to is not None:
        receiver = parties.find(line.to)
        detail = {**detail, "to": line.to if receiver is None else receiver.name}
    by = None if line.tenant_id is None else parties.by_id.get(line.tenant_id)
    return {
        "at": iso_utc(line.at),
        "kind": line.kind,
        "by": None if by is None else by.name,
        "command_id": line.command_id,
        "detail": detail,
    }
