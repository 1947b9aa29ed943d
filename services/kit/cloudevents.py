"""CloudEvents 1.0 on Kafka in binary mode: the header codec, and the headers of a dead letter.

Written by hand because the SDK needs twenty times as long a record; a contract test lets the SDK
read what this writes, and the reverse. Header names are compared as they stand (lower case); of a
repeated header the last one counts; headers that are not ours are not looked at.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Literal

from services.kit.errors import CrossroadsError

Headers = Sequence[tuple[str, bytes | None]]

UnreadableReason = Literal[
    "not-json",
    "not-utf8",
    "characters",
    "numbers",
    "depth",
    "too-large",
    "headers",
    "unknown-type",
    "wrong-topic",
    "tenant-mismatch",
    "unknown-tenant",
    "unforeseen",
]

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"

# Bytes. An id must fit an index entry of PostgreSQL, which ends at 2,704.
MAX_HEADER_BYTES = 2048
MAX_DETAIL_CHARACTERS = 1000
# Bytes. The dead-letter topic takes 8 MiB; the rest is for what the broker's batch adds.
MAX_DEAD_LETTER_VALUE = 7 * 1024 * 1024
_MAX_DEAD_LETTER = 8 * 1024 * 1024 - 64 * 1024
_LAST_MOMENT_MS = 253_402_300_799_999


class Unreadable(CrossroadsError):
    """A record that cannot be read: a dead letter, never a refusal.

    `reason` is the word of `x-dead-letter-reason`, `detail` one sentence without the record's
    values. `envelope_id`, `origin_tenant` and `correlation_id` are what could be read of the
    headers all the same. `path` is the field at fault within the value, as `loc` wants it (K28);
    `further` are other fields with the same fault, each with a sentence of its own.
    """

    def __init__(
        self,
        reason: UnreadableReason,
        detail: str,
        envelope_id: str | None = None,
        origin_tenant: str | None = None,
        correlation_id: str | None = None,
        *,
        path: tuple[str | int, ...] = (),
        further: Sequence[tuple[tuple[str | int, ...], str]] = (),
    ) -> None:
        self.reason: UnreadableReason = reason
        self.detail = detail
        self.envelope_id = envelope_id
        self.origin_tenant = origin_tenant
        self.correlation_id = correlation_id
        self.path = path
        self.further = tuple(further)
        super().__init__(f"{reason}: {detail}")

    @property
    def in_body(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Where in the body and what, of every field at fault."""
        return [
            (("body", *path), detail) for path, detail in ((self.path, self.detail), *self.further)
        ]


@dataclass(slots=True)
class Source:
    """Where a record came from; the cluster's id changes when the broker is replaced."""

    cluster_id: str
    topic: str
    partition: int
    offset: int


@dataclass(slots=True)
class Record:
    """One consumed record as it came; `timestamp_ms` is the broker's, in ms since 1970."""

    source: Source
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp_ms: int


@dataclass(slots=True)
class Envelope:
    """The headers of one record, decoded. `time` is RFC 3339 text, `sequence` digits.

    Of a record that was read, `correlation_id` is never None: without a legible one it is the id.
    """

    id: str
    source: str
    type: str
    time: str | None = None
    subject: str | None = None
    origin_tenant: str | None = None
    dest_tenant: str | None = None
    origin_system: str | None = None
    origin_instance: str | None = None
    handling: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    sequence: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    content_type: str | None = None


_FIELD_OF_HEADER = {
    "ce_id": "id",
    "ce_source": "source",
    "ce_type": "type",
    "ce_time": "time",
    "ce_subject": "subject",
    "ce_origintenant": "origin_tenant",
    "ce_desttenant": "dest_tenant",
    "ce_originsystem": "origin_system",
    "ce_origininstance": "origin_instance",
    "ce_handling": "handling",
    "ce_correlationid": "correlation_id",
    "ce_causationid": "causation_id",
    "ce_sequence": "sequence",
    "traceparent": "traceparent",
    "tracestate": "tracestate",
    "content-type": "content_type",
}
_HEADER_OF_FIELD = {field: header for header, field in _FIELD_OF_HEADER.items()}
_FIELDS_OF = attrgetter(*_HEADER_OF_FIELD)
_READ = {"ce_specversion": "specversion", **_FIELD_OF_HEADER}
_REQUIRED = ("specversion", "id", "source", "type")
# A tracing library's mistake, or an illegible correlation id, must not cost anybody an order.
_FORGIVEN = frozenset({"correlation_id", "traceparent", "tracestate", "content_type"})


def read_envelope(record: Record) -> Envelope:
    """The record's headers, decoded.

    Raises Unreadable: `headers` when one of ours is null, not UTF-8 or longer than
    MAX_HEADER_BYTES, when a required one is missing or empty, or the version is not 1.0;
    `characters` when one holds NUL. `ce_origintenant` may be absent here: whether it is required
    depends on the topic, which is the caller's to judge.
    """
    values: dict[str, str] = {}
    faults: dict[str, tuple[UnreadableReason, str]] = {}
    for name, raw in record.headers:
        field = _READ.get(name)
        if field is None:
            continue
        fault = _fault(raw)
        if fault is None and raw is not None:
            values[field] = raw.decode()
            faults.pop(field, None)
        elif fault is not None:
            values.pop(field, None)
            faults[field] = (fault[0], f"The header {name} {fault[1]}.")
    correlation_id = values.get("correlation_id") or values.get("id")
    trouble = _trouble(values, faults)
    if trouble is not None:
        raise Unreadable(
            *trouble, values.get("id") or None, values.get("origin_tenant"), correlation_id or None
        )
    del values["specversion"]
    values["correlation_id"] = correlation_id or ""
    return Envelope(**values)


def write_headers(envelope: Envelope) -> list[tuple[str, bytes]]:
    """The Kafka headers of `envelope`, what is None left out, `content-type` always there."""
    headers = [("ce_specversion", b"1.0")]
    headers += [
        (header, text.encode())
        for header, text in zip(_HEADER_OF_FIELD.values(), _FIELDS_OF(envelope), strict=True)
        if text is not None
    ]
    if envelope.content_type is None:
        headers.append(("content-type", b"application/json"))
    return headers


def dead_letter_headers(
    record: Record, reason: UnreadableReason, detail: str, service: str, time: str
) -> list[tuple[str, bytes | None]]:
    """The record's own headers untouched, null ones included, and after them why and where from.

    `time` is RFC 3339. A value that `dead_letter_value` cuts adds its full length in bytes and its
    SHA-256 in hex.
    """
    source = record.source
    headers = list(record.headers)
    told = {
        "reason": reason,
        "detail": detail[:MAX_DETAIL_CHARACTERS],
        "topic": source.topic,
        "partition": str(source.partition),
        "offset": str(source.offset),
        "service": service,
        "time": time,
    }
    if record.value is not None and len(record.value) > _room_for_value(record):
        told["length"] = str(len(record.value))
        told["sha256"] = hashlib.sha256(record.value).hexdigest()
    headers.extend((f"x-dead-letter-{name}", text.encode()) for name, text in told.items())
    return headers


def dead_letter_value(record: Record) -> bytes | None:
    """The record's value for its dead letter: as it came, cut where it would not fit the topic."""
    return None if record.value is None else record.value[: _room_for_value(record)]


def rfc3339(timestamp_ms: int) -> str:
    """A time in ms since 1970 as RFC 3339 in UTC with milliseconds and `Z` (K30).

    What lies outside of the years 1970 to 9999 is taken as the nearest end.
    """
    timestamp_ms = min(max(timestamp_ms, 0), _LAST_MOMENT_MS)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=timestamp_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{timestamp_ms % 1000:03d}Z"


def _fault(raw: bytes | None) -> tuple[UnreadableReason, str] | None:
    if raw is None:
        return "headers", "is null"
    if len(raw) > MAX_HEADER_BYTES:
        return "headers", f"is longer than {MAX_HEADER_BYTES} bytes"
    if b"\x00" in raw:
        return "characters", "holds a NUL character"
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError:
            return "headers", "is not UTF-8"
    return None


def _trouble(
    values: dict[str, str], faults: dict[str, tuple[UnreadableReason, str]]
) -> tuple[UnreadableReason, str] | None:
    for field, fault in faults.items():
        if field not in _FORGIVEN:
            return fault
    for field in _REQUIRED:
        if not values.get(field):
            return "headers", f"The header ce_{field} is missing."
    if values["specversion"] != SPEC_VERSION:
        return "headers", f"The header ce_specversion is not {SPEC_VERSION}."
    return None


def _room_for_value(record: Record) -> int:
    taken = len(record.key or b"") + 4 * MAX_DETAIL_CHARACTERS
    for name, raw in record.headers:
        taken += len(name) + len(raw or b"") + 10
    return max(0, min(MAX_DEAD_LETTER_VALUE, _MAX_DEAD_LETTER - taken))
