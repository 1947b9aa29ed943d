"""The driver's side for the OpenAPI page: an example for each answer of each of its operations."""

from typing import Any

from schemas.codes import Code
from services.domain import pictures as allowed
from services.domain import refusals
from services.gateway import commands, described, pictures, problems, progress
from services.gateway.described import Described
from services.gateway.problems import Problem

_BINARY = {"type": "string", "format": "binary"}
_KINDS = ("application/pdf", "image/jpeg", "image/png")


def update_status() -> Described:
    """order/update_status."""
    name = "order.update-status"
    return described.operation(
        summary="Tell the other side where the driver is",
        body=described.body(
            f"{name}.v1",
            at_a_terminal=described.golden(f"{name}.v1", "arrived-at-load"),
            every_member=described.golden(f"{name}.v1", "every-member"),
            complete=described.golden(f"{name}.v1", "complete"),
        ),
        answers=_answers(name, "order:update_status", complete=True),
        parameters=described.command_parameters(),
        scope="order:update_status",
    )


def save_bol() -> Described:
    """order/save_bol."""
    name = "order.save-bol"
    return described.operation(
        summary="Save a bill of lading",
        body=described.body(
            f"{name}.v1",
            one_site=described.golden(f"{name}.v1", "one-site"),
            every_member=described.golden(f"{name}.v1", "every-member"),
        ),
        answers=_answers(name, "order:save_bol"),
        parameters=described.command_parameters(),
        scope="order:save_bol",
    )


def save_drop() -> Described:
    """order/save_drop."""
    name = "order.save-drop"
    return described.operation(
        summary="Save an executed drop",
        body=described.body(
            f"{name}.v1",
            append=described.golden(f"{name}.v1", "append-shortest"),
            replace=described.golden(f"{name}.v1", "replace"),
        ),
        answers=_answers(name, "order:save_drop"),
        parameters=described.command_parameters(),
        scope="order:save_drop",
    )


def save_bol_image() -> Described:
    """order/save_bol_image: JSON or a form."""
    name = "order.save-bol-image"
    body = described.body(
        f"{name}.v1",
        stored_picture=described.golden(f"{name}.v1", "stored-picture"),
        bytes_with_it=described.golden(f"{name}.v1", "bytes-with-it"),
    )
    texts = ("order_number", "order_id", "bol_number", "note")
    body["content"]["multipart/form-data"] = {
        "schema": {
            "type": "object",
            "required": ["bol_number", "file"],
            "properties": {**{key: {"type": "string"} for key in texts}, "file": _BINARY},
        },
        "example": {"order_number": "BH-55", "bol_number": "BOL-9", "file": "%PDF-1.7 ..."},
    }
    return described.operation(
        summary="Save a picture of a bill of lading",
        body=body,
        answers=_answers(name, "order:save_bol") | _too_large(),
        parameters=described.command_parameters(),
        scope="order:save_bol",
    )


def blob_save() -> Described:
    """POST blobs."""
    golden = described.golden("blob.v1", "pdf")
    answers = {
        "200": described.answer(
            "blob.v1",
            "Stored. The same bytes again have the same id.",
            stored=("A stored picture, to be named as blob_id.", golden),
        ),
        **described.refused("order:save_bol", pair=False),
        **_too_large(),
        "422": described.unprocessable(),
        **described.always(),
    }
    form = {"type": "object", "required": ["file"], "properties": {"file": _BINARY}}
    return described.operation(
        summary="Store a picture for a later command",
        body={
            "required": True,
            "content": {
                **{kind: {"schema": _BINARY} for kind in _KINDS},
                "multipart/form-data": {"schema": form},
            },
        },
        answers=answers,
        parameters=[described.TENANT],
        scope="order:save_bol",
    )


def blob_get() -> Described:
    """GET a blob."""
    headers = ("ETag", "Content-Length", "Content-Disposition", "X-Content-Type-Options")
    answers = {
        "200": {
            "description": "The bytes, under the type they have.",
            "headers": {name: {"schema": {"type": "string"}} for name in headers},
            "content": {
                kind: {"schema": _BINARY, "example": f"The bytes of a picture ({kind})."}
                for kind in _KINDS
            },
        },
        "304": {"description": "The ETag is the one that If-None-Match names."},
        **described.refused("order:read", pair=False, body=False),
        "404": described.problem(
            "No picture that the caller may read.", none=Problem(404, pictures.NOT_FOUND)
        ),
        "422": described.unprocessable(),
        **described.always(),
    }
    return described.operation(
        summary="Get a picture",
        body=None,
        answers=answers,
        parameters=[
            described.in_path("blob_id", "As it was answered, or as the order lists it."),
            described.TENANT,
            described.header("If-None-Match", "An ETag: nothing is sent where it still holds."),
        ],
        scope="order:read",
    )


def _answers(name: str, scope: str, *, complete: bool = False) -> Described:
    """What a command of the driver's side may be answered."""
    document = f"{name}.answer.v1"
    waiting = described.golden(document, "pending")
    rules: dict[str, tuple[str, Any]] = {
        code: (summary, refusals.refused(word, refusals.text(word)).body)
        for code, summary, word in (
            ("canceled", "The order takes nothing more.", Code.ORDER_IS_CANCELED),
            ("ambiguous", "The number fits orders of several pairs.", Code.ORDER_AMBIGUOUS),
            ("complete", "After complete there is no other.", Code.ORDER_ALREADY_COMPLETE),
        )
        if complete or word != Code.ORDER_ALREADY_COMPLETE
    }
    reused = refusals.refused(Code.IDEMPOTENCY_KEY_REUSED, commands.REUSED)
    rules["key"] = ("The Idempotency-Key belongs to another request.", reused.body)
    return {
        "200": described.answer(
            document,
            "The first result, or `pending` when the wait was over before one came.",
            final=("The other side's topic has it.", described.golden(document, "synced")),
            waiting=("It waits, and goes on by itself.", waiting),
            pending=(
                "Accepted; ask again with the same Idempotency-Key.",
                {**waiting, "message": progress.PROCESSING, "log": None},
            ),
        ),
        **described.refused(scope, pair=True),
        "404": described.problem(
            "No order of the caller's pairs, or still none when the wait for its number was over.",
            number=Problem(404, refusals.NOT_FOUND_NUMBER.format(number="BH-55")),
            id=Problem(404, refusals.NOT_FOUND_ID.format(order_id="0" * 24)),
        ),
        "422": described.unprocessable(**rules),
        **described.always(),
    }


def _too_large() -> Described:
    large = problems.picture_too_large(allowed.MAX_BYTES)
    return {"413": described.problem("The picture or the body is too large.", large=large)}
