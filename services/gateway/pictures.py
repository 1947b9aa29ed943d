"""order/save_bol_image, and pictures by themselves: taken in once, read by who may (R060, X09)."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from schemas.errors import ErrorEntry
from schemas.operations import operation
from services.domain import pictures
from services.domain.world import Blob
from services.gateway import progress
from services.gateway.caller import acting_tenant, admit, reading_tenants
from services.gateway.commands import TENANT_NEEDED, answered, asked_by, command_of, take
from services.gateway.dispositions import parsed
from services.gateway.forms import MULTIPART, PICTURE, Form, Upload, read_form, read_plain
from services.gateway.headers import TENANT, read_headers
from services.gateway.hub import Hub, hub_of
from services.gateway.problems import Problem, answer, entry
from services.kit import ids
from services.kit.database import transaction
from services.records import blobs

NOT_FOUND = "There is no such picture."
NO_PICTURE = "A picture is a PDF, a JPEG or a PNG"
ROUTE = progress.route("order.save-bol-image")

_PIECE = 256 * 1024
_ENDINGS = {"application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png"}
_ORDER = ("order_id", "order_number")


async def save_bol_image(request: Request) -> Response:
    """A picture of a bill of lading: JSON as on Kafka, or a form, which becomes the same command.

    The picture of a form is stored first, under an id that its bytes and its tenant give: the same
    form again is the same command (K32).
    """
    if not _is_form(request):
        return await take(request, ROUTE)
    asked = await asked_by(request, ROUTE)
    hub = asked.hub
    with hub.pictures.taken(0), Upload() as upload:
        form = await read_form(request, hub.patience, upload)
        owner = "" if asked.tenant is None else asked.tenant.id
        blob = _blob(owner, upload) if form.has_picture else None
        wrong = _wrong(form, blob)
        command = await command_of(asked, orjson.dumps(_value(form, blob)), wrong)
        if blob is not None:
            await _keep(hub, blob, upload)
    with hub.room.taken(len(command.value)):
        return await answered(asked, command)


async def save(request: Request) -> Response:
    """Store a picture for a later command: the body itself, or the file of a form."""
    hub = hub_of(request)
    credential = await admit(request, hub, operation("blob.save").scope)
    headers = read_headers(request.scope)
    tenant = acting_tenant(credential, headers.tenant)
    errors = list(headers.errors)
    if tenant is None:
        errors.insert(0, entry(["header", TENANT], TENANT_NEEDED, "missing"))
    with hub.pictures.taken(0), Upload() as upload:
        where = ["body"]
        if _is_form(request):
            where.append(PICTURE)
            form = await read_form(request, hub.patience, upload)
            if not form.has_picture:
                errors.append(entry(where, "Field required", "missing"))
        else:
            await read_plain(request, hub.patience, upload)
        blob = _blob("" if tenant is None else tenant.id, upload)
        if blob is None and not any(error["loc"] == where for error in errors):
            errors.append(entry(where, NO_PICTURE, "picture_type"))
        if errors or blob is None:
            raise Problem(422, errors)
        await _keep(hub, blob, upload)
    return answer(200, _described(blob))


async def fetch(request: Request) -> Response:
    """The bytes of a picture, for who stored it and for both tenants of its orders.

    One that is not there and one of others take the same way to the same 404 (guarantee 6).
    """
    hub = hub_of(request)
    credential = await admit(request, hub, operation("blob.get").scope)
    headers = read_headers(request.scope)
    tenants = reading_tenants(credential, headers.tenant)
    if headers.errors:
        raise Problem(422, headers.errors)
    # NUL is no text for the database, and no id has any.
    blob_id = str(request.path_params["blob_id"]).replace("\x00", "")
    readers = [tenant.id for tenant in tenants]
    async with hub.reading.of_tenants(readers) as connection:
        blob = await blobs.readable(connection, readers, blob_id)
    if blob is None:
        raise Problem(404, NOT_FOUND)
    told = {
        "ETag": f'"{blob.sha256}"',
        # Whether it may be read is asked anew each time, and nobody in between keeps it.
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    if told["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=told)
    told["Content-Length"] = str(blob.size)
    name = f"{blob.id}.{_ENDINGS.get(blob.media_type, 'bin')}"
    told["Content-Disposition"] = f'attachment; filename="{name}"'
    return StreamingResponse(_pieces(hub, readers, blob), headers=told, media_type=blob.media_type)


async def _pieces(hub: Hub, readers: Sequence[str], blob: Blob) -> AsyncIterator[bytes]:
    """The bytes, a connection for each piece: a slow reader holds none."""
    for start in range(0, blob.size, _PIECE):
        async with hub.reading.of_tenants(readers) as connection:
            piece = await blobs.STORE.get(connection, blob.id, start, _PIECE)
        yield piece


async def _keep(hub: Hub, blob: Blob, upload: Upload) -> None:
    async with transaction(hub.pool) as connection:
        await blobs.STORE.put(connection, blob, upload.pieces)


def _is_form(request: Request) -> bool:
    kind, _ = parsed(request.headers.get("content-type", "").encode("latin-1"))
    return kind == MULTIPART


def _blob(tenant_id: str, upload: Upload) -> Blob | None:
    """The picture as it is stored; None for what is none by its bytes."""
    kind = pictures.media_type(upload.head)
    if kind is None:
        return None
    blob_id = ids.fingerprint("picture", tenant_id, upload.sha256)[:12].hex()
    return Blob(blob_id, tenant_id, kind, upload.size, upload.sha256)


def _described(blob: Blob) -> dict[str, Any]:
    return {
        "blob_id": blob.id,
        "media_type": blob.media_type,
        "size": blob.size,
        "sha256": blob.sha256,
    }


def _wrong(form: Form, blob: Blob | None) -> list[ErrorEntry]:
    """What is wrong with the picture of a form."""
    texts = form.texts
    if not form.has_picture and not texts.get("blob_id") and not texts.get("content"):
        return [entry(["body", PICTURE], "Field required", "missing")]
    if form.has_picture and blob is None:
        return [entry(["body", PICTURE], NO_PICTURE, "picture_type")]
    if form.has_picture and texts.get("blob_id"):
        return [entry(["body", "blob_id"], "Give either a file or blob_id", "picture_required")]
    return []


def _value(form: Form, blob: Blob | None) -> dict[str, Any]:
    """The command's value that a form stands for.

    Fields nobody knows are members nobody knows: ignored and named, or refused where the caller is
    strict (K31). A file without a name is called after what it is.
    """
    value: dict[str, Any] = {"order": {}}
    for name, text in form.texts.items():
        if name in _ORDER:
            value["order"][name] = text
        elif name != "order":
            value[name] = text
    for name in form.ignored:
        value.setdefault(name, None)
    if form.has_picture or not (value.get("blob_id") or value.get("content")):
        # What is wrong with the picture was said: its members have nothing to add.
        value["blob_id"] = "-" if blob is None else blob.id
        ending = "" if blob is None else f".{_ENDINGS[blob.media_type]}"
        value["file_name"] = value.get("file_name") or form.file_name or f"picture{ending}"
    return value
