"""Each refusal of the documents: its status, text and code, and that nothing was stored (K28, K29).

Asked over HTTP, and of the pipeline as a record on the operation's topic, which is answered alike.
The rows are in `bad_requests.py`; they share one world, which no refusal may change.
"""

import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from schemas.codes import Code, code_catalogue
from schemas.operations import OPERATIONS, SCOPES
from services.domain import settling
from services.domain.refusals import MISLEADING
from services.gateway import caller
from tests.conftest import _copy, _drop, dsn_of
from tests.contract.bad_requests import ALL, Bad
from tests.integration.gateway_world import Trade, trading
from tests.integration.hub import late_drops, order

pytestmark = pytest.mark.asyncio(loop_scope="module")

TESTS = Path(__file__).parents[1]
STORED = ("orders", "order_events", "order_changes", "lane_commands", "gaps", "blobs", "mappings",
          "tenants", "pairs")  # fmt: skip
TYPE_OF = {each.path.removeprefix("/v1/"): each for each in OPERATIONS if each.base is not None}


@dataclass
class World:
    """The companies, what stands for a name in the rows, and keys by who has them."""

    trade: Trade
    names: Mapping[str, str]
    keys: Mapping[str, str | None]

    def filled(self, value: Any) -> Any:
        if isinstance(value, str):
            for name, known in self.names.items():
                value = value.replace(f"{{{name}}}", known)
            return value
        if isinstance(value, dict):
            return {name: self.filled(member) for name, member in value.items()}
        return [self.filled(item) for item in value] if isinstance(value, list) else value

    async def stored(self) -> dict[str, Any]:
        """All that a refusal leaves as it is: rows, and records to either side."""
        pool = self.trade.world.pool
        found: dict[str, Any] = {
            table: await pool.fetchval(f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text))"
                                       f" FROM {table} AS t")
            for table in STORED
        }  # fmt: skip
        sync = "SELECT count(*) FROM outbox WHERE topic LIKE 'crossroads.sync.%'"
        return {**found, "sync": await pool.fetchval(sync)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(postgres_dsn: str, template_database: str) -> AsyncIterator[World]:
    """An order at every stage, and changes that are pending, stale and settled."""
    name = f"refused_{secrets.token_hex(4)}"
    await _copy(postgres_dsn, template_database, name)
    async with trading(dsn_of(postgres_dsn, name)) as trade:
        credential = trade.world.credential
        keys = {
            "acme": trade.acme,
            "haul": trade.haul,
            "eve": trade.eve,
            "reader": (await credential("acme", scopes=["order:read"])).api_key,
            "both": (await credential("acme", "haul", scopes=SCOPES)).api_key,
            "a stranger": "xr_nothing_of_ours",
            "nobody": None,
        }
        names = {
            "missing": caller.MISSING,
            "invalid": caller.INVALID,
            "not_the_destination": settling.NOT_THE_DESTINATION,
            **await traded(trade),
        }
        yield World(trade, names, keys)
    await _drop(postgres_dsn, name)


async def told(trade: Trade, who: str, path: str, body: Any, **headers: str) -> Any:
    """What a request that is in order is answered."""
    key, partner = (trade.acme, "haul") if who == "acme" else (trade.haul, "acme")
    response = await trade.world.ask(key, path, body, partner=partner, **headers)
    assert response.status_code == 200, response.text
    return response.json()


async def traded(trade: Trade) -> dict[str, str]:
    """The stages; the ids that rows name."""
    names = {"sent": await trade.ordered("SENT")}
    await told(trade, "acme", "order/create", order("KEYED"), Idempotency_Key="bad-requests")
    for number in ("COMPLETE", "CANCELED", "REJECTED", "NUMBERED", "P", "S", "T"):
        await trade.ordered(number)
    of = {number: {"order": {"order_number": number}} for number in
          ("COMPLETE", "CANCELED", "REJECTED", "NUMBERED", "P", "S", "T")}  # fmt: skip
    complete = {**of["COMPLETE"], "progress_status": "complete"}
    await told(trade, "haul", "order/update_status", complete)
    await told(trade, "acme", "order/cancel", {**of["CANCELED"], "reason_code": "weather"})
    await told(trade, "haul", "order/receipt", {**of["REJECTED"], "status": "rejected"})
    numbered = {**of["NUMBERED"], "status": "received", "destination_order_number": "H-1"}
    await told(trade, "haul", "order/receipt", numbered)
    await told(trade, "acme", "order/create", order("GAP", drops=late_drops()))
    pair = {"origin": "acme", "destination": "haul"}
    await trade.pipe.reference("pair", {**pair, "acceptance": "manual"})
    await told(trade, "acme", "order/create", order("REQUESTED"))
    await trade.pipe.reference("pair", {**pair, "acceptance": "auto"})
    for name, number in (("pending", "P"), ("stale", "S"), ("settled", "T")):
        body = {**of[number], "note": "proposed"}
        made = await told(trade, "acme", "order/change/create", body)
        names[name] = made["order_change"]["id"]
    await told(trade, "acme", "order/update", {**of["S"], "po": "moved"})
    await told(trade, "haul", "order/change/reject", {"id": names["settled"]})
    return names


def where(body: Any) -> Any:
    """The entries of a 422 by place and type, or its sentence."""
    if isinstance(body["detail"], str):
        return body["detail"]
    assert all(set(entry) == {"loc", "msg", "type"} and entry["msg"] for entry in body["detail"])
    return [(".".join(map(str, each["loc"])), each["type"]) for each in body["detail"]]


def shaped(status: int, body: Mapping[str, Any]) -> None:
    """K29: what stands beside the detail."""
    if status == 422 and isinstance(body["detail"], str):
        assert set(body) == {"detail", "code", "log"}
        if body["log"] is not None:
            assert body["log"]["detail"]["error"] == body["code"]
            assert body["log"]["status"] == "refused"
    elif status in {403, 409}:
        assert set(body) <= {"detail", "code"}
    else:
        assert set(body) == {"detail"}
    text = orjson.dumps(body).decode().lower()
    assert not any(words in text for words in MISLEADING)


# Refusals that need more than a request: time, a limit, a large order, two pairs, an operator.
ELSEWHERE = {
    "K42": "integration/test_unknown_numbers.py",
    "K31": "integration/test_gateway_access.py",
    "K34": "integration/test_gateway_bad_input.py",
    "X06": "integration/test_manual_acceptance.py",
    "X08": "integration/test_cancel.py",
}
# What the requirements refuse with a 4xx.
REFUSING = {
    *("R004", "R008", "R011", "R012", "R015", "R016", "R018", "R021", "R022", "R023", "R024"),
    *("R025", "R026", "R027", "R031", "R036", "R037", "R041", "R049", "R052", "R053", "R075"),
    *("R076", "R082", "K01", "K03", "K05", "K06", "K08", "K09", "K12", "K14", "K26", "K27", "K28"),
    *("K29", "K31", "K32", "K34", "K35", "K36", "K37", "K42", "X01", "X02", "X03", "X04", "X06"),
    *("X07", "X08", "X09"),
}


async def test_every_number_that_refuses_something_has_its_requests() -> None:
    """R011 is the shape of all of them."""
    asked = {number for bad in ALL for number in bad.numbers.split()}
    assert REFUSING - asked - set(ELSEWHERE) == {"R011"}
    for number, name in ELSEWHERE.items():
        assert number in (TESTS / name).read_text()


async def test_every_code_of_a_refusal_is_expected_by_a_test() -> None:
    """K29: by its word, or by its name in the catalogue."""
    texts = [path.read_text() for path in TESTS.rglob("*.py")]
    for code in Code:
        if code_catalogue()[code].outcome == "refused":
            assert any(f'"{code.value}"' in text or f"Code.{code.name}" in text for text in texts)


@pytest.mark.parametrize("bad", ALL, ids=lambda bad: f"{bad.path}-{bad.numbers}")
async def test_a_bad_request_is_answered_as_it_should_be_and_stores_nothing(
    world: World, bad: Bad
) -> None:
    """R011, R036, R049, K01, K03, K05, K08, K09, K12, K16, K26-K32, K34-K37, X01-X04, X06-X09."""
    before, sent = await world.stored(), len(world.trade.world.broker.sent)
    partner = bad.partner if bad.partner is not None else _other(bad.who)
    headers = {**bad.headers, **({"X-Dest-Tenant-Name": partner} if partner else {})}
    key = world.keys[bad.who]
    if key is not None:
        headers["X-API-Key"] = key
    body = world.filled(bad.body)
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    answer = await world.trade.world.client.post(
        f"/v1/{bad.path}", content=content, headers=headers
    )
    assert (answer.status_code, where(answer.json())) == (bad.status, world.filled(bad.detail))
    assert answer.json().get("code") == bad.code
    assert answer.headers["content-type"] == "application/json"
    assert ("www-authenticate" in answer.headers) == (bad.status == 401)
    shaped(answer.status_code, answer.json())
    if not bad.on_kafka and "Idempotency-Key" not in bad.headers:
        assert len(world.trade.world.broker.sent) == sent, "no command was made"
    if bad.on_kafka:
        await _the_same_on_kafka(world, bad, partner, answer.json())
    assert await world.stored() == before


def _other(who: str) -> str:
    return "acme" if who in {"haul", "eve"} else "haul"


async def _the_same_on_kafka(world: World, bad: Bad, partner: str, answered: Any) -> None:
    """X11: the result has HTTP's status and body; but for what is another's in each log."""
    asked = TYPE_OF[bad.path]
    record = world.trade.pipe.record(
        asked.name,
        world.filled(bad.body),
        topic=asked.base,
        origin=bad.who,
        partner=partner or None,
        headers={
            f"ce_{name.lower().removeprefix('x-').removesuffix('-name').replace('-', '')}": (
                text.encode()
            )
            for name, text in bad.headers.items()
        },
    )
    [result] = [each["value"] for each in await world.trade.pipe.process(record)]
    assert (result["outcome"], result["http_status"]) == ("refused", bad.status)
    code = "request.invalid" if isinstance(bad.detail, list) else bad.code or bad.told
    assert result["code"] == code
    for body in (answered, result["body"]):
        if body.get("log") is not None:
            body["log"] = sorted(body["log"])
    assert result["body"] == answered
