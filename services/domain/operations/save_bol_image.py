"""Save a picture of a bill of lading: listed with the order, its reference sent (R060, X09)."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Members
from datetime import datetime
from functools import partial
from typing import Any

from schemas.dump import iso_utc
from schemas.errors import ErrorEntry
from services.domain import addressing, papers, pictures, progress
from services.domain.command import Command
from services.domain.effects import Effects, Picture
from services.domain.entries import entry, together
from services.domain.progress import Case, Kind
from services.domain.tenants import Directory
from services.domain.world import Blob, Needs, World

KIND = Kind(
    title="Save picture of a bill of lading",
    member="bol_photo",
    sync="crossroads.order.bol-photo-saved.v1",
    event="bol-photo",
)
NO_SUCH_BOL = "The order has no bill of lading of this number."

Document = dict[str, Any]


def needs(command: Command, directory: Directory) -> Needs:
    """The order, and the stored picture where one is named."""
    found = addressing.needs(command, directory, ())
    blob_id = command.body.get("blob_id")
    if blob_id:
        found.blobs.add(blob_id)
    return found


def problems(command: Command) -> list[ErrorEntry]:
    """Everything wrong with the request that can be told without the world (K28)."""
    return together(command, _rules(command))


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Refuse it, let it wait, or list it and send its reference; also after `complete` (K26).

    A picture may come before its bill: it is taken, and the log says that there is none. The same
    bytes under the same names are no news, whatever blob they are in (K33).
    """
    case = progress.admit(KIND, command, world, now, partial(_rules, world=world))
    if isinstance(case, Effects):
        return case
    picture = _picture(command, world)
    photo = _photo(command, picture.blob)
    for earlier in papers.kept(case.order, papers.PHOTOS):
        if _is_same(earlier, photo):
            return case.repeated(earlier)
    order = papers.filed(case.order, papers.PHOTOS, (photo, photo, photo), now)
    detail = {"by": command.caller.name, "bol_number": photo["bol_number"]} | _reference(photo)
    warning = None if _has_bol(case, photo) else NO_SUCH_BOL
    return case.sent(order, photo, photo, detail=detail, warning=warning, picture=picture)


def _rules(command: Command, world: World | None = None) -> Iterator[ErrorEntry]:
    """The rules; with the world also that a named picture is one the caller stored."""
    reading, body = command.reading, command.body
    yield from addressing.problems(reading)
    blob_id, content = body.get("blob_id"), body.get("content")
    spoiled = reading.errors and (reading.spoiled("blob_id") or reading.spoiled("content"))
    if bool(blob_id) == bool(content) and not spoiled:
        yield entry(("blob_id",), "Give either blob_id or content", "picture_required")
    if content:
        decoded = pictures.decoded(content)
        if decoded is None:
            yield entry(("content",), "The content must be base64", "base64_invalid")
        elif len(decoded) > pictures.MAX_BYTES:
            yield entry(("content",), "A picture has at most 10 MiB", "picture_too_large")
        elif pictures.media_type(decoded) is None:
            yield entry(("content",), "A picture is a PDF, a JPEG or a PNG", "picture_type")
    if blob_id and world is not None and _stored(command, world) is None:
        yield entry(("blob_id",), "The tenant has stored no such picture", "unknown_blob")


def _stored(command: Command, world: World) -> Blob | None:
    """The picture a command names; one of another tenant is as if it did not exist."""
    blob = world.blobs.get(command.body.get("blob_id") or "")
    return blob if blob is not None and blob.tenant_id == command.caller.id else None


def _picture(command: Command, world: World) -> Picture:
    stored = _stored(command, world)
    if stored is not None:
        return Picture(stored, None)
    content = pictures.decoded(command.body["content"]) or b""
    return Picture(pictures.blob(command.derive("blob"), command.caller.id, content), content)


def _photo(command: Command, blob: Blob) -> Document:
    """The picture as every side is told of it; its names and times need no translation."""
    return {
        "blob_id": blob.id,
        "bol_number": command.body["bol_number"],
        "file_name": command.body["file_name"],
        "media_type": blob.media_type,
        "size": blob.size,
        "sha256": blob.sha256,
        "note": command.body.get("note") or None,
        "uploaded_at": iso_utc(command.accepted_at),
    }


def _reference(photo: Members[str, Any]) -> Document:
    return {member: photo[member] for member in ("blob_id", "media_type", "size", "sha256")}


def _is_same(one: Members[str, Any], other: Members[str, Any]) -> bool:
    members = ("bol_number", "file_name", "note", "sha256")
    return all(one.get(member) == other[member] for member in members)


def _has_bol(case: Case, photo: Members[str, Any]) -> bool:
    bols = papers.kept(case.order, papers.BOLS)
    return any(bol["bol_number"] == photo["bol_number"] for bol in bols)
