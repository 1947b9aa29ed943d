"""What every operation takes and answers, for the OpenAPI page: an example for each answer."""

import json
from importlib.resources import files
from typing import Any

from schemas import dump
from schemas.codes import Code
from schemas.log import UNFORESEEN_MESSAGE
from services.domain import refusals
from services.gateway import caller, commands, problems
from services.gateway.openapi import reference
from services.gateway.prefer import DEFAULT_WAIT_SECONDS, MAX_WAIT_SECONDS

Described = dict[str, Any]

_ORDER = "A-1001"
_KEY = "order-A-1001-first-try"


def golden(document: str, name: str) -> Any:
    """A golden example of the wire: the JSON of `schemas/examples/<document>/<name>.json`."""
    path = files("schemas").joinpath("examples", document, f"{name}.json")
    return json.loads(path.read_text("utf-8"))


def operation(
    *,
    summary: str,
    body: Described | None,
    answers: Described,
    parameters: list[Described],
    scope: str | None,
) -> Described:
    """FastAPI's `openapi_extra` of one route."""
    extra: Described = {
        "summary": summary,
        "parameters": [*parameters, _header("X-Correlation-ID", "Taken over into every answer.")],
        "responses": {status: _with_headers(answer) for status, answer in answers.items()},
        "security": [],
    }
    if scope is not None:
        extra["security"] = [{"apiKey": []}, {"bearer": []}, {"token": [scope]}]
    if body is not None:
        extra["requestBody"] = body
    return extra


def order_create() -> Described:
    """order/create."""
    done, pending = golden("order.answer.v1", "synced"), commands.PENDING
    answers = {
        "200": _answer(
            "order.answer.v1",
            "The first result, or `pending` when the wait was over before one came.",
            final=("The destination's topic has the order.", done),
            waiting=(
                "A mapping is missing. The order goes on by itself when it is there.",
                golden("order.answer.v1", "waiting-for-a-mapping"),
            ),
            pending=(
                "Accepted; ask again with the same Idempotency-Key.",
                {"status": "pending", "message": pending, "log": None, "order": done["order"]},
            ),
        ),
        **_refusals("order:create", pair=True),
        "422": _unprocessable(
            rule=(
                "A business rule refuses the order.",
                golden("error.refusal.v1", "duplicate-order"),
            ),
            key=(
                "The Idempotency-Key belongs to another request.",
                refusals.refused(Code.IDEMPOTENCY_KEY_REUSED, commands.REUSED).body,
            ),
        ),
        **_always(),
    }
    return operation(
        summary="Create an order and send it to its destination",
        body=_body(
            "order.create.v1",
            site_by_source_id=golden("order.create.v1", "site-by-source-id"),
            blend=golden("order.create.v1", "blend-with-lists"),
        ),
        answers=answers,
        parameters=command_parameters(),
        scope="order:create",
    )


def order_get() -> Described:
    """order/get."""
    answers = {
        "200": _answer(
            "order.document.v1",
            "The order as it stands.",
            final=("A sent order.", golden("order.document.v1", "synced")),
            waiting=("An order that waits for a mapping.", golden("order.document.v1", "unmapped")),
        ),
        **_refusals("order:read", pair=False),
        "404": _problem(
            "No order of the caller's pairs.",
            number=problems.Problem(404, refusals.NOT_FOUND_NUMBER.format(number=_ORDER)),
            id=problems.Problem(404, refusals.NOT_FOUND_ID.format(order_id="0" * 24)),
        ),
        "422": _unprocessable(
            rule=(
                "The number fits orders of several pairs.",
                refusals.refused(Code.ORDER_AMBIGUOUS, refusals.text(Code.ORDER_AMBIGUOUS)).body,
            )
        ),
        **_always(),
    }
    return operation(
        summary="Get an order",
        body=_body(
            "order.get.v1",
            nested=golden("order.get.v1", "nested-by-number"),
            flat=golden("order.get.v1", "flat-by-number"),
        ),
        answers=answers,
        parameters=[
            _TENANT,
            _header("X-Dest-Tenant-Name", "Only orders shared with this tenant."),
            _PREFER_STRICT,
        ],
        scope="order:read",
    )


def token() -> Described:
    """/auth/token."""
    granted = {
        "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl",
        "token_type": "bearer",
        "expires_in": 3600,
        "scope": "order:create order:read",
    }
    members = ("grant_type", "client_id", "client_secret")
    form = {
        "type": "object",
        "required": ["grant_type"],
        "properties": {name: {"type": "string"} for name in members},
        "example": {
            "grant_type": "client_credentials",
            "client_id": "xrc_0123456789abcdef01234567",
            "client_secret": "xrs_...",
        },
    }
    answers = {
        "200": {
            "description": "A token for Authorization: Bearer.",
            "content": {"application/json": {"schema": {"type": "object"}, "example": granted}},
        },
        "401": _problem(
            "Id and secret do not fit.",
            wrong=problems.unauthorized(caller.INVALID, "invalid_client"),
        ),
        "413": _problem("The form is too long.", too_large=problems.too_large(16384)),
        "422": _unprocessable(),
        **_always(),
    }
    return operation(
        summary="Get an access token",
        body={
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": form}},
        },
        answers=answers,
        parameters=[],
        scope=None,
    )


def reference_post(name: str, document: str, example: str, scope: str) -> Described:
    """POST reference/<name>: `document` is that of an item, `example` a golden one of it."""
    item = golden(document, example)
    schema = {
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"type": "array", "items": reference(document)}},
    }
    answers = {
        "200": _answer(
            "reference.answer.v1",
            "What became of each item, in their order.",
            mixed=("Item by item.", golden("reference.answer.v1", "mixed")),
        ),
        **_refusals(scope, pair=False),
        "422": _unprocessable(),
        **_always(),
    }
    return operation(
        summary=f"Create or update {name}",
        body={
            "required": True,
            "content": {"application/json": {"schema": schema, "example": {"items": [item]}}},
        },
        answers=answers,
        parameters=[_TENANT, _IDEMPOTENCY, _PREFER],
        scope=scope,
    )


def reference_list(name: str, filters: tuple[str, ...]) -> Described:
    """GET reference/<name>."""
    queries = {
        **dict.fromkeys(filters, "Only items with exactly this value."),
        "limit": "How many items at most, 100 by default.",
        "cursor": "What `next` of the page before said.",
    }
    answers = {
        "200": _answer(
            "reference.list.v1",
            "One page; `next` is null on the last.",
            page=("A page with more to come.", golden("reference.list.v1", "more-to-come")),
        ),
        **_refusals("reference:read", pair=False),
        "422": _unprocessable(),
        **_always(),
    }
    parameters = [
        {"name": query, "in": "query", "description": text, "schema": {"type": "string"}}
        for query, text in queries.items()
    ]
    return operation(
        summary=f"List {name}",
        body=None,
        answers=answers,
        parameters=parameters,
        scope="reference:read",
    )


def command_parameters() -> list[Described]:
    """The headers of a command on an order."""
    return [
        _TENANT,
        _header("X-Dest-Tenant-Name", "The other tenant of the pair.", required=True),
        _header("X-Origin-System-Name", "A system of the caller; else the primary one."),
        _header("X-Origin-Instance-Name", "An instance of that system."),
        _IDEMPOTENCY,
        _PREFER,
        _header("traceparent", "W3C trace context, passed on."),
    ]


def _header(
    name: str, text: str, *, required: bool = False, example: str | None = None
) -> Described:
    described: Described = {
        "name": name,
        "in": "header",
        "description": text,
        "required": required,
        "schema": {"type": "string"},
    }
    return described if example is None else {**described, "example": example}


_TENANT = _header(
    "X-Tenant-Name", "The calling tenant, by name or slug, where the credential has several."
)
_IDEMPOTENCY = _header(
    "Idempotency-Key", "The command's id: the same key never does anything twice.", example=_KEY
)
_PREFER = _header(
    "Prefer",
    f"wait=<seconds> ({DEFAULT_WAIT_SECONDS:.0f}, at most {MAX_WAIT_SECONDS:.0f}), "
    "handling=strict.",
    example="wait=5, handling=strict",
)
_PREFER_STRICT = _header("Prefer", "handling=strict.", example="handling=strict")


def _body(document: str, **examples: Any) -> Described:
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": reference(document),
                "examples": {name: {"value": value} for name, value in examples.items()},
            }
        },
    }


def _answer(document: str, description: str, **examples: tuple[str, Any]) -> Described:
    return _response(description, reference(document), examples)


def _response(
    description: str, schema: Described, examples: dict[str, tuple[str, Any]]
) -> Described:
    shown = {
        name: {"summary": summary, "value": _plain(value)}
        for name, (summary, value) in examples.items()
    }
    return {
        "description": description,
        "content": {"application/json": {"schema": schema, "examples": shown}},
    }


def _problem(description: str, **shown: problems.Problem) -> Described:
    examples = {
        name: (description, json.loads(bytes(each.response().body))) for name, each in shown.items()
    }
    described = _response(description, reference("error.problem.v1"), examples)
    headers = {name for each in shown.values() for name in each.headers}
    described["headers"] = {name: {"schema": {"type": "string"}} for name in sorted(headers)}
    return described


def _unprocessable(**rules: tuple[str, Any]) -> Described:
    examples = {
        "invalid": ("Everything that is wrong at once.", golden("error.invalid.v1", "two-errors")),
        **rules,
    }
    schemas = [reference("error.invalid.v1")]
    if rules:
        schemas.append(reference("error.refusal.v1"))
    return _response("The request cannot be taken as it is.", {"oneOf": schemas}, examples)


def _refusals(scope: str, *, pair: bool) -> Described:
    forbidden = {
        "scope": problems.scope_missing(scope),
        "tenant": problems.not_your_tenant(),
    }
    if pair:
        forbidden["pair"] = problems.Problem(403, refusals.NO_SUCH_PAIR, code=Code.NO_SUCH_PAIR)
    return {
        "401": _problem(
            "No valid credential.",
            missing=problems.unauthorized(caller.MISSING),
            invalid=problems.unauthorized(caller.INVALID, "invalid_token"),
        ),
        "403": _problem("The credential or the tenants do not allow it.", **forbidden),
        "413": _problem("The body is too large.", too_large=problems.too_large(1024 * 1024)),
    }


def _always() -> Described:
    return {
        "429": _problem("The credential's rate is used up.", limit=problems.too_many(7)),
        "500": _problem(UNFORESEEN_MESSAGE, unforeseen=problems.unforeseen()),
        "503": _problem(
            "The broker or the database is away.",
            broker=problems.away("broker"),
            database=problems.away("database"),
        ),
    }


def _with_headers(answer: Described) -> Described:
    headers = {"X-Correlation-ID": {"schema": {"type": "string"}}, **answer.get("headers", {})}
    return {**answer, "headers": headers}


def _plain(value: Any) -> Any:
    return json.loads(dump.to_json(value))
