"""The AsyncAPI document of the service's topics, and a page of it that needs nothing from outside.

The page publishes nothing: FastStream's own has a form that writes to the live broker unasked.
"""

from __future__ import annotations

from html import escape
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from schemas import topics
from schemas.documents import DOCUMENTS
from schemas.generate import json_schema
from schemas.operations import PREFIX, operation_of_type

VERSION = "1.0.0"
_TENANT = {"tenant": {"description": "The slug of the tenant; on this topic it is the caller."}}
_HEADERS = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "description": "The idempotency key within the tenant."},
        "ce_source": {"type": "string"},
        "ce_type": {"type": "string"},
        "ce_origintenant": {
            "type": "string",
            "description": "The caller; needed where the topic does not name it.",
        },
        "ce_handling": {"enum": ["strict"]},
        "ce_correlationid": {"type": "string"},
    },
}


def document(base: str, title: str, description: str) -> dict[str, Any]:
    """AsyncAPI 3.0 of the input topics of one base: what is taken, and how it is answered."""
    messages: dict[str, Any] = {}
    for ce_type in topics.types_of(base):
        operation = operation_of_type(ce_type)
        if operation is None or operation.document is None:
            continue
        messages[operation.name] = _message(ce_type, operation.path)
    results = topics.results_topic("{tenant}")
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": VERSION, "description": description},
        "defaultContentType": "application/json",
        "channels": {
            "shared": {"address": base, "messages": _references(messages)},
            "own": {
                "address": topics.input_topic(base, "{tenant}"),
                "parameters": _TENANT,
                "messages": _references(messages),
            },
            "results": {
                "address": results,
                "parameters": _TENANT,
                "messages": {"result": {"$ref": "#/components/messages/result"}},
            },
        },
        "operations": {
            name: {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{name}"},
                "reply": {"channel": {"$ref": "#/channels/results"}},
            }
            for name in ("shared", "own")
        },
        "components": {
            "messages": {
                **messages,
                "result": {
                    "name": "result",
                    "title": "The answer to a command",
                    "payload": _schema("result.v1"),
                },
            }
        },
    }


def routes(base: str, title: str, description: str) -> list[BaseRoute]:
    """`/asyncapi.json` and its page, `/asyncapi`."""
    found = document(base, title, description)
    raw = orjson.dumps(found)
    html = page(found)

    async def as_json(_: Request) -> Response:
        return Response(raw, media_type="application/json")

    async def as_page(_: Request) -> Response:
        return HTMLResponse(html)

    return [
        Route("/asyncapi.json", as_json, methods=["GET"]),
        Route("/asyncapi", as_page, methods=["GET"]),
    ]


def page(found: dict[str, Any]) -> str:
    """The document for a reader's eyes: one HTML page without scripts."""
    info = found["info"]
    channels = "".join(
        f"<li><code>{escape(channel['address'])}</code>: "
        f"{escape(', '.join(channel['messages']))}</li>"
        for channel in found["channels"].values()
    )
    messages = "".join(
        f"<details><summary><code>{escape(message['name'])}</code> {escape(message['title'])}"
        f"</summary><pre>{escape(_pretty(message['payload']))}</pre></details>"
        for message in found["components"]["messages"].values()
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{escape(info['title'])}</title>"
        "<style>body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "pre{overflow:auto}</style></head><body>"
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])}</p>"
        f"<h2>Topics</h2><ul>{channels}</ul><h2>Messages</h2>{messages}"
        "<p><a href='/asyncapi.json'>asyncapi.json</a></p></body></html>"
    )


def _message(ce_type: str, path: str) -> dict[str, Any]:
    return {
        "name": ce_type,
        "title": f"The same as POST {path}",
        "headers": _HEADERS,
        "payload": _schema(ce_type.removeprefix(PREFIX)),
    }


def _references(messages: dict[str, Any]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in messages}


def _schema(name: str) -> dict[str, Any]:
    return json_schema(next(one for one in DOCUMENTS if one.name == name))


def _pretty(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
