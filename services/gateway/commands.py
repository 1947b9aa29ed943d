"""A command over HTTP: read, refused at the edge or produced, and answered when it may be (X11)."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from schemas.codes import Code
from schemas.errors import ErrorEntry
from schemas.operations import Operation
from schemas.reading import Reading, in_document_order, read
from services.domain import refusals
from services.domain.command import Command
from services.domain.entries import ORIGIN_INSTANCE, ORIGIN_SYSTEM, ignored
from services.domain.tenants import Tenant
from services.gateway.bodies import parse_body, take_body
from services.gateway.caller import acting_tenant, admit
from services.gateway.headers import IDEMPOTENCY_KEY, TENANT, RequestHeaders, read_headers
from services.gateway.hub import Hub, hub_of, reading
from services.gateway.problems import Problem, answer, entry
from services.gateway.sending import OutgoingCommand
from services.records import directory
from services.records.answers import TellableAnswer, Wanted
from services.records.credentials import Credential, CredentialTenant

REUSED = refusals.text(Code.IDEMPOTENCY_KEY_REUSED)
PENDING = "The order was accepted and is being processed."
TENANT_NEEDED = "The credential acts for several tenants: name one of them"


@dataclass(frozen=True, slots=True)
class CommandRoute:
    """How one operation is taken over HTTP.

    `problems` are the operation's rules that need no world, with the reading's and the headers'
    errors; `key` is the record's key; `as_read` shapes the request for a `pending` answer (K41).
    """

    operation: Operation
    problems: Callable[[Command], Sequence[ErrorEntry]]
    key: Callable[[dict[str, Any]], str]
    as_read: Callable[[dict[str, Any]], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is known of a request besides its body; `tenant` is None where one must be named."""

    hub: Hub
    route: CommandRoute
    credential: Credential
    tenant: CredentialTenant | None
    headers: RequestHeaders
    correlation_id: str


async def take(request: Request, route: CommandRoute) -> Response:
    """Answer one command: its first result, waiting or final, or `pending` when none came in time.

    Raises Problem for what ends a request before it is a command, and BrokerAway.
    """
    hub = hub_of(request)
    credential = await admit(request, hub, route.operation.scope)
    headers = read_headers(request.scope)
    tenant = acting_tenant(credential, headers.tenant)
    asked = _Asked(hub, route, credential, tenant, headers, request.state.correlation_id)
    body = await take_body(request)
    with hub.room.taken(len(body)):
        command = await _read(asked, body)
        await hub.sender.send([command])
        found = await hub.board.wait(wanted_of(command), headers.preferences.wait)
        response = _pending(route, command) if found is None else told(found)
    # A caller that gave no key can send the same command again with the one it was given.
    response.headers[IDEMPOTENCY_KEY] = command.id
    return response


def wanted_of(command: OutgoingCommand) -> Wanted:
    """What the board waits on for this command."""
    return Wanted(command.tenant_id, command.id, command.fingerprint)


def told(found: TellableAnswer) -> Response:
    """The answer of a result, byte for byte; 422 where the id belongs to another command (K32)."""
    if not found.fits:
        refusal = refusals.refused(Code.IDEMPOTENCY_KEY_REUSED, REUSED)
        return answer(refusal.http_status, refusal.body)
    return answer(found.http_status, found.body)


async def _read(asked: _Asked, body: bytes) -> OutgoingCommand:
    """The command to produce. Raises Problem 422 with all that is wrong at once (K28)."""
    headers, tenant, operation = asked.headers, asked.tenant, asked.route.operation
    raw = parse_body(body)
    found = read(_document(operation), raw, strict=headers.preferences.strict)
    if tenant is None or headers.errors or headers.partner is None or found.errors:
        raise Problem(422, await _errors(asked, raw, found))
    return OutgoingCommand(
        topic=str(operation.base),
        type=str(operation.type),
        key=asked.route.key(found.wellformed),
        value=body,
        id=headers.idempotency_key or str(uuid.uuid4()),
        origin=tenant.slug,
        tenant_id=tenant.id,
        partner=headers.partner,
        system=headers.system,
        instance=headers.instance,
        strict=headers.preferences.strict,
        correlation_id=asked.correlation_id,
        traceparent=headers.traceparent,
        tracestate=headers.tracestate,
    )


async def _errors(asked: _Asked, raw: Any, found: Reading) -> list[ErrorEntry]:
    """Every error of a request that is refused here, those of the rules with them."""
    headers, tenant = asked.headers, asked.tenant
    caller = tenant or asked.credential.tenants[0]
    names = [name for name in (caller.slug, headers.partner) if name is not None]
    async with reading(asked.hub.pool) as connection:
        known = await directory.load(connection, names)
    command = Command(
        operation=asked.route.operation.name,
        id="",
        caller=known.find(caller.slug) or Tenant(caller.id, caller.slug, caller.name),
        partner_name=headers.partner,
        partner=None if headers.partner is None else known.find(headers.partner),
        system_name=headers.system,
        instance_name=headers.instance,
        strict=headers.preferences.strict,
        correlation_id=asked.correlation_id,
        reading=found,
        accepted_at=datetime.now(UTC),
        derive=lambda *_: "",
        raw=raw,
    )
    errors = [*headers.errors, *asked.route.problems(command)]
    if tenant is None:
        # Whose systems are meant is not known yet.
        errors = [each for each in errors if not _of_callers_system(each)]
        errors.insert(0, entry(["header", TENANT], TENANT_NEEDED, "missing"))
    return in_document_order(raw, errors)


def _of_callers_system(error: ErrorEntry) -> bool:
    return error["loc"] in (["header", ORIGIN_SYSTEM], ["header", ORIGIN_INSTANCE])


def _document(operation: Operation) -> Any:
    if operation.document is None:
        raise TypeError(f"{operation.name} has no document")
    return operation.document


def _pending(route: CommandRoute, command: OutgoingCommand) -> Response:
    # Read a second time: what waits keeps the bytes and not the parsed document.
    found = read(_document(route.operation), parse_body(command.value))
    unknown = ignored(found)
    message = PENDING if unknown is None else f"{PENDING} {unknown}"
    members: dict[str, Any] = dict.fromkeys(route.operation.adds)
    if "order" in members:
        members["order"] = route.as_read(found.wellformed)
    return answer(200, {"status": "pending", "message": message, "log": None, **members})
