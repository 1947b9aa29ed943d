"""The documents' own requests and examples, word for word, against the hub (R001-R011).

`documents/` has the JSON of their example answers, untouched.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.documents import DOCUMENTS
from schemas.generate import json_schema
from schemas.operations import SCOPES, operation
from tests.integration.gateway_world import Trade, trading
from tests.integration.hub import order, status

FOLDER = Path(__file__).parent / "documents"
# Where an example's operation answers with the document it shows.
ANSWERS = {
    "update_status": ("order.update-status", "order.update-status.answer.v1"),
    "order_get": ("order.get", "order.document.v1"),
    "change_accept": ("change.accept", "change.accept.answer.v1"),
}
PATHS = {
    "/v1/order/create": "order.create",
    "/v1/order/get": "order.get",
    "/v1/order/update_status": "order.update-status",
    "/v1/order/change/accept": "change.accept",
}
SERVED = {name for name in PATHS.values() if operation(name).document is not None}


def example(name: str) -> Any:
    return orjson.loads((FOLDER / f"{name}.json").read_bytes())


EXAMPLES = {path.stem: example(path.stem) for path in sorted(FOLDER.glob("*.json"))}


def members(value: Any, path: str = "") -> Iterator[str]:
    """Every member of a document, by its way from the top; items of lists are one."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{path}.{name}"
            yield from members(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from members(item, path)


def described(schema: Any, root: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Every member that a JSON Schema describes."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from described(branch, root, path)
    if isinstance(schema.get("items"), dict):
        yield from described(schema["items"], root, path)
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from described(inner, root, f"{path}.{name}")


@pytest.fixture
async def trade(fresh_database: str) -> AsyncIterator[Trade]:
    async with trading(fresh_database) as made:
        yield made


async def everything(trade: Trade) -> str:
    """A key of ACME's that may do everything."""
    return (await trade.world.credential("acme", scopes=SCOPES)).api_key


@pytest.mark.parametrize(
    ("name", "document"), [(name, doc) for name, (of, doc) in ANSWERS.items() if of in SERVED]
)
def test_every_member_of_a_documents_example_is_described(name: str, document: str) -> None:
    """R039, R055, R085, R089, R090, R094, R095, R096, R098."""
    [adapter] = [each for each in DOCUMENTS if each.name == document]
    schema = json_schema(adapter)
    assert set(members(EXAMPLES[name])) <= set(described(schema, schema))


async def test_an_answered_status_has_every_member_of_the_example(trade: Trade) -> None:
    """R069, R085, R096, R098, K30."""
    await trade.ordered()
    answered = await trade.world.ask(
        trade.haul, "order/update_status", status("A1", assigned_to="K"), partner="acme"
    )
    assert answered.status_code == 200
    # A place is told under the name it was sent with; the other is null (K12).
    nested = {each for each in members(EXAMPLES["update_status"]) if ".site." in each}
    assert set(members(EXAMPLES["update_status"])) - nested <= set(members(answered.json()))


async def test_get_answers_every_member_of_the_example(trade: Trade) -> None:
    """R089, R090, R039, K08: with a blend's loads; papers are checked with theirs."""
    [drop] = order("")["drops"]
    load = {"terminal": {"source_id": "o-north"}, "supplier": {"source_id": "o-sup"}}
    await trade.ordered(drops=[{**drop, "loads": [load]}], supply_owner={"source_id": "o-sup"})
    found = await trade.world.ask(trade.acme, "order/get", {"order_number": "A1"})
    papers = (".bols.", ".bol_photos.", ".executed_drops.", ".products.")
    wanted = {each for each in members(EXAMPLES["order_get"]) if not any(p in each for p in papers)}
    assert wanted <= set(members(found.json()))


async def test_an_accepted_change_is_answered_with_every_member_of_the_example(
    trade: Trade,
) -> None:
    """R094, R095, K10, K44: the order, and its row of both sides and the hub."""
    [drop] = order("")["drops"]
    await trade.ordered(supply_owner={"source_id": "o-sup"})
    load = {"terminal": {"source_id": "o-north"}, "supplier": {"source_id": "o-sup"}}
    proposed = {"order": {"order_number": "A1"}, "drops": [{**drop, "loads": [load]}]}
    made = await trade.world.ask(trade.acme, "order/change/create", proposed, partner="haul")
    assert made.status_code == 200, made.text
    accept = {"id": made.json()["order_change"]["id"]}
    answered = await trade.world.ask(trade.haul, "order/change/accept", accept, partner="acme")
    assert answered.status_code == 200, answered.text
    papers = (".bols.", ".bol_photos.", ".executed_drops.", ".products.")
    wanted = {
        each for each in members(EXAMPLES["change_accept"]) if not any(p in each for p in papers)
    }
    assert wanted <= set(members(answered.json()))


@pytest.mark.parametrize("path", [path for path, name in PATHS.items() if name in SERVED])
async def test_the_four_operations_are_post_with_json(trade: Trade, path: str) -> None:
    """R001."""
    key = await everything(trade)
    headers = {"X-API-Key": key, "X-Dest-Tenant-Name": "haul"}
    assert (await trade.world.client.get(path, headers=headers)).status_code == 405
    form = await trade.world.client.post(path, data={"order_number": "A1"}, headers=headers)
    assert form.status_code == 422
    assert [error["loc"] for error in form.json()["detail"]] == [["body"]]


@pytest.mark.parametrize("path", [path for path, name in PATHS.items() if name in SERVED])
@pytest.mark.parametrize("name", list(EXAMPLES))
async def test_an_example_sent_as_a_request_is_taken_or_refused_as_the_documents_say(
    trade: Trade, path: str, name: str
) -> None:
    """R010, R011, K29: 200 or 422, or 404 where there is none; a 422 is the documents' own."""
    key = await everything(trade)
    shown = set(members(EXAMPLES["validation_error"]))
    whole = EXAMPLES[name]
    for body in (whole, *(inner for inner in whole.values() if isinstance(inner, dict))):
        answered = await trade.world.ask(key, path.removeprefix("/v1/"), body, partner="haul")
        assert answered.status_code in {200, 404, 422}, answered.text
        if isinstance(answered.json().get("detail"), list):
            assert set(members(answered.json())) == shown


async def test_create_takes_the_documents_headers(trade: Trade) -> None:
    """R002, R003, R004, R005."""
    path, ask = "order/create", trade.world.ask
    said = {"X_Tenant_Name": "ACME Fuels", "partner": "HAUL Haul"}
    for number, system in (("H1", {}), ("H2", {"X_Origin_System_Name": "dispatch"})):
        answered = await ask(trade.acme, path, order(number), **said, **system)
        assert (answered.status_code, answered.json()["status"]) == (200, "synced")
    without = await ask(trade.acme, path, order("H3"), X_Tenant_Name="ACME Fuels")
    assert without.status_code == 422
    assert without.json()["detail"][0]["loc"] == ["header", "x-dest-tenant-name"]
    unknown = await ask(trade.acme, path, order("H3"), **said, X_Origin_System_Name="no")
    assert unknown.json()["detail"][0]["loc"] == ["header", "x-origin-system-name"]
    reader = (await trade.world.credential("acme", scopes=["order:read"])).api_key
    refused = await ask(reader, path, order("H3"), **said)
    assert (refused.status_code, "order:create" in refused.json()["detail"]) == (403, True)


async def test_a_status_takes_the_documents_headers(trade: Trade) -> None:
    """R006, R007, R008."""
    await trade.ordered()
    path, ask = "order/update_status", trade.world.ask
    for said in ({}, {"X_Tenant_Name": "HAUL Haul"}):
        assert (
            await ask(trade.haul, path, status("A1"), partner="acme", **said)
        ).status_code == 200
    without = await ask(trade.haul, path, status("A1"))
    assert without.status_code == 422
    assert without.json()["detail"][0]["loc"] == ["header", "x-dest-tenant-name"]
    named = {"X_Origin_Instance_Name": "nowhere"}
    unknown = await ask(trade.haul, path, status("A1"), partner="acme", **named)
    assert unknown.json()["detail"][0]["loc"] == ["header", "x-origin-instance-name"]


async def test_get_needs_no_other_tenant_and_takes_the_documents_body(trade: Trade) -> None:
    """R009, R012, R013, R014, K08."""
    order_id = await trade.ordered()
    for key in (trade.acme, trade.haul):
        for named in ({"order_number": "A1"}, {"order_id": order_id}):
            found = await trade.world.ask(key, "order/get", {"order": named})
            assert (found.status_code, found.json()["_id"]) == (200, order_id)
    assert (await trade.world.ask(trade.eve, "order/get", {"order": named})).status_code == 404
