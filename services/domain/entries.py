"""Entries of a 422: what is wrong, where, all of it at once (R011, K28)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.errors import ErrorEntry
from schemas.reading import UNKNOWN, Reading, in_document_order
from services.domain.command import Command

DEST_TENANT = "x-dest-tenant-name"
ORIGIN_SYSTEM = "x-origin-system-name"
ORIGIN_INSTANCE = "x-origin-instance-name"

Path = tuple[str | int, ...]


def entry(path: Sequence[str | int], msg: str, kind: str) -> ErrorEntry:
    """One error in the body; `path` without the leading `body`."""
    return {"loc": ["body", *path], "msg": msg, "type": kind}


def header_problems(command: Command) -> list[ErrorEntry]:
    """The other tenant must be named (K09); a system and an instance that are named, be known.

    An instance is looked for in the named system, else in the primary one (K01, R005, R007). What
    was sent is not repeated in the text.
    """
    found = []
    if not command.partner_name:
        found.append(_header(DEST_TENANT, "Name the other tenant of the pair", "missing"))
    system = command.caller.system(command.system_name)
    if system is None:
        msg = (
            "The tenant has no system yet"
            if command.system_name is None
            else "The tenant has no system of this name"
        )
        found.append(_header(ORIGIN_SYSTEM, msg, "unknown_system"))
    elif command.instance_name is not None and all(
        instance.name != command.instance_name for instance in system.instances
    ):
        found.append(
            _header(ORIGIN_INSTANCE, "The system has no instance of this name", "unknown_instance")
        )
    return found


def together(command: Command, rules: Iterable[ErrorEntry]) -> list[ErrorEntry]:
    """Headers, the reading's errors and the rules' in document order (K28).

    With `handling=strict` unknown members are errors too, whether or not they were read so (K31).
    """
    reading = command.reading
    entries = [*header_problems(command), *reading.errors, *_unknown(command), *rules]
    if len(entries) < 2:
        return entries
    return in_document_order(command.body if command.raw is None else command.raw, entries)


def ignored(reading: Reading) -> str | None:
    """What to say of members no document knows; None where there are none (K31)."""
    return f"Ignored unknown fields: {', '.join(reading.unknown)}" if reading.unknown else None


def _header(name: str, msg: str, kind: str) -> ErrorEntry:
    return {"loc": ["header", name], "msg": msg, "type": kind}


def _unknown(command: Command) -> list[ErrorEntry]:
    reading = command.reading
    if not command.strict or any(error["type"] == UNKNOWN for error in reading.errors):
        return []
    return [
        entry(
            [int(part) if part.isdecimal() else part for part in name.split(".")],
            "Extra inputs are not permitted",
            UNKNOWN,
        )
        for name in reading.unknown
    ]
