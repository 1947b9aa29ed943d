"""order/update and order/change/*: changes between the two companies of an order (X01-X04)."""

from collections.abc import Iterator
from collections.abc import Mapping as Members
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from schemas.changes import ALL_CHANGES
from schemas.errors import ErrorEntry
from schemas.operations import operation
from schemas.reading import Reading, in_document_order, read
from services.domain import proposals
from services.domain.entries import entry, ignored
from services.domain.operations.table import TABLE
from services.gateway.bodies import parse_body, take_body
from services.gateway.caller import admit, reading_tenants
from services.gateway.commands import CommandRoute
from services.gateway.headers import read_headers
from services.gateway.hub import hub_of
from services.gateway.problems import Problem, answer
from services.gateway.progress import PROCESSING
from services.records import changes, directory
from services.records.changes import ChangeFilter

MOST = 3000
NOT_ALL = "There are more than these: narrow the filters, by `between` for example."
# No tenant has it: a partner nobody knows is looked for like any other (guarantee 6).
_NOBODY = "-"
_FILTERS = ("status", "order_numbers", "change_types", "as_of", "updated_as_of", "between")
_TIMES = ("as_of", "updated_as_of", "between")
_KEYS = ("origin_order_number", "destination_order_number", "order_id")


def change_named(body: dict[str, Any]) -> str:
    """The record's key: what the order or the change is called by."""
    asked = body.get("order") or {}
    return next((str(asked[member]) for member in _KEYS if asked.get(member)), body.get("id") or "")


def settling_route(name: str) -> CommandRoute:
    """How accepting and rejecting a change is taken."""
    return CommandRoute(
        operation=operation(name),
        problems=TABLE[name].problems,
        key=change_named,
        pending=PROCESSING,
    )


async def all_changes(request: Request) -> Response:
    """The changes of the caller's orders that fit, the newest first, at most 3,000 (X02).

    Nobody sees one of a pair it does not belong to. The message says where there are more.
    """
    hub = hub_of(request)
    credential = await admit(request, hub, operation("change.all").scope)
    headers = read_headers(request.scope)
    tenants = reading_tenants(credential, headers.tenant)
    raw = parse_body(await take_body(request, hub.patience))
    found = read(ALL_CHANGES, raw, strict=headers.preferences.strict)
    errors = [*headers.errors, *found.errors, *problems(found)]
    if errors:
        raise Problem(422, in_document_order(raw, errors))
    ids = [tenant.id for tenant in tenants]
    async with hub.reading.of_tenants(ids) as connection:
        partner_id = None
        if headers.partner is not None:
            partner = (await directory.load(connection, [headers.partner])).find(headers.partner)
            partner_id = _NOBODY if partner is None else partner.id
        wanted = filter_of(found.wellformed, partner_id)
        listed = await changes.find(connection, ids, wanted, MOST)
        parties = {
            side
            for each in listed.changes
            for side in (each.change.origin_id, each.change.destination_id)
        }
        known = await directory.of_tenants(connection, parties)
    shown = [
        proposals.document(
            each.change,
            each.change.origin_id if each.change.origin_id in ids else each.change.destination_id,
            known,
            origin_number=each.origin_number,
            destination_number=each.destination_number,
        )
        for each in listed.changes
    ]
    message = " ".join(filter(None, (None if listed.complete else NOT_ALL, ignored(found))))
    body = {"status": "synced", "message": message or None, "log": None, "changes": shown}
    return answer(200, body)


def problems(found: Reading) -> list[ErrorEntry]:
    """That no filter is given, that times exclude each other, that one ends before it begins."""
    return list(_problems(found))


def _problems(found: Reading) -> Iterator[ErrorEntry]:
    body = found.wellformed
    given = [name for name in _FILTERS if body.get(name) or found.spoiled(name)]
    if not given and not found.errors:
        yield entry((), f"Give at least one of {', '.join(_FILTERS)}", "filter_required")
    times = [name for name in _TIMES if name in given]
    for name in times[1:]:
        yield entry((name,), f"It cannot be given beside {times[0]}", "filters_exclude")
    between = body.get("between") or {}
    if between.get("start") and between.get("end"):
        start, end = _moment(between["start"]), _moment(between["end"])
        if end <= start:
            yield entry(("between", "end"), "The end must be after the start", "window_order")


def filter_of(body: Members[str, Any], partner_id: str | None) -> ChangeFilter:
    """What a body without errors asks for; times without an offset are UTC."""
    between = body.get("between") or {}
    since = body.get("as_of") or body.get("updated_as_of") or between.get("start")
    until = between.get("end")
    return ChangeFilter(
        status=body.get("status"),
        numbers=tuple(body.get("order_numbers") or ()),
        types=tuple(body.get("change_types") or ()),
        since=None if since is None else _moment(since),
        until=None if until is None else _moment(until),
        moved=bool(body.get("updated_as_of")),
        partner_id=partner_id,
    )


def _moment(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value
