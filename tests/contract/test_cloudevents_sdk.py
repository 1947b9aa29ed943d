"""The CloudEvents SDK reads what the hub writes, and the hub what the SDK writes."""

from datetime import UTC, datetime

import orjson
import pytest
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_binary_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent

from services.kit.cloudevents import (
    Envelope,
    Record,
    Source,
    Unreadable,
    read_envelope,
    write_headers,
)

EXTENSIONS = {
    "origintenant": "acme",
    "desttenant": "Größe Fuels",
    "originsystem": "tms",
    "origininstance": "east",
    "handling": "strict",
    "correlationid": "corr-1",
    "causationid": "id-0",
    "sequence": "7",
}
FIELDS = {
    "origintenant": "origin_tenant",
    "desttenant": "dest_tenant",
    "originsystem": "origin_system",
    "origininstance": "origin_instance",
    "correlationid": "correlation_id",
    "causationid": "causation_id",
}
BODY = {"origin_order_number": "A-1"}


def attributes() -> dict[str, object]:
    return {
        "id": "id-1",
        "source": "/acme/tms",
        "type": "crossroads.order.create.v1",
        "specversion": "1.0",
        "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "subject": "65a0",
        "datacontenttype": "application/json",
        **EXTENSIONS,
    }


def received(message: KafkaMessage) -> Record:
    headers = tuple(message.headers.items())
    return Record(Source("c", "crossroads.orders", 0, 0), None, message.value, headers, 0)


def test_the_sdk_reads_what_the_hub_writes() -> None:
    values = {FIELDS.get(name, name): value for name, value in EXTENSIONS.items()}
    envelope = Envelope(
        id="id-1",
        source="/crossroads/relay",
        type="crossroads.order.created.v1",
        time="2026-01-02T03:04:05.006Z",
        subject="65a0",
        **values,
    )
    headers = write_headers(envelope)
    assert len(dict(headers)) == len(headers)
    event = from_binary_event(KafkaMessage(dict(headers), b"65a0", orjson.dumps(BODY)))
    assert (event.get_id(), event.get_source()) == ("id-1", "/crossroads/relay")
    assert event.get_type() == "crossroads.order.created.v1"
    assert event.get_specversion() == "1.0"
    assert event.get_time() == datetime(2026, 1, 2, 3, 4, 5, 6000, tzinfo=UTC)
    assert event.get_subject() == "65a0"
    assert event.get_datacontenttype() == "application/json"
    assert {name: event.get_extension(name) for name in EXTENSIONS} == EXTENSIONS
    assert event.get_data() == BODY


def test_the_hub_reads_what_the_sdk_writes() -> None:
    message = to_binary_event(CloudEvent(attributes(), BODY))
    envelope = read_envelope(received(message))
    assert (envelope.id, envelope.source) == ("id-1", "/acme/tms")
    assert (envelope.type, envelope.subject) == ("crossroads.order.create.v1", "65a0")
    assert envelope.time == "2026-01-02T03:04:05Z"
    assert envelope.content_type == "application/json"
    for name, value in EXTENSIONS.items():
        assert getattr(envelope, FIELDS.get(name, name)) == value


def test_structured_mode_is_a_headers_dead_letter() -> None:
    message = to_structured_event(CloudEvent(attributes(), BODY))
    with pytest.raises(Unreadable) as caught:
        read_envelope(received(message))
    assert caught.value.reason == "headers"
