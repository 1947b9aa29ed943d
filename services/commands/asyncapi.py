"""The AsyncAPI page of a worker: its topics and the records on them, from the catalogue.

Made from our own catalogue, not by FastStream: batches are read raw, so that the framework knows no
payloads, and its page loads its script from another host. This one needs nothing but itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from schemas import topics
from schemas.documents import DOCUMENTS
from schemas.generate import json_schema
from schemas.operations import operation_of_type

_ASKED = {
    "ce_specversion": "`1.0`",
    "ce_id": "The idempotency key within a tenant, remembered 30 days after its final result.",
    "ce_source": "Free text: who sends.",
    "ce_type": "The type of the record.",
}
_MAY_BE_ASKED = {
    "ce_origintenant": "The caller, by slug or exact name; may be left out on a tenant's topic.",
    "ce_desttenant": "The other tenant of the pair.",
    "ce_originsystem": "The caller's system; its primary one when absent.",
    "ce_origininstance": "The caller's instance.",
    "ce_handling": "`strict` refuses unknown members.",
    "ce_correlationid": "Echoed on everything the command causes; the id when absent.",
    "ce_time": "RFC 3339.",
    "traceparent": "Passed on.",
    "tracestate": "Passed on.",
}
_TOLD = {
    "ce_specversion": "`1.0`",
    "ce_id": "The same for every repeat of this record.",
    "ce_source": "`/crossroads/<service>`",
    "ce_type": "The type of the record.",
    "ce_time": "RFC 3339, in UTC; the same for every repeat.",
    "ce_origintenant": "The slug of the tenant whose command caused it.",
    "ce_desttenant": "The slug of the tenant it is for.",
    "ce_correlationid": "The command's, or its `ce_id`.",
    "ce_causationid": "The `ce_id` of the command.",
    "content-type": "`application/json`",
}
_MAY_BE_TOLD = {
    "ce_subject": "The order's id, where there is an order.",
    "traceparent": "The command's.",
    "tracestate": "The command's.",
}
_OF_SYNC = {
    "ce_subject": "The order's id.",
    "ce_sequence": "1, 2, 3, … for each order and receiver, without gaps.",
}
_DEAD = {
    "x-dead-letter-reason": "Why it could not be read: a word of the catalogue of codes.",
    "x-dead-letter-detail": "The same in a sentence.",
    "x-dead-letter-topic": "Where it came from.",
    "x-dead-letter-partition": "Where it came from.",
    "x-dead-letter-offset": "Where it came from.",
    "x-dead-letter-service": "Who read it.",
    "x-dead-letter-time": "When, RFC 3339.",
}
_OF_CUT = {
    "x-dead-letter-length": "The value's bytes, where it was cut.",
    "x-dead-letter-sha256": "The whole value's hash in hex, where it was cut.",
}
DEAD_LETTER = "dead-letter"
"""The name of the message that carries what could not be read; it has its own headers before."""
# The answer to a record whose type is illegible.
RECORD_RESULT = "crossroads.record.result.v1"


def asyncapi_routes(service: str, base: str, summary: str) -> list[BaseRoute]:
    """`/asyncapi.json` and `/asyncapi`, the same as a page."""
    document = asyncapi_document(service, base, summary)
    page = _page(document)

    async def as_json(_: Request) -> Response:
        return Response(orjson.dumps(document), media_type="application/json")

    async def as_page(_: Request) -> Response:
        return HTMLResponse(page)

    return [
        Route("/asyncapi.json", as_json, methods=["GET"]),
        Route("/asyncapi", as_page, methods=["GET"]),
    ]


def asyncapi_document(service: str, base: str, summary: str) -> dict[str, Any]:
    """AsyncAPI 3.0: what the service receives on `base`, and what it answers and sends."""
    schemas: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    received = [kind for kind in topics.types_of(base) if _is_taken(kind)]
    sent = {
        topics.RESULTS: [*(_result_type(kind) for kind in received), RECORD_RESULT],
        topics.SYNC: [kind for kind in topics.types_of(topics.SYNC) if _document_of(kind)],
        topics.DEAD_LETTER: [DEAD_LETTER],
    }
    for kind in received:
        messages[kind] = _message(kind, _headers_of(_ASKED, _MAY_BE_ASKED), schemas)
    for kind in sent[topics.RESULTS]:
        messages[kind] = _message(kind, _headers_of(_TOLD, _MAY_BE_TOLD), schemas)
    for kind in sent[topics.SYNC]:
        messages[kind] = _message(kind, _headers_of({**_TOLD, **_OF_SYNC}, _MAY_BE_TOLD), schemas)
    messages[DEAD_LETTER] = _message(DEAD_LETTER, _headers_of(_DEAD, _OF_CUT), schemas)
    channels = {
        _channel(base, "all"): _channel_item(base, base, received),
        _channel(base, "tenant"): _channel_item(base, base + ".{tenant}", received),
    }
    operations = {f"receive {base}": {"action": "receive", "channel": _ref(base, "all")}}
    operations[f"receive {base}.tenant"] = {"action": "receive", "channel": _ref(base, "tenant")}
    for topic, kinds in sent.items():
        address = topic if topic == topics.DEAD_LETTER else topic + ".{tenant}"
        channels[_channel(topic, "all")] = _channel_item(topic, address, kinds)
        operations[f"send {topic}"] = {"action": "send", "channel": _ref(topic, "all")}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": f"Crossroads {service}", "version": "1", "description": summary},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def _is_taken(kind: str) -> bool:
    operation = operation_of_type(kind)
    return operation is not None and operation.document is not None


def _result_type(kind: str) -> str:
    return kind.removesuffix(".v1") + ".result.v1"


def _channel(topic: str, kind: str) -> str:
    return topic if kind == "all" else f"{topic}.{kind}"


def _ref(topic: str, kind: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{_channel(topic, kind)}"}


def _channel_item(topic: str, address: str, kinds: list[str]) -> dict[str, Any]:
    entry = topics.catalogue().bases[topic]
    item: dict[str, Any] = {
        "address": address,
        "description": f"Written by {entry.writers}; key: {entry.key}.",
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in kinds},
    }
    if "{tenant}" in address:
        item["parameters"] = {"tenant": {"description": "The slug of a tenant."}}
    return item


def _document_of(kind: str) -> str | None:
    """The name of the document a record of this type carries; None when there is none yet."""
    name = "result.v1" if kind.endswith(".result.v1") else kind.removeprefix("crossroads.")
    return name if any(document.name == name for document in DOCUMENTS) else None


def _headers_of(required: dict[str, str], optional: dict[str, str]) -> dict[str, Any]:
    described = {**optional, **required}
    return {
        "type": "object",
        "required": list(required),
        "properties": {
            name: {"type": "string", "description": text} for name, text in described.items()
        },
    }


def _message(kind: str, headers: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"name": kind, "title": kind, "headers": headers}
    name = _document_of(kind)
    if name is not None:
        _hoist(name, schemas)
        message["contentType"] = "application/json"
        message["payload"] = {"$ref": f"#/components/schemas/{name}"}
        message["examples"] = _examples(name)
    return message


def _examples(name: str) -> list[dict[str, Any]]:
    """The golden examples of a document."""
    folder = files("schemas").joinpath("examples", name)
    return [
        {"name": path.name.removesuffix(".json"), "payload": orjson.loads(path.read_bytes())}
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
    ]


def _hoist(name: str, schemas: dict[str, Any]) -> None:
    """Put a document's schema and its parts among the components, references rewritten."""
    if name in schemas:
        return
    document = next(document for document in DOCUMENTS if document.name == name)
    schema = json_schema(document)
    parts = schema.pop("$defs", {})
    schema.pop("$id", None)
    schema.pop("$schema", None)
    schemas[name] = _rewritten(schema, name)
    for part, definition in parts.items():
        schemas[f"{name}.{part}"] = _rewritten(definition, name)


def _rewritten(node: Any, name: str) -> Any:
    if isinstance(node, dict):
        return {
            key: value.replace("#/$defs/", f"#/components/schemas/{name}.")
            if key == "$ref"
            else _rewritten(value, name)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_rewritten(item, name) for item in node]
    return node


_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;
padding:0 1rem;color:#1c2733}
h1{margin-bottom:0}h2{margin-top:2rem;font:600 1.1rem ui-monospace,monospace}
pre{background:#f4f6f8;padding:.8rem;overflow:auto;font-size:13px}
table{border-collapse:collapse}td{padding:.2rem .8rem .2rem 0;vertical-align:top}
code{font-family:ui-monospace,monospace}.tag{background:#1f6f54;color:#fff;border-radius:3px;
padding:0 .4rem;font-size:12px}.send{background:#27548a}
@media (prefers-color-scheme:dark){body{background:#12181f;color:#dfe7ee}pre{background:#1d2630}}
"""


def _page(document: dict[str, Any]) -> str:
    info = document["info"]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])} "
        "<a href=asyncapi.json>asyncapi.json</a></p>" + "".join(_sections(document)) + "</html>"
    )


def _sections(document: dict[str, Any]) -> Iterator[str]:
    components = document["components"]
    for operation in document["operations"].values():
        channel = document["channels"][operation["channel"]["$ref"].removeprefix("#/channels/")]
        action = operation["action"]
        yield f"<h2><span class='tag {action}'>{action}</span> {escape(channel['address'])}</h2>"
        yield f"<p>{escape(channel['description'])}</p>"
        for kind in channel["messages"]:
            message = components["messages"][kind]
            yield f"<details><summary><code>{escape(kind)}</code></summary>{_headers(message)}"
            reference = message.get("payload", {}).get("$ref", "")
            schema = components["schemas"].get(reference.removeprefix("#/components/schemas/"))
            if schema is not None:
                for example in message["examples"]:
                    yield f"<h3>{escape(example['name'])}</h3>{_json(example['payload'])}"
                yield f"<h3>schema</h3>{_json(schema)}"
            yield "</details>"


def _json(value: Any) -> str:
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return f"<pre>{escape(text)}</pre>"


def _headers(message: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{name}</code><td>{escape(each['description'])}"
        for name, each in message["headers"]["properties"].items()
    )
    return f"<table>{rows}</table>"
