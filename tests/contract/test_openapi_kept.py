"""The OpenAPI document is kept: whatever is sent, only what it says is answered (R010, K29).

schemathesis makes requests from the document and compares each answer with it.
"""

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from schemas.operations import OPERATIONS
from tests.contract.served import Served

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# A command that became a dead letter has no answer to wait for.
HASTE = {"Prefer": "wait=0.2"}
# Tenants there are: with made-up ones hardly any request would get past its headers.
KNOWN = {**HASTE, "X-Tenant-Name": "acme", "X-Dest-Tenant-Name": "haul"}
LABELS = sorted(
    {
        f"{each.method} {each.path}"
        for each in OPERATIONS
        if each.document is not None or each.name.startswith(("blob.", "reference.", "order.time"))
    }
    | {"POST /auth/token"}
)


@pytest.fixture(scope="module")
def document(gateway: Served) -> Any:
    return schemathesis.openapi.from_url(f"{gateway.url}/openapi.json")


def test_every_operation_of_the_document_is_asked(document: Any) -> None:
    found = {result.ok().label for result in document.get_all_operations()}
    assert set(LABELS) == found


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ROUNDS = ["any-tenants", "known-tenants", "operator"]
WITH_JSON = [label for label in LABELS if label.startswith("POST /v1/") and "blobs" not in label]


def operation_of(document: Any, label: str) -> Any:
    method, _, path = label.partition(" ")
    return document[path][method]


def calm(examples: int) -> Any:
    """The same requests each time, so that a failure is one of the code."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def ask(document: Any, gateway: Served, label: str, asked: str, examples: int) -> None:
    """So many requests that the document allows, and as many that it does not."""
    headers = KNOWN if asked == "known-tenants" else HASTE
    key = gateway.operator_key if asked == "operator" else gateway.key
    for kind in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

        @given(case=operation_of(document, label).as_strategy(generation_mode=kind))
        @calm(examples)
        def one(case: Any) -> None:
            response = case.call(headers={"X-API-Key": key, **headers})
            case.validate_response(response, checks=CHECKS)

        one()


def ask_nearly_right(document: Any, gateway: Served, label: str, examples: int) -> None:
    """The examples of the document, with a member or two put out of order."""
    operation = operation_of(document, label)
    described = operation.definition.raw["requestBody"]["content"]["application/json"]
    shown = [each["value"] for each in described.get("examples", {}).values()]
    shown = shown or [described["example"]]

    @given(body=st.sampled_from(shown), changes=st.lists(st.tuples(st.randoms(), JSON), max_size=2))
    @calm(examples)
    def one(body: Any, changes: list[tuple[random.Random, Any]]) -> None:
        body = copy.deepcopy(body)
        for choose, value in changes:
            place = choose.choice(list(_places(body)))
            place[0][place[1]] = value
        case = operation.Case(method="POST", body=body, media_type="application/json")
        response = case.call(headers={"X-API-Key": gateway.operator_key, **KNOWN})
        case.validate_response(response, checks=CHECKS)

    one()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Where a document can be changed: container and key."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("asked", ROUNDS)
def test_only_what_is_documented_is_answered(
    document: Any, gateway: Served, label: str, asked: str
) -> None:
    ask(document, gateway, label, asked, 3)


@pytest.mark.parametrize("label", WITH_JSON)
def test_what_is_nearly_right_is_answered_as_documented(
    document: Any, gateway: Served, label: str
) -> None:
    ask_nearly_right(document, gateway, label, 25)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("asked", ROUNDS)
def test_only_what_is_documented_is_answered_at_length(
    document: Any, gateway: Served, asked: str
) -> None:
    for label in LABELS:
        ask(document, gateway, label, asked, 60)
    for label in WITH_JSON:
        ask_nearly_right(document, gateway, label, 200)
