"""Ids that are derived, never drawn: what is decided again gets the same ones.

Parts are joined with their lengths, so that ("ab", "c") and ("a", "bc") differ.
"""

import hashlib
import uuid

_MAX_SECONDS = 0xFFFFFFFF
_ABSENT = b"\xff\xff\xff\xff"
_NAMESPACE = uuid.UUID("a3bad161-8877-5088-a00b-e9a2d3ceea77")


def order_style_id(timestamp_ms: int, *parts: str | bytes | int) -> str:
    """24 lower-case hex characters, ordered by time (R017).

    `timestamp_ms` is the source record's timestamp in milliseconds since 1970. The first six bytes
    are its whole seconds and its fraction in 65,536ths of a second, the last six are SHA-256 of
    `parts`. A time outside of what four bytes of seconds hold is taken as the nearest they can.
    """
    seconds, milliseconds = divmod(max(timestamp_ms, 0), 1000)
    if seconds > _MAX_SECONDS:
        seconds, milliseconds = _MAX_SECONDS, 999
    moment = (seconds << 16) | (milliseconds * 65536 // 1000)
    return f"{moment:012x}{fingerprint(*parts)[:6].hex()}"


def event_id(cause: bytes, event_type: str, receiver: str, n: int) -> str:
    """The `ce_id` of what a command causes: UUIDv5, the same whenever it is decided again.

    `cause` is the `cause_digest` of tenant and command id; `receiver` is the tenant it is for; `n`
    is 0 for a waiting result and 1 for a final one.
    """
    return _uuid5(
        b"%b%d:%b%d:%b%d"
        % (cause, len(event_type), event_type.encode(), len(receiver), receiver.encode(), n)
    )


def position_event_id(cluster_id: str, topic: str, partition: int, offset: int) -> str:
    """The `ce_id` of an answer that belongs to one copy: UUIDv5 of the copy's source position.

    For answers to further copies, to reused keys and to records that leave their id free.
    """
    return _uuid5(fingerprint("position", cluster_id, topic, partition, offset))


def fingerprint(*parts: str | bytes | int | None) -> bytes:
    """SHA-256 (32 bytes) over `parts`; None differs from an empty part. Text counts as UTF-8."""
    pieces: list[bytes] = []
    for part in parts:
        if part is None:
            pieces.append(_ABSENT)
            continue
        raw = part if isinstance(part, bytes) else str(part).encode()
        pieces += (len(raw).to_bytes(4, "big"), raw)
    return hashlib.sha256(b"".join(pieces)).digest()


def cause_digest(tenant_id: str, command_id: str) -> bytes:
    """16 bytes that stand for one command of one tenant: what outgoing rows name as their cause."""
    return fingerprint(tenant_id, command_id)[:16]


def _uuid5(name: bytes) -> str:
    # As uuid.uuid5 does it, without its objects: this runs for every record the hub emits.
    digest = bytearray(hashlib.sha1(_NAMESPACE.bytes + name, usedforsecurity=False).digest())
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"
