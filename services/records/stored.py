"""A record as received, kept in a row: what waits is decoded again at its turn (protocol §3)."""

from __future__ import annotations

from base64 import b64decode, b64encode

import orjson

from services.kit.cloudevents import Record, Source


def dump(record: Record) -> bytes:
    """The record with its source, key, value and headers, as bytes for a column."""
    source = record.source
    return orjson.dumps(
        {
            "source": [source.cluster_id, source.topic, source.partition, source.offset],
            "key": _text(record.key),
            "value": _text(record.value),
            "headers": [[name, _text(value)] for name, value in record.headers],
            "timestamp_ms": record.timestamp_ms,
        }
    )


def load(stored: bytes) -> Record:
    """The inverse of `dump`."""
    raw = orjson.loads(stored)
    cluster_id, topic, partition, offset = raw["source"]
    return Record(
        source=Source(cluster_id, topic, partition, offset),
        key=_bytes(raw["key"]),
        value=_bytes(raw["value"]),
        headers=tuple((name, _bytes(value)) for name, value in raw["headers"]),
        timestamp_ms=raw["timestamp_ms"],
    )


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else b64encode(raw).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)
