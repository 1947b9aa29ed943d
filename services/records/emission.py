"""Effects as outgoing records: results, sync records and dead letters of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from schemas import topics
from schemas.dump import iso_utc
from services.domain.effects import Sync
from services.domain.tenants import Tenant
from services.kit.cloudevents import (
    Envelope,
    Record,
    UnreadableReason,
    dead_letter_headers,
    dead_letter_value,
    write_headers,
)
from services.kit.ids import cause_digest, event_id, position_event_id
from services.kit.outbox import OutgoingRow, RowKind
from services.records.texts import Texts

MAX_VALUE_BYTES = 7 * 1024 * 1024
RESULT_SUFFIX = ".result.v1"


@dataclass(slots=True)
class Cause:
    """The command that outgoing records come from, and the process that emits them.

    `time` is when, as RFC 3339; `digest` what outgoing rows name as their cause.
    """

    tenant: Tenant
    command_id: str
    operation: str | None
    record: Record
    correlation_id: str | None
    service: str
    time: str
    order_id: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Two rows or more name the digest."""
        self.digest = cause_digest(self.tenant.id, self.command_id)

    @property
    def shard_key(self) -> str:
        """The order, else the command's key, else the id: what keeps its order in the outbox."""
        if self.order_id is not None:
            return self.order_id
        return self.command_id if self.record.key is None else self.record.key.hex()

    def result_type(self) -> str:
        """The ce_type of its results; of a record whose type is illegible a general one."""
        return f"crossroads.{self.operation or 'record'}{RESULT_SUFFIX}"

    def copy_id(self) -> str:
        """The ce_id of an answer that belongs to this copy alone: from its source position."""
        source = self.record.source
        return position_event_id(source.cluster_id, source.topic, source.partition, source.offset)

    def envelope(self, ce_id: str, ce_type: str, receiver: Tenant) -> Envelope:
        """The headers of a record this command causes."""
        return Envelope(
            id=ce_id,
            source=f"/crossroads/{self.service}",
            type=ce_type,
            time=self.time,
            subject=self.order_id,
            origin_tenant=self.tenant.slug,
            dest_tenant=receiver.slug,
            correlation_id=self.correlation_id or self.command_id,
            causation_id=self.command_id,
            traceparent=self.traceparent,
            tracestate=self.tracestate,
        )


class Told(NamedTuple):
    """An answer as stored; `body` is JSON text, so that every repeat has the same bytes."""

    outcome: str
    http_status: int
    code: str | None
    body: str


def result_row(
    cause: Cause,
    told: Told,
    *,
    outcome: str | None = None,
    copy: bool = False,
    waited: bool = False,
) -> OutgoingRow:
    """The result record of an answer, for the caller's results topic.

    `outcome` replaces the answer's own (`duplicate`). A `copy` has an id of its own position; the
    first copy's id derives from the command. `waited` says that a waiting answer was told before.
    """
    final = told.outcome != "waiting"
    value = orjson.dumps(
        {
            "command_id": cause.command_id,
            "operation": cause.operation,
            "outcome": outcome or told.outcome,
            "http_status": told.http_status,
            "code": told.code,
            "body": orjson.Fragment(told.body),
        }
    )
    kind, tenant = cause.result_type(), cause.tenant
    ce_id = cause.copy_id() if copy else event_id(cause.digest, kind, tenant.slug, int(final))
    return OutgoingRow(
        kind=RowKind.FINAL if final else RowKind.WAITING,
        topic=topics.results_topic(tenant.slug),
        key=cause.record.key,
        value=value,
        headers=write_headers(cause.envelope(ce_id, kind, tenant)),
        shard_key=cause.shard_key,
        stream=None,
        cause=cause.digest,
        told_before=waited or copy,
    )


def sync_row(cause: Cause, sync: Sync, order_id: str, sequence: int, texts: Texts) -> OutgoingRow:
    """The sync record for a tenant's system; `sequence` counts per order and receiver from 1.

    That of a create knows when the create was accepted, for the time from end to end.
    """
    members: Mapping[str, Any] = {
        "order_id": order_id,
        "routing": sync.routing,
        "sequence": sequence,
        **sync.members,
    }
    ce_id = event_id(cause.digest, sync.type, sync.receiver.slug, 1)
    envelope = cause.envelope(ce_id, sync.type, sync.receiver)
    envelope.sequence = str(sequence)
    return OutgoingRow(
        kind=RowKind.SYNC,
        topic=topics.sync_topic(sync.receiver.slug),
        key=order_id.encode(),
        value=texts.around(members),
        headers=write_headers(envelope),
        shard_key=order_id,
        stream=f"{order_id}/{sync.receiver.slug}",
        cause=cause.digest,
        accepted_ms=cause.record.timestamp_ms if cause.operation == "order.create" else None,
    )


def dead_letter_row(
    record: Record, reason: UnreadableReason, detail: str, service: str, now: datetime
) -> OutgoingRow:
    """The dead letter of a record: key, value and headers as they came, and why."""
    return OutgoingRow(
        kind=RowKind.DEAD_LETTER,
        topic=topics.DEAD_LETTER,
        key=record.key,
        value=dead_letter_value(record),
        headers=dead_letter_headers(record, reason, detail, service, iso_utc(now)),
        shard_key=f"{record.source.topic}/{record.source.partition}",
        stream=None,
        cause=None,
    )
