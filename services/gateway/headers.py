"""The request headers of the contract, read once: who asks, for whom, and how."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import Scope

from schemas.errors import ErrorEntry
from services.gateway.prefer import Preferences, parse
from services.gateway.problems import entry
from services.kit.cloudevents import MAX_HEADER_BYTES

TENANT = "x-tenant-name"
PARTNER = "x-dest-tenant-name"
SYSTEM = "x-origin-system-name"
INSTANCE = "x-origin-instance-name"
IDEMPOTENCY_KEY = "idempotency-key"
CORRELATION_ID = "x-correlation-id"

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class RequestHeaders:
    """What the headers say; an empty one counts as absent. `errors` are entries of a 422.

    `idempotency_key` becomes the command's id; None where the caller left it to the gateway, or
    gave one that cannot be used.
    """

    tenant: str | None
    partner: str | None
    system: str | None
    instance: str | None
    idempotency_key: str | None
    traceparent: str | None
    tracestate: str | None
    preferences: Preferences
    errors: tuple[ErrorEntry, ...]


def read_headers(scope: Scope) -> RequestHeaders:
    """The headers of a request; never raises for what they hold.

    Texts are UTF-8, as Kafka's are, so that a tenant may be named by a name that is not Latin-1. A
    header that no record could carry is an error of its own, for the record would be a dead letter.
    """
    raw = _first_values(scope)
    errors: list[ErrorEntry] = []
    texts = {
        name: _text(name, raw[name], errors)
        for name in (TENANT, PARTNER, SYSTEM, INSTANCE, IDEMPOTENCY_KEY)
        if name in raw
    }
    if texts.get(IDEMPOTENCY_KEY) == "":
        errors.append(entry(["header", IDEMPOTENCY_KEY], "The key is empty", "string_too_short"))
    traceparent = raw.get("traceparent", b"").decode("latin-1")
    traced = _TRACEPARENT.fullmatch(traceparent) is not None
    tracestate = raw.get("tracestate", b"")
    return RequestHeaders(
        tenant=texts.get(TENANT) or None,
        partner=texts.get(PARTNER) or None,
        system=texts.get(SYSTEM) or None,
        instance=texts.get(INSTANCE) or None,
        idempotency_key=None if _is_at_fault(errors) else texts.get(IDEMPOTENCY_KEY),
        traceparent=traceparent if traced else None,
        tracestate=tracestate.decode() if traced and _plain(tracestate) else None,
        preferences=parse(
            [value.decode("latin-1") for name, value in scope["headers"] if name == b"prefer"]
        ),
        errors=tuple(errors),
    )


def correlation_id(scope: Scope) -> str:
    """The caller's correlation id where a record and an answer can carry it, else a new one."""
    given = _first_values(scope).get(CORRELATION_ID, b"").strip()
    return given.decode() if _plain(given) else str(uuid.uuid4())


def _is_at_fault(errors: Sequence[ErrorEntry]) -> bool:
    return any(error["loc"] == ["header", IDEMPOTENCY_KEY] for error in errors)


def _first_values(scope: Scope) -> dict[str, bytes]:
    pairs: Sequence[tuple[bytes, bytes]] = scope["headers"]
    return {name.decode("latin-1"): value for name, value in reversed(pairs)}


def _plain(value: bytes) -> bool:
    return 0 < len(value) <= MAX_HEADER_BYTES and all(0x20 <= byte < 0x7F for byte in value)


def _text(name: str, value: bytes, errors: list[ErrorEntry]) -> str:
    if len(value) > MAX_HEADER_BYTES:
        message = f"The header is longer than {MAX_HEADER_BYTES} bytes"
        errors.append(entry(["header", name], message, "string_too_long"))
        return "-"
    try:
        text = value.decode().strip()
    except UnicodeDecodeError:
        errors.append(entry(["header", name], "The header is not UTF-8", "string_unicode"))
        return "-"
    if "\x00" in text:
        errors.append(entry(["header", name], "The header holds NUL", "string_unicode"))
    return text
