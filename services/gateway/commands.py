"""A command over HTTP: read, refused at the edge or produced, and answered when it may be (X11)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from schemas.codes import Code
from schemas.errors import ErrorEntry
from schemas.extra_data import altered_numbers
from schemas.operations import Operation
from schemas.reading import Reading, in_document_order, read
from services.domain import mapping_ids, refusals
from services.domain.addressing import between
from services.domain.command import Command
from services.domain.entries import ORIGIN_INSTANCE, ORIGIN_SYSTEM, ignored
from services.domain.tenants import Directory, Tenant
from services.gateway.bodies import parse_body, take_body
from services.gateway.caller import acting_tenant, admit
from services.gateway.edge import name_command
from services.gateway.headers import TENANT, RequestHeaders, read_headers
from services.gateway.hub import Hub, hub_of, reading
from services.gateway.problems import Problem, answer, entry
from services.gateway.sending import OutgoingCommand
from services.records import directory, master_data
from services.records.answers import TellableAnswer, Wanted
from services.records.credentials import Credential, CredentialTenant

REUSED = refusals.text(Code.IDEMPOTENCY_KEY_REUSED)
PENDING = "The order was accepted and is being processed."
TENANT_NEEDED = "The credential acts for several tenants: name one of them"


def _nothing(_: dict[str, Any]) -> dict[str, Any] | None:
    return None


@dataclass(frozen=True, slots=True)
class CommandRoute:
    """How one operation is taken over HTTP.

    `problems` are the operation's rules that need no world, with the reading's and the headers'
    errors; `key` is the record's key. Of an answer that is `pending`, `pending` is the message and
    `as_read` shapes the request for its `order` (K41).
    """

    operation: Operation
    problems: Callable[[Command], Sequence[ErrorEntry]]
    key: Callable[[dict[str, Any]], str]
    as_read: Callable[[dict[str, Any]], dict[str, Any] | None] = _nothing
    pending: str = PENDING


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a request besides its body; `tenant` is None where one must be named.

    `command_id` is the caller's key, or the gateway's own where it gave none.
    """

    hub: Hub
    route: CommandRoute
    credential: Credential
    tenant: CredentialTenant | None
    headers: RequestHeaders
    correlation_id: str
    command_id: str


async def take(request: Request, route: CommandRoute) -> Response:
    """Answer one command: its first result, waiting or final, or `pending` when none came in time.

    Raises Problem for what ends a request before it is a command, and BrokerAway.
    """
    asked = await asked_by(request, route)
    body = await take_body(request, asked.hub.patience)
    with asked.hub.room.taken(len(body)):
        return await answered(asked, await command_of(asked, body))


async def asked_by(request: Request, route: CommandRoute) -> Asked:
    """Who asks, and how. Raises Problem for who may not."""
    hub = hub_of(request)
    credential = await admit(request, hub, route.operation.scope)
    headers = read_headers(request.scope)
    command_id = name_command(request, headers.idempotency_key)
    tenant = acting_tenant(credential, headers.tenant)
    correlation_id = request.state.correlation_id
    return Asked(hub, route, credential, tenant, headers, correlation_id, command_id)


async def answered(asked: Asked, command: OutgoingCommand) -> Response:
    """Produce a command and answer it."""
    hub = asked.hub
    await hub.sender.send([command])
    seconds = asked.headers.preferences.wait
    found = None
    if seconds > 0 or asked.headers.idempotency_key is not None:
        found = await hub.board.wait(wanted_of(command), seconds)
    return _pending(asked.route, command) if found is None else told(found)


def wanted_of(command: OutgoingCommand) -> Wanted:
    """What the board waits on for this command."""
    return Wanted(command.tenant_id, command.id, command.fingerprint)


def told(found: TellableAnswer) -> Response:
    """The answer of a result, byte for byte; 422 where the id belongs to another command (K32)."""
    if not found.fits:
        refusal = refusals.refused(Code.IDEMPOTENCY_KEY_REUSED, REUSED)
        return answer(refusal.http_status, refusal.body)
    return answer(found.http_status, found.body)


async def command_of(
    asked: Asked, body: bytes, further: Sequence[ErrorEntry] = ()
) -> OutgoingCommand:
    """The command to produce, with `body` as its value.

    Raises Problem 422 with all that is wrong at once (K28), `further` among it: what was found out
    about a request whose body is not this value.
    """
    headers, tenant, operation = asked.headers, asked.tenant, asked.route.operation
    raw = parse_body(body)
    found = read(
        document_of(operation),
        raw,
        strict=headers.preferences.strict,
        further=altered_numbers(body),
    )
    wrong = headers.errors or found.errors or further
    if tenant is None or headers.partner is None or wrong:
        raise Problem(422, await _errors(asked, raw, found, further))
    return OutgoingCommand(
        topic=str(operation.base),
        type=str(operation.type),
        key=asked.route.key(found.wellformed),
        value=body,
        id=asked.command_id,
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


async def _errors(
    asked: Asked, raw: Any, found: Reading, further: Iterable[ErrorEntry]
) -> list[ErrorEntry]:
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
    unknown = () if tenant is None else await _unknown_mappings(asked.hub, command, known)
    errors = [*headers.errors, *asked.route.problems(command), *unknown, *further]
    if tenant is None:
        # Whose systems are meant is not known yet.
        errors = [each for each in errors if not _of_callers_system(each)]
        errors.insert(0, entry(["header", TENANT], TENANT_NEEDED, "missing"))
    return in_document_order(raw, errors)


async def _unknown_mappings(hub: Hub, command: Command, known: Directory) -> list[ErrorEntry]:
    """Mapping ids that are none of the caller's (K03); without a pair nothing is said of them."""
    named = [each.mapping_id for each in mapping_ids.named(command.body)]
    partner = command.partner
    if not named or partner is None or not between(known, command.caller, partner):
        return []
    async with hub.reading.of_tenants([command.caller.id]) as connection:
        entities = await master_data.entities(connection, command.caller.id, named)
    return list(mapping_ids.unknown(command.body, entities.get))


def _of_callers_system(error: ErrorEntry) -> bool:
    return error["loc"] in (["header", ORIGIN_SYSTEM], ["header", ORIGIN_INSTANCE])


def document_of(operation: Operation) -> Any:
    """The document of an operation that has one."""
    if operation.document is None:
        raise TypeError(f"{operation.name} has no document")
    return operation.document


def _pending(route: CommandRoute, command: OutgoingCommand) -> Response:
    # Read a second time: what waits keeps the bytes and not the parsed document.
    found = read(document_of(route.operation), parse_body(command.value))
    unknown = ignored(found)
    message = route.pending if unknown is None else f"{route.pending} {unknown}"
    members: dict[str, Any] = dict.fromkeys(route.operation.adds)
    if "order" in members:
        members["order"] = route.as_read(found.wellformed)
    return answer(200, {"status": "pending", "message": message, "log": None, **members})
