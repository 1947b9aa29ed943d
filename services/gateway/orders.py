"""order/create and order/get (R001, R086-R090, K08, K34)."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from whenever import SkippedTime, TimeZoneNotFoundError

from schemas.errors import ErrorEntry
from schemas.operations import operation
from schemas.orders import GET_ORDER
from schemas.reading import read
from services.domain import views
from services.domain.effects import Answer
from services.domain.mapping import Side
from services.domain.operations import create
from services.domain.operations import get as lookup
from services.domain.tenants import Tenant
from services.domain.translate import translate
from services.domain.world import MasterData
from services.gateway.bodies import parse_body, take_body
from services.gateway.caller import admit, reading_tenants
from services.gateway.commands import CommandRoute
from services.gateway.headers import read_headers
from services.gateway.hub import hub_of, reading
from services.gateway.problems import Problem, answer
from services.records import directory, orders

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
    raw = parse_body(await take_body(request))
    strict = headers.preferences.strict
    found = read(GET_ORDER, raw, strict=strict)
    errors: list[ErrorEntry] = [*headers.errors, *lookup.problems(found)]
    if errors:
        raise Problem(422, errors)
    asked = lookup.wanted(found.wellformed)
    ids = [tenant.id for tenant in tenants]
    async with reading(hub.reading) as connection:
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
