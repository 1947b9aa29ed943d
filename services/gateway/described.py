"""How an operation is described on the OpenAPI page: headers, bodies, answers, refusals."""

import json
from importlib.resources import files
from typing import Any

from schemas import dump
from schemas.codes import Code
from schemas.log import UNFORESEEN_MESSAGE
from services.domain import refusals
from services.gateway import caller, problems
from services.gateway.openapi import reference
from services.gateway.prefer import DEFAULT_WAIT_SECONDS, MAX_WAIT_SECONDS

Described = dict[str, Any]

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
        "parameters": [*parameters, header("X-Correlation-ID", "Taken over into every answer.")],
        "responses": {status: _with_headers(answer) for status, answer in answers.items()},
        "security": [],
    }
    if scope is not None:
        extra["security"] = [{"apiKey": []}, {"bearer": []}, {"token": [scope]}]
    if body is not None:
        extra["requestBody"] = body
    return extra


def command_parameters() -> list[Described]:
    """The headers of a command on an order."""
    return [
        TENANT,
        header("X-Dest-Tenant-Name", "The other tenant of the pair.", required=True),
        header("X-Origin-System-Name", "A system of the caller; else the primary one."),
        header("X-Origin-Instance-Name", "An instance of that system."),
        IDEMPOTENCY,
        PREFER,
        header("traceparent", "W3C trace context, passed on."),
    ]


def header(
    name: str, text: str, *, required: bool = False, example: str | None = None
) -> Described:
    """A header a caller may send."""
    described: Described = {
        "name": name,
        "in": "header",
        "description": text,
        "required": required,
        "schema": {"type": "string"},
    }
    return described if example is None else {**described, "example": example}


def in_path(name: str, text: str) -> Described:
    """A parameter that is a part of the path."""
    return {
        "name": name,
        "in": "path",
        "description": text,
        "required": True,
        "schema": {"type": "string"},
    }


TENANT = header(
    "X-Tenant-Name", "The calling tenant, by name or slug, where the credential has several."
)
IDEMPOTENCY = header(
    "Idempotency-Key", "The command's id: the same key never does anything twice.", example=_KEY
)
PREFER = header(
    "Prefer",
    f"wait=<seconds> ({DEFAULT_WAIT_SECONDS:.0f}, at most {MAX_WAIT_SECONDS:.0f}), "
    "handling=strict.",
    example="wait=5, handling=strict",
)
PREFER_STRICT = header("Prefer", "handling=strict.", example="handling=strict")


def body(document: str, **examples: Any) -> Described:
    """A JSON body, with examples by name."""
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": reference(document),
                "examples": {name: {"value": value} for name, value in examples.items()},
            }
        },
    }


def answer(document: str, description: str, **examples: tuple[str, Any]) -> Described:
    """An answer that is a document, with examples by name: (summary, value)."""
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


def problem(description: str, **shown: problems.Problem) -> Described:
    """An answer of one sentence, as the gateway itself gives it."""
    examples = {
        name: (description, json.loads(bytes(each.response().body))) for name, each in shown.items()
    }
    described = _response(description, reference("error.problem.v1"), examples)
    headers = {name for each in shown.values() for name in each.headers} - {"Connection"}
    described["headers"] = {name: {"schema": {"type": "string"}} for name in sorted(headers)}
    return described


def unprocessable(**rules: tuple[str, Any]) -> Described:
    """422: everything that is wrong, or the sentence of a rule: (summary, body)."""
    examples = {
        "invalid": ("Everything that is wrong at once.", golden("error.invalid.v1", "two-errors")),
        **rules,
    }
    schemas = [reference("error.invalid.v1")]
    if rules:
        schemas.append(reference("error.refusal.v1"))
    return _response("The request cannot be taken as it is.", {"oneOf": schemas}, examples)


def refused(scope: str, *, pair: bool, body: bool = True) -> Described:
    """What every route answers to who may not, or sends what is not read."""
    forbidden = {
        "scope": problems.scope_missing(scope),
        "tenant": problems.not_your_tenant(),
    }
    if pair:
        forbidden["pair"] = problems.Problem(403, refusals.NO_SUCH_PAIR, code=Code.NO_SUCH_PAIR)
    found = {
        "401": problem(
            "No valid credential.",
            missing=problems.unauthorized(caller.MISSING),
            invalid=problems.unauthorized(caller.INVALID, "invalid_token"),
        ),
        "403": problem("The credential or the tenants do not allow it.", **forbidden),
    }
    if body:
        found["408"] = problem("The body did not come in its time.", slow=problems.too_slow())
        found["413"] = problem("The body is too large.", large=problems.too_large(1024 * 1024))
    return found


def always() -> Described:
    """What every route may answer, whatever was sent."""
    return {
        "429": problem("The credential's rate is used up.", limit=problems.too_many(7)),
        "500": problem(UNFORESEEN_MESSAGE, unforeseen=problems.unforeseen()),
        "503": problem(
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
