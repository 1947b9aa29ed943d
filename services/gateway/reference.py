"""Reference data over HTTP: batches of upserts, each item a command of its own (X10)."""

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from schemas.codes import Code
from schemas.dump import to_json
from schemas.operations import operation
from schemas.reading import read
from schemas.reference import REFERENCE_BATCH
from services.domain.reference import KEY_MEMBERS
from services.domain.tenants import OPERATORS
from services.gateway.bodies import parse_body, take_body
from services.gateway.caller import acting_tenant, admit
from services.gateway.commands import REUSED, TENANT_NEEDED, wanted_of
from services.gateway.edge import name_command
from services.gateway.headers import TENANT, RequestHeaders, read_headers
from services.gateway.hub import hub_of
from services.gateway.problems import Problem, answer, entry, scope_missing
from services.gateway.sending import OutgoingCommand
from services.records import reference_lists
from services.records.answers import TellableAnswer
from services.records.credentials import Credential, CredentialTenant
from services.records.reference_lists import ListRequestInvalid

OPERATORS_ONLY = "Only an operator's credential may write this reference data."
OPERATIONS_WRITE = "operations:write"
NOT_YET = "Accepted and not applied yet."


@dataclass(frozen=True, slots=True)
class ReferenceRoute:
    """One kind of reference data: `name` is the path's last part, `upsert` the operation's name.

    `filters` are the members its list can be filtered by, `example` names a golden item.
    """

    name: str
    upsert: str
    filters: tuple[str, ...]
    example: str

    @property
    def operators_only(self) -> bool:
        """Whether tenants may not write it at all."""
        return operation(self.upsert).scope == OPERATIONS_WRITE


ROUTES = (
    ReferenceRoute(
        "tenants",
        "reference.upsert-tenant",
        ("id", "slug", "name", "active", "partitions"),
        "every-member",
    ),
    ReferenceRoute(
        "pairs",
        "reference.upsert-pair",
        ("id", "origin", "destination", "acceptance"),
        "every-member",
    ),
    ReferenceRoute(
        "records",
        "reference.upsert-record",
        ("goid", "entity", "name", "active"),
        "site-with-tanks",
    ),
    ReferenceRoute(
        "mappings",
        "reference.upsert-mapping",
        ("id", "tenant", "system", "entity", "source_id", "source_name", "goid", "primary"),
        "site-with-tanks",
    ),
)


async def upsert(request: Request, route: ReferenceRoute) -> Response:
    """Produce every item as a command and answer them in their order.

    The items' command ids are the `Idempotency-Key`, which every answer names, a slash and the
    item's index. An item that has no answer when the wait is over is told as waiting.
    """
    hub = hub_of(request)
    scope = operation(route.upsert).scope
    credential = await admit(request, hub, scope, OPERATIONS_WRITE)
    if not credential.operator and scope not in credential.scopes:
        raise scope_missing(scope)
    headers = read_headers(request.scope)
    key = name_command(request, headers.idempotency_key)
    origin = _origin(credential, route, headers)
    body = await take_body(request, hub.patience)
    with hub.room.taken(len(body)):
        items = _items(body, headers)
        batch = _Batch(route, origin, headers, key, request.state.correlation_id)
        commands = [batch.command(item, index) for index, item in enumerate(items)]
        if commands:
            await hub.sender.send(commands)
        seconds = headers.preferences.wait
        found = await asyncio.gather(
            *(hub.board.wait(wanted_of(command), seconds) for command in commands)
        )
    answered = [_item(route, item, one) for item, one in zip(items, found, strict=True)]
    return answer(200, {"items": answered})


async def listed(request: Request, route: ReferenceRoute) -> Response:
    """One page of a list. A tenant's credential sees what concerns its tenants."""
    hub = hub_of(request)
    credential = await admit(request, hub, "reference:read")
    if not credential.operator and not credential.tenants:
        raise Problem(403, "The credential acts for no tenant.")
    filters = dict(request.query_params)
    cursor = filters.pop("cursor", None)
    limit = filters.pop("limit", None)
    viewer = None if credential.operator else [tenant.id for tenant in credential.tenants]
    seen = hub.reading.of_operator() if viewer is None else hub.reading.of_tenants(viewer)
    try:
        async with seen as connection:
            page = await reference_lists.page(
                connection,
                route.name,
                filters=filters,
                limit=_limit(limit),
                cursor=cursor,
                viewer=viewer,
            )
    except ListRequestInvalid as error:
        where = entry(["query", error.member], str(error), "value_error")
        raise Problem(422, [where]) from None
    return answer(200, page)


def _limit(text: str | None) -> int:
    if text is None:
        return reference_lists.LIMIT
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise ListRequestInvalid("limit", "is a whole number")
    return int(text)


def _origin(
    credential: Credential, route: ReferenceRoute, headers: RequestHeaders
) -> CredentialTenant:
    """Who the commands come from. Raises Problem 403, or 422 where a tenant must be named."""
    if credential.operator:
        return CredentialTenant(OPERATORS.id, OPERATORS.slug, OPERATORS.name)
    if route.operators_only:
        raise Problem(403, OPERATORS_ONLY, code=Code.NOT_ALLOWED)
    tenant = acting_tenant(credential, headers.tenant)
    if tenant is None:
        raise Problem(422, [entry(["header", TENANT], TENANT_NEEDED, "missing")])
    return tenant


def _items(body: bytes, headers: RequestHeaders) -> list[dict[str, Any]]:
    found = read(REFERENCE_BATCH, parse_body(body), strict=headers.preferences.strict)
    errors = [*headers.errors, *found.errors]
    if errors or found.value is None:
        raise Problem(422, errors)
    items: list[dict[str, Any]] = found.value["items"]
    return items


@dataclass(frozen=True, slots=True)
class _Batch:
    """What the items of one request have in common."""

    route: ReferenceRoute
    origin: CredentialTenant
    headers: RequestHeaders
    key: str
    correlation_id: str

    def command(self, item: dict[str, Any], index: int) -> OutgoingCommand:
        """The command of one item."""
        upserted = operation(self.route.upsert)
        return OutgoingCommand(
            topic=str(upserted.base),
            type=str(upserted.type),
            key=_label(self.route, item),
            value=to_json(item),
            id=f"{self.key}/{index}",
            origin=self.origin.slug,
            tenant_id=self.origin.id,
            partner=None,
            system=None,
            instance=None,
            strict=self.headers.preferences.strict,
            correlation_id=self.correlation_id,
            traceparent=self.headers.traceparent,
            tracestate=self.headers.tracestate,
        )


def _item(
    route: ReferenceRoute, item: dict[str, Any], found: TellableAnswer | None
) -> dict[str, Any]:
    label = _label(route, item)
    if found is None:
        return {"id": label, "outcome": "waiting", "detail": NOT_YET}
    if not found.fits:
        return {"id": label, "outcome": "refused", "detail": REUSED}
    body: dict[str, Any] = orjson.loads(found.body)
    if "outcome" in body:
        return body
    return {"id": label, "outcome": found.outcome, "detail": body.get("detail")}


def _label(route: ReferenceRoute, item: dict[str, Any]) -> str:
    """What an item is called before it has an id: its key, as far as it can be read."""
    parts = (item.get(member) for member in KEY_MEMBERS[route.upsert])
    return "/".join(part if isinstance(part, str) else "" for part in parts)
