"""The OpenAPI page: routes from FastAPI, documents from the wire's JSON Schema, examples for all.

The document is OpenAPI 3.0.3, which the bundled Swagger UI renders; what JSON Schema says newer is
put into its words.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from schemas.documents import DOCUMENTS
from schemas.generate import json_schema
from schemas.operations import SCOPES
from services.gateway.tokens import LIFETIME_SECONDS

Schema = dict[str, Any]

VERSION = "3.0.3"
_REFS = "#/components/schemas/"
_FOREIGN = ("$schema", "$id", "$defs")

DESCRIPTION = f"""
Every command here is a record on a Kafka topic, too: the body is the record's value, and the answer
is the first result. Send an `Idempotency-Key` with every command; the same key with the same
request returns the first answer again, byte for byte, and does nothing twice.

A command is answered as soon as there is a result, waiting or final. `Prefer: wait=<seconds>` says
how long to wait for one (5 by default, 60 at most); after that the answer has the status `pending`,
and the same request with the same key asks again. `Prefer: handling=strict` refuses unknown fields.

Credentials are sent as `X-API-Key`, as `Authorization: Bearer <key>`, or as a token of
`POST /auth/token`, which is valid for {LIFETIME_SECONDS} seconds. `X-Correlation-ID` is taken, and
every answer has one.
""".strip()


def reference(document: str) -> Schema:
    """The reference to a published document, by its name (`order.create.v1`)."""
    return {"$ref": _REFS + document}


def describe(app: FastAPI) -> Schema:
    """The whole OpenAPI document of the application."""
    document = get_openapi(
        title="Crossroads",
        version="1.0.0",
        openapi_version=VERSION,
        description=DESCRIPTION,
        routes=app.routes,
    )
    for route in app.routes:
        if isinstance(route, APIRoute):
            for method in route.methods or ():
                # FastAPI takes every null out of what it merges, and nulls are what examples show.
                document["paths"][route.path][method.lower()].update(route.openapi_extra or {})
    components = document.setdefault("components", {})
    components["schemas"] = _schemas()
    components["securitySchemes"] = {
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer"},
        "token": {
            "type": "oauth2",
            "flows": {
                "clientCredentials": {
                    "tokenUrl": "/auth/token",
                    "scopes": {
                        scope: scope.replace(":", ", ").replace("_", " ") for scope in SCOPES
                    },
                }
            },
        },
    }
    return document


def _schemas() -> Schema:
    """Every document and what it is made of, each once."""
    found: Schema = {}
    for document in DOCUMENTS:
        whole = json_schema(document)
        for name, part in {**whole.get("$defs", {}), document.name: whole}.items():
            spoken = to_openapi_30(part)
            if found.setdefault(name, spoken) != spoken:
                raise ValueError(f"Two parts of the wire's documents are called {name}.")
    return found


def to_openapi_30(node: Any) -> Any:
    """A JSON Schema (draft 2020-12, as pydantic writes it) in OpenAPI 3.0's words."""
    if isinstance(node, list):
        return [to_openapi_30(item) for item in node]
    if not isinstance(node, dict):
        return node
    spoken = {
        key: to_openapi_30(value)
        for key, value in node.items()
        if key not in _FOREIGN and not (key == "title" and isinstance(value, str))
    }
    if "$ref" in spoken:
        target = str(spoken.pop("$ref")).replace("#/$defs/", _REFS)
        return {"allOf": [{"$ref": target}], **spoken} if spoken else {"$ref": target}
    if "const" in spoken:
        spoken["enum"] = [spoken.pop("const")]
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(spoken.get(exclusive), int | float):
            spoken[bound] = spoken[exclusive]
            spoken[exclusive] = True
    return _nullable(spoken)


def _nullable(schema: Schema) -> Schema:
    """`anyOf` with null is said by `nullable`."""
    choices = schema.get("anyOf")
    if choices is None or {"type": "null"} not in choices:
        return schema
    rest = [choice for choice in choices if choice != {"type": "null"}]
    others = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(rest) > 1:
        return {**others, "anyOf": rest, "nullable": True}
    if "$ref" in rest[0]:
        return {**others, "allOf": rest, "nullable": True}
    if "enum" in rest[0]:
        # OpenAPI 3.0.3 wants null among the values, too; generated clients take it at its word.
        return {**others, **rest[0], "enum": [*rest[0]["enum"], None], "nullable": True}
    return {**others, **rest[0], "nullable": True}
