"""The OpenAPI page: it says what the wire's documents say, with an example for every answer."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from schemas import topics
from schemas.codes import Code
from schemas.documents import DOCUMENTS
from schemas.generate import json_schema
from schemas.operations import OPERATIONS, Operation
from services.gateway.board import AnswerBoard
from services.gateway.hub import Hub
from services.gateway.rates import Rates
from services.gateway.routes import application
from services.kit.health import Health

FORBIDDEN = re.compile(
    r"retry|timed out|temporarily unavailable|internal server error|too many requests",
    re.IGNORECASE,
)
DOCUMENT = {document.name: document for document in DOCUMENTS}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    nothing: Any = None
    hub = Hub(nothing, nothing, nothing, AnswerBoard(nothing), Rates(None))
    transport = httpx.ASGITransport(application(hub, Health()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as opened:
        yield opened


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    response = await client.get("/openapi.json")
    found: dict[str, Any] = response.json()
    return found


def responses(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            for status, answer in described["responses"].items():
                yield f"{method} {path}", status, answer


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for item in node:
            yield from walk(item)


def test_every_operation_the_hub_takes_is_there_with_its_scope(document: dict[str, Any]) -> None:
    served = ("reference.", "blob.", "order.timeline")
    for operation in OPERATIONS:
        if operation.document is None and not operation.name.startswith(served):
            continue
        described = document["paths"][operation.path][operation.method.lower()]
        assert {"token": [operation.scope]} in described["security"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = set(document["components"]["schemas"])
    found = {node["$ref"] for node in walk(document) if isinstance(node.get("$ref"), str)}
    assert found
    assert {ref.removeprefix("#/components/schemas/") for ref in found} <= known


def test_the_schemas_speak_openapi_30(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.0.3"
    for node in walk(document["components"]["schemas"]):
        assert node.get("type") != "null"
        assert not {"$defs", "$schema", "$id", "const", "prefixItems"} & set(node)


def test_every_answer_has_an_example_that_its_document_allows(document: dict[str, Any]) -> None:
    for where, status, answer in responses(document):
        if status == "304":
            continue
        if "application/json" not in answer["content"]:
            assert all(kind["example"] for kind in answer["content"].values()), where
            continue
        content = answer["content"]["application/json"]
        schema = content["schema"]
        references = [schema, *schema.get("oneOf", [])]
        names = [each["$ref"].rpartition("/")[2] for each in references if "$ref" in each]
        examples = [each["value"] for each in content.get("examples", {}).values()]
        examples += [content["example"]] if "example" in content else []
        assert examples, f"{where} {status} has no example"
        for example in examples:
            fits = [
                name
                for name in names
                if Draft202012Validator(json_schema(DOCUMENT[name])).is_valid(example)
            ]
            assert fits or not names, f"{where} {status}: {json.dumps(example)}"


def test_every_member_of_an_answers_example_is_described(document: dict[str, Any]) -> None:
    """Else a generated client has no such member: so it was with a token."""
    for where, status, answer in responses(document):
        content = answer.get("content", {}).get("application/json", {})
        schema = content.get("schema", {})
        if schema.get("type") == "object":
            assert set(content["example"]) <= set(schema["properties"]), f"{where} {status}"


def test_create_documents_every_answer_it_gives(document: dict[str, Any]) -> None:
    answers = document["paths"]["/v1/order/create"]["post"]["responses"]
    assert set(answers) == {
        "200", "401", "403", "408", "413", "422", "429", "500", "503",
    }  # fmt: skip
    assert set(answers["200"]["content"]["application/json"]["examples"]) == {
        "final",
        "waiting",
        "pending",
    }
    assert set(answers["422"]["content"]["application/json"]["examples"]) == {
        "invalid",
        "rule",
        "key",
    }
    assert "404" in document["paths"]["/v1/order/get"]["post"]["responses"]


COMMANDS = [each for each in OPERATIONS if each.base not in (None, topics.REFERENCE) and each.adds]
# What each refuses by a rule of its own, beside an ambiguous number and a key used before.
OVER = {Code.ORDER_IS_CANCELED, Code.ORDER_ALREADY_COMPLETE, Code.ORDER_IS_REJECTED}
RULES = {
    "order.update": OVER,
    "change.propose": OVER,
    "change.accept": {Code.CHANGE_NOT_YOURS, Code.CHANGE_SETTLED},
    "change.reject": {Code.CHANGE_SETTLED},
    "order.cancel": OVER,
    "order.request-accept": {Code.ORDER_NOT_REQUESTED, Code.ORDER_NUMBER_TAKEN},
    "order.request-reject": {Code.ORDER_NOT_REQUESTED},
    "order.receipt": {Code.ORDER_NOT_SENT, Code.ORDER_NUMBER_TAKEN},
    "order.update-status": {Code.ORDER_IS_CANCELED, Code.ORDER_ALREADY_COMPLETE},
}


@pytest.mark.parametrize(
    "command",
    [each for each in COMMANDS if each.name != "order.create"],
    ids=lambda each: each.name,
)
def test_a_command_on_an_order_documents_every_answer_it_gives(
    document: dict[str, Any], command: Operation
) -> None:
    """K29, K41, R010: what is done, what waits and what is pending; each refusal by its code."""
    described = document["paths"][command.path]["post"]
    answers = described["responses"]
    assert set(answers) == {
        "200", "401", "403", "404", "408", "413", "422", "429", "500", "503",
        *(["409"] if command.name == "change.accept" else []),
    }  # fmt: skip
    shown = answers["200"]["content"]["application/json"]["examples"]
    assert {"final", "waiting", "pending"} <= set(shown)
    for each in shown.values():
        assert set(each["value"]) == {"status", "message", "log", *command.adds}
    refused = answers["422"]["content"]["application/json"]["examples"].values()
    codes = {each["value"].get("code") for each in refused} - {None}
    wanted = {Code.ORDER_AMBIGUOUS, Code.IDEMPOTENCY_KEY_REUSED}
    assert wanted | RULES.get(command.name, set()) <= codes
    missing = answers["404"]["content"]["application/json"]["examples"].values()
    assert all(list(each["value"]) == ["detail"] for each in missing)
    taken = described["requestBody"]["content"]
    assert set(taken) - {"multipart/form-data"} == {"application/json"}
    assert ("multipart/form-data" in taken) == (command.name == "order.save-bol-image")
    assert taken["application/json"]["examples"]


def test_the_operations_are_those_of_the_contract(document: dict[str, Any]) -> None:
    """R001, X01-X12: each path and method, and no other."""
    found = {f"{method} {path}" for path, ways in document["paths"].items() for method in ways}
    order = (
        "create", "get", "update", "cancel", "update_status", "save_bol", "save_drop",
        "save_bol_image", "change/create", "change/accept", "change/reject", "change/all",
        "request/accept", "request/reject", "receipt",
    )  # fmt: skip
    lists = ("tenants", "pairs", "records", "mappings")
    assert found == {
        *(f"post /v1/order/{name}" for name in order),
        *(f"{method} /v1/reference/{name}" for name in lists for method in ("get", "post")),
        *("post /v1/blobs", "get /v1/blobs/{blob_id}"),
        *("get /v1/order/{order_id}/timeline", "post /auth/token"),
    }


async def test_every_schema_is_served_as_it_is_published(client: httpx.AsyncClient) -> None:
    """What a client validates with, without a checkout."""
    listed = (await client.get("/schemas")).json()["schemas"]
    assert [each["name"] for each in listed] == [each.name for each in DOCUMENTS]
    for each in listed:
        served = await client.get(each["path"])
        assert served.headers["content-type"] == "application/json"
        assert served.json() == json_schema(DOCUMENT[each["name"]])
        assert each["direction"] == DOCUMENT[each["name"]].direction
    assert (await client.get("/schemas/no.v1.json")).status_code == 404


def test_what_a_body_is_shown_as_is_taken(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        for shown in content.get("application/json", {}).get("examples", {}).values():
            name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
            validator = Draft202012Validator(json_schema(DOCUMENT[name]))
            assert validator.is_valid(shown["value"]), path


def test_answers_that_ask_to_come_again_say_when(document: dict[str, Any]) -> None:
    for _, status, answer in responses(document):
        assert "X-Correlation-ID" in answer["headers"]
        if status in {"429", "503"}:
            assert "Retry-After" in answer["headers"]
        if status == "401":
            assert "WWW-Authenticate" in answer["headers"]


def test_no_refusal_sounds_as_if_it_could_be_sent_again(document: dict[str, Any]) -> None:
    for where, status, answer in responses(document):
        if status.startswith("4") and status != "429":
            assert set(answer["content"]) == {"application/json"}
            text = json.dumps(answer["content"])
            assert FORBIDDEN.search(text) is None, f"{where} {status}"


async def test_the_page_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "://" not in page.text
    links = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert len(links) == 3
    for link in links:
        assert (await client.get(link)).status_code == 200


async def test_the_console_leads_to_the_documentation(client: httpx.AsyncClient) -> None:
    response = await client.get("/console")
    assert (response.status_code, response.headers["location"]) == (307, "/docs")


async def test_an_unknown_path_is_404_with_one_sentence(client: httpx.AsyncClient) -> None:
    response = await client.get("/nowhere")
    assert (response.status_code, list(response.json())) == (404, ["detail"])
