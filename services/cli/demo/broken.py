"""Records that cannot be read, one kind for each way a sender can fail (contract, dead letters)."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from services.cli.demo.trade import NORTH, SOUTH

Headers = list[tuple[str, bytes | None]]

CREATE = "crossroads.order.create.v1"


@dataclass(frozen=True, slots=True)
class BrokenRecord:
    """What is sent, and the reason its dead letter must give.

    `shared` records go to the topic without suffix, where the header names the tenant.
    """

    kind: str
    reason: str
    key: bytes
    value: bytes
    headers: Headers
    shared: bool = False

    @property
    def legible_id(self) -> str | None:
        """The command id where it can be read: its tenant then hears of the failure."""
        value = dict(self.headers).get("ce_id")
        return None if value is None else value.decode()


def command_headers(
    command_id: str,
    partner: str,
    *,
    kind: str = CREATE,
    origin: str | None = None,
    source: str = "/prairie/backoffice",
) -> Headers:
    """The headers of a command, as a sender without any library of the hub writes them."""
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", command_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", kind.encode()),
        ("ce_desttenant", partner.encode()),
        ("content-type", b"application/json"),
    ]
    if origin is not None:
        headers.append(("ce_origintenant", origin.encode()))
    return headers


def broken_records(rng: random.Random, count: int, *, prefix: str) -> list[BrokenRecord]:
    """`count` broken records, but at least one of each kind."""
    made: list[BrokenRecord] = []
    while len(made) < max(count, len(KINDS)):
        kind = KINDS[len(made)] if len(made) < len(KINDS) else rng.choice(KINDS)
        made.append(_record(kind, f"{prefix}-broken-{len(made):03}"))
    return made


_GOOD: dict[str, Any] = {
    "origin_order_number": "PF-BROKEN",
    "delivery_window": {"start": "2026-11-01T06:00:00Z", "end": "2026-11-01T12:00:00Z"},
    "drops": [{"site": {"source_id": "4700-01", "tank_id": "2"}, "volume": 1000}],
}


def _written(**members: Any) -> bytes:
    return json.dumps({**_GOOD, **members}).encode()


# Values that are at fault by themselves, by (kind, reason).
_VALUES: dict[tuple[str, str], bytes] = {
    ("cut off in the middle", "not-json"): _written()[:60],
    ("Latin-1 instead of UTF-8", "not-utf8"): b'{"origin_order_number": "Malm\xf6"}',
    ("a NUL in the note", "characters"): _written(note="gate\u0000code"),
    ("half a surrogate pair", "characters"): _written(note="\ud83d"),
    ("NaN as a volume", "numbers"): _written(extra_data={"volume": float("nan")}),
    ("1e999 as a number", "numbers"): b'{"extra_data": {"weight": 1e999}}',
    ("5,000 levels deep", "depth"): b'{"extra_data": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    ("1.1 MB of note", "too-large"): _written(note="x" * 1_100_000),
}
_HEADERS: dict[str, str] = {
    "a header that is not UTF-8": "headers",
    "a header that is null": "headers",
    "no ce_source": "headers",
    "an unknown type": "unknown-type",
    "a type that belongs elsewhere": "wrong-topic",
    "another tenant's name in the header": "tenant-mismatch",
    "a tenant nobody knows": "unknown-tenant",
}
KINDS: tuple[tuple[str, str], ...] = (*_VALUES, *_HEADERS.items())


def _record(kind: tuple[str, str], command_id: str) -> BrokenRecord:
    name, reason = kind
    value = _VALUES.get(kind, _written())
    shared = name == "a tenant nobody knows"
    return BrokenRecord(
        name, reason, command_id.encode(), value, _broken_headers(name, command_id), shared
    )


def _broken_headers(name: str, command_id: str) -> Headers:
    good = command_headers(command_id, NORTH)
    changed: dict[str, Headers] = {
        "a header that is not UTF-8": _with(good, "ce_source", b"/malm\xf6"),
        "a header that is null": _with(good, "ce_source", None),
        "no ce_source": [header for header in good if header[0] != "ce_source"],
        "an unknown type": _with(good, "ce_type", b"crossroads.order.teleport.v1"),
        "a type that belongs elsewhere": _with(
            good, "ce_type", b"crossroads.reference.upsert-mapping.v1"
        ),
        "another tenant's name in the header": [*good, ("ce_origintenant", SOUTH.encode())],
        "a tenant nobody knows": [*good, ("ce_origintenant", b"nobody-at-all")],
    }
    return changed.get(name, good)


def _with(headers: Headers, name: str, value: bytes | None) -> Headers:
    return [(key, value if key == name else old) for key, old in headers]
