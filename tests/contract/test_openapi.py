"""The OpenAPI page: it says what the wire's documents say, with an example for every answer."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from schemas.documents import DOCUMENTS
from schemas.generate import json_schema
from schemas.operations import OPERATIONS
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


@pytest.mark.parametrize("name", ["update_status", "save_bol", "save_drop", "save_bol_image"])
def test_a_command_of_the_drivers_side_documents_every_answer_it_gives(
    document: dict[str, Any], name: str
) -> None:
    described = document["paths"][f"/v1/order/{name}"]["post"]
    answers = described["responses"]
    assert set(answers) == {
        "200", "401", "403", "404", "408", "413", "422", "429", "500", "503",
    }  # fmt: skip
    assert set(answers["200"]["content"]["application/json"]["examples"]) == {
        "final",
        "waiting",
        "pending",
    }
    taken = described["requestBody"]["content"]
    assert set(taken) - {"multipart/form-data"} == {"application/json"}
    assert ("multipart/form-data" in taken) == (name == "save_bol_image")


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
