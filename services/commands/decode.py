"""One record among many: a command that reads, or a dead letter (protocol §2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas import topics
from schemas.errors import ErrorEntry, Fault, unreadable
from schemas.extra_data import altered_numbers
from schemas.operations import Operation, operation_of_type
from schemas.reading import Reading, read
from services.domain.command import Command
from services.domain.tenants import Directory, Tenant
from services.kit.cloudevents import (
    Envelope,
    Record,
    Unreadable,
    UnreadableReason,
    read_envelope,
)
from services.kit.ids import fingerprint, order_style_id
from services.kit.jsonlimits import parse


@dataclass(slots=True)
class Arrival:
    """A record that reads: its headers, its operation, its body with whatever is wrong in it."""

    record: Record
    envelope: Envelope
    operation: Operation
    origin_name: str
    raw: Any
    reading: Reading
    fingerprint: bytes

    @property
    def command_id(self) -> str:
        """The idempotency key within its tenant."""
        return self.envelope.id


@dataclass(frozen=True, slots=True)
class Dead:
    """A record that cannot be read, with what is legible of it all the same."""

    record: Record
    reason: UnreadableReason
    detail: str
    command_id: str | None = None
    origin_name: str | None = None
    correlation_id: str | None = None
    operation: str | None = None
    faults: Sequence[Fault] = ()

    @property
    def entries(self) -> list[ErrorEntry]:
        """What is wrong as HTTP lists it; without `faults` in the value it is the headers."""
        return unreadable(self.reason, self.faults or [(("header",), self.detail)])


def decode(record: Record) -> Arrival | Dead:
    """Read one record; never raises for what it holds."""
    operation = _operation_name(record)
    try:
        envelope = read_envelope(record)
    except Unreadable as error:
        return _dead(record, error, operation)
    try:
        found = _operation(record, envelope)
        origin = _origin(record, envelope)
    except Unreadable as error:
        return _dead(record, error, operation, envelope)
    try:
        body = parse(record.value)
    except Unreadable as error:
        return _dead(record, error, operation, envelope, error.in_body)
    if found.document is None:
        raise AssertionError(f"{found.name} is no command the hub takes")
    return Arrival(
        record,
        envelope,
        found,
        origin,
        body,
        read(
            found.document,
            body,
            strict=envelope.handling == "strict",
            further=altered_numbers(record.value or b""),
        ),
        command_fingerprint(record.value or b"", envelope),
    )


def command_fingerprint(value: bytes, envelope: Envelope) -> bytes:
    """What makes two commands of one id the same: value, type, other tenant, system, instance."""
    return fingerprint(
        value,
        envelope.type,
        envelope.dest_tenant,
        envelope.origin_system,
        envelope.origin_instance,
    )


def command_of(arrival: Arrival, directory: Directory) -> Command | Dead:
    """The command with its parties.

    A dead letter where its caller is no tenant, or is not who the topic proves it to be.
    """
    envelope = arrival.envelope
    caller = directory.find(arrival.origin_name)
    if caller is None:
        return _disowned(arrival, "unknown-tenant", "The origin tenant of this record is unknown.")
    if envelope.origin_tenant and directory.find(envelope.origin_tenant) != caller:
        return _disowned(
            arrival,
            "tenant-mismatch",
            "The header ce_origintenant names another tenant than the topic.",
        )
    partner = None if envelope.dest_tenant is None else directory.find(envelope.dest_tenant)
    return command_between(arrival, caller, partner)


def command_between(arrival: Arrival, caller: Tenant, partner: Tenant | None) -> Command:
    """The command of these parties."""
    envelope = arrival.envelope
    return Command(
        operation=arrival.operation.name,
        id=envelope.id,
        caller=caller,
        partner_name=envelope.dest_tenant,
        partner=partner,
        system_name=envelope.origin_system,
        instance_name=envelope.origin_instance,
        strict=envelope.handling == "strict",
        correlation_id=envelope.correlation_id or envelope.id,
        raw=arrival.raw,
        reading=arrival.reading,
        accepted_at=accepted_at(arrival.record),
        derive=_Derive(arrival.record.timestamp_ms, caller.id, envelope.id),
        traceparent=envelope.traceparent,
        tracestate=envelope.tracestate,
    )


def _disowned(arrival: Arrival, reason: UnreadableReason, detail: str) -> Dead:
    return Dead(
        arrival.record,
        reason,
        detail,
        arrival.envelope.id,
        arrival.origin_name,
        arrival.envelope.correlation_id,
        arrival.operation.name,
    )


def accepted_at(record: Record) -> datetime:
    """When the broker took the record in, as an aware UTC time."""
    return datetime.fromtimestamp(max(record.timestamp_ms, 0) / 1000, tz=UTC)


class _Derive:
    """Ids of one command; the order's own is that of (tenant, command id) alone."""

    __slots__ = ("_command_id", "_order_id", "_tenant_id", "_timestamp_ms")

    def __init__(self, timestamp_ms: int, tenant_id: str, command_id: str) -> None:
        self._timestamp_ms = timestamp_ms
        self._tenant_id = tenant_id
        self._command_id = command_id
        self._order_id = order_style_id(timestamp_ms, tenant_id, command_id)

    def __call__(self, *parts: str | int) -> str:
        if parts == ("order",):
            return self._order_id
        return order_style_id(self._timestamp_ms, self._tenant_id, self._command_id, *parts)


def _operation(record: Record, envelope: Envelope) -> Operation:
    operation = operation_of_type(envelope.type)
    if operation is None or operation.document is None:
        raise Unreadable("unknown-type", "The hub takes no command of this ce_type.")
    split = topics.split_topic(record.source.topic)
    if split is None or split[0] != operation.base:
        raise Unreadable("wrong-topic", f"This ce_type belongs on {operation.base}.")
    return operation


def _origin(record: Record, envelope: Envelope) -> str:
    """The caller's name: the topic's suffix proves it, else the header says it."""
    split = topics.split_topic(record.source.topic)
    origin = envelope.origin_tenant if split is None or split[1] is None else split[1]
    if not origin:
        raise Unreadable("headers", "The header ce_origintenant is missing.")
    return origin


def _legible_origin(record: Record, header: str | None) -> str | None:
    """Whose results topic hears of it: on a tenant's own topic the tenant's, whatever is said."""
    split = topics.split_topic(record.source.topic)
    return split[1] if split is not None and split[1] is not None else header


def _operation_name(record: Record) -> str | None:
    for name, value in record.headers:
        if name == "ce_type" and value is not None:
            found = operation_of_type(value.decode("utf-8", "replace"))
            return None if found is None else found.name
    return None


def _dead(
    record: Record,
    error: Unreadable,
    operation: str | None,
    envelope: Envelope | None = None,
    faults: Sequence[Fault] = (),
) -> Dead:
    legible = error.origin_tenant if envelope is None else envelope.origin_tenant
    return Dead(
        record,
        error.reason,
        error.detail,
        error.envelope_id if envelope is None else envelope.id,
        _legible_origin(record, legible),
        error.correlation_id if envelope is None else envelope.correlation_id,
        operation,
        faults,
    )
