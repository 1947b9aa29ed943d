"""Cancel, acceptance and receipts over HTTP, with the real pipeline behind it (X06-X08, K32)."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.domain.refusals import MISLEADING
from tests.integration.gateway_world import Trade, trading
from tests.integration.hub import LATE_PRODUCT, late_drops, mapping, order

PATHS = {
    "order/cancel": {},
    "order/request/accept": {"destination_order_number": "H-1"},
    "order/request/reject": {},
    "order/receipt": {"status": "received"},
}
ABOUT = {"order": {"order_number": "A1"}}


@pytest.fixture
async def trade(fresh_database: str) -> AsyncIterator[Trade]:
    async with trading(fresh_database) as made:
        yield made


async def by_hand(trade: Trade) -> None:
    """From now on Haul accepts ACME's orders by hand."""
    await trade.pipe.reference(
        "pair", {"origin": "acme", "destination": "haul", "acceptance": "manual"}
    )


async def asked(trade: Trade, number: str = "A1", **changes: Any) -> httpx.Response:
    """ACME's create, with a key of its own; the same again for the same number."""
    body = order(number, **changes)
    return await trade.world.ask(
        trade.acme, "order/create", body, partner="haul", Idempotency_Key=f"create-{number}"
    )


async def say(trade: Trade, path: str, *, by: str = "haul", **members: Any) -> httpx.Response:
    key, partner = {
        "haul": (trade.haul, "acme"),
        "acme": (trade.acme, "haul"),
        "eve": (trade.eve, "acme"),
    }[by]
    body = {**ABOUT, **PATHS[path], **members}
    return await trade.world.ask(key, path, body, partner=partner)


async def refused(trade: Trade, response: httpx.Response, status: int, code: str | None) -> Any:
    """The body of a refusal, which reads as no invitation and changed nothing."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body.get("code") == code
    assert not any(words in response.text.lower() for words in MISLEADING)
    return body


async def state(trade: Trade) -> Any:
    return await trade.world.pool.fetch(
        "SELECT delivery, receipt, destination_number, cancellation, last_receipt,"
        " origin_sequence, destination_sequence, updated_at FROM orders ORDER BY id"
    )


async def test_an_order_is_asked_for_and_accepted_and_its_create_answers_so(trade: Trade) -> None:
    await by_hand(trade)
    waiting = await asked(trade)
    assert (waiting.status_code, waiting.json()["status"]) == (200, "requested")
    answer = await say(trade, "order/request/accept", reason_code="ok")
    assert (answer.status_code, answer.json()["status"]) == (200, "synced"), answer.text
    assert answer.json()["order"]["drops"][0]["product"]["source_id"] == "d-reg"
    final = await asked(trade)
    assert (final.status_code, final.json()["status"]) == (200, "synced")
    assert final.json()["order"]["destination_order_number"] == "H-1"
    assert (await asked(trade)).content == final.content, "K32: byte for byte"
    for key, number in ((trade.acme, "A1"), (trade.haul, "H-1"), (trade.haul, "A1")):
        found = await trade.world.ask(key, "order/get", {"order_number": number})
        assert found.json()["status"] == "synced"
        assert found.json()["order"]["destination_order_number"] == "H-1"
    command = trade.world.broker.sent[1]
    assert (command.topic, command.key) == ("crossroads.orders", "A1")


async def test_a_rejected_order_refuses_its_create_and_says_why(trade: Trade) -> None:
    await by_hand(trade)
    await asked(trade)
    answer = await say(trade, "order/request/reject", reason_code="no truck")
    why = "The destination rejected the order. Reason: no truck"
    assert (answer.status_code, answer.json()["status"], answer.json()["message"]) == (
        200,
        "rejected",
        why,
    )
    body = await refused(trade, await asked(trade), 422, "order.rejected")
    assert body["detail"] == body["log"]["detail"]["message"] == why
    found = await trade.world.ask(trade.acme, "order/get", {"order_number": "A1"})
    assert found.json()["status"] == "rejected"


async def test_a_canceled_order_refuses_its_create_and_everything_after(trade: Trade) -> None:
    assert (await asked(trade, drops=late_drops())).json()["status"] == "origin_mapped"
    answer = await say(trade, "order/cancel", by="acme", reason_code="weather")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    await refused(trade, await asked(trade, drops=late_drops()), 422, "order.canceled")
    await trade.pipe.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    assert await trade.pipe.drain() == []
    again = await say(trade, "order/cancel", by="haul", reason_code="weather")
    assert (again.status_code, again.json()["status"]) == (200, "canceled")
    before = await state(trade)
    await refused(trade, await say(trade, "order/cancel"), 422, "request.order_canceled")
    await refused(trade, await say(trade, "order/receipt"), 422, "request.order_canceled")
    assert await state(trade) == before
    found = await trade.world.ask(trade.acme, "order/get", {"order_number": "A1"})
    assert (found.json()["status"], found.json()["failed_at_step"]) == ("canceled", None)


async def test_a_receipt_tells_the_origin_and_gives_the_number(trade: Trade) -> None:
    await trade.ordered()
    answer = await say(trade, "order/receipt", destination_order_number="H-1")
    receipt = answer.json()["receipt"]
    assert {**receipt, "at": None} == {
        "status": "received",
        "destination_order_number": "H-1",
        "reason_code": None,
        "message": None,
        "at": None,
    }
    failed = await say(trade, "order/receipt", status="failed", message="Down for an hour")
    assert (failed.json()["status"], failed.json()["receipt"]["message"]) == (
        "error",
        "Down for an hour",
    )
    found = await trade.world.ask(trade.haul, "order/get", {"order_number": "H-1"})
    assert (found.json()["status"], found.json()["failed_at_step"]) == ("error", "synced")


@pytest.mark.parametrize("path", [path for path in PATHS if path != "order/cancel"])
async def test_only_the_destination_says_what_becomes_of_an_order_there(
    trade: Trade, path: str
) -> None:
    """R065: 403, and nothing changed."""
    await by_hand(trade)
    await asked(trade)
    before = await state(trade)
    body = await refused(trade, await say(trade, path, by="acme"), 403, "request.not_allowed")
    assert set(body) == {"detail", "code"}
    assert await state(trade) == before


@pytest.mark.parametrize("path", PATHS)
async def test_an_order_of_another_pair_is_the_404_of_one_that_does_not_exist(
    trade: Trade, path: str
) -> None:
    """Guarantee 6: by id at once, byte for byte but for the id."""
    order_id = await trade.ordered()
    before = await state(trade)
    answers = [
        await say(trade, path, by="eve", order={"order_id": id_}) for id_ in (order_id, "0" * 24)
    ]
    assert [each.status_code for each in answers] == [404, 404]
    assert answers[0].text.replace(order_id, "0" * 24) == answers[1].text
    assert set(answers[0].json()) == {"detail"}
    both = await say(trade, path, order={"order_id": order_id, "order_number": "A2"})
    assert both.status_code == 404, "id and number disagree"
    assert await state(trade) == before


@pytest.mark.parametrize(
    ("path", "members", "wrong"),
    [
        ("order/cancel", {"order": None}, [["body", "order"]]),
        ("order/cancel", {"reason_code": "x" * 31}, [["body", "reason_code"]]),
        ("order/cancel", {"reason_code": 7}, [["body", "reason_code"]]),
        (
            "order/request/accept",
            {"destination_order_number": "", "reason_code": "x" * 31},
            [["body", "destination_order_number"], ["body", "reason_code"]],
        ),
        (
            "order/request/accept",
            {"destination_order_number": None},
            [["body", "destination_order_number"]],
        ),
        ("order/request/reject", {"order": "A1"}, [["body", "order"]]),
        ("order/receipt", {"status": "eaten"}, [["body", "status"]]),
    ],
)
async def test_a_body_that_breaks_its_schema_makes_no_command(
    trade: Trade, path: str, members: dict[str, Any], wrong: list[list[str]]
) -> None:
    await trade.ordered()
    sent = len(trade.world.broker.sent)
    body = await refused(trade, await say(trade, path, **members), 422, None)
    assert [each["loc"] for each in body["detail"]] == wrong
    assert len(trade.world.broker.sent) == sent


async def test_what_the_orders_state_does_not_allow_is_refused_and_changes_nothing(
    trade: Trade,
) -> None:
    await trade.ordered()
    await trade.ordered("A2")
    await say(trade, "order/receipt", destination_order_number="H-1", order={"order_number": "A2"})
    before = await state(trade)
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("order/request/accept", {}, "request.order_not_requested"),
        ("order/request/reject", {}, "request.order_not_requested"),
        ("order/receipt", {"destination_order_number": "H-1"}, "request.order_number_taken"),
    ]
    for path, members, code in cases:
        body = await refused(trade, await say(trade, path, **members), 422, code)
        assert body["log"]["detail"]["error"] == code
    assert await state(trade) == before
    renumbered = await say(
        trade,
        "order/receipt",
        destination_order_number="H-2",
        order={"order_number": "A2"},
    )
    body = await refused(trade, renumbered, 422, None)
    assert body["detail"][0]["type"] == "number_given"
    assert await state(trade) == before


@pytest.mark.parametrize("path", PATHS)
async def test_without_its_scope_or_its_pair_nothing_is_asked(trade: Trade, path: str) -> None:
    await trade.ordered()
    reader = await trade.world.credential("haul", scopes=["order:read"])
    body = {**ABOUT, **PATHS[path]}
    response = await trade.world.ask(reader.api_key, path, body, partner="acme")
    assert response.status_code == 403
    assert "scope" in response.json()["detail"]
    strangers = await trade.world.ask(trade.eve, path, body, partner="haul")
    assert (strangers.status_code, strangers.json()) == (
        403,
        {
            "detail": "There is no pair of these tenants in this direction.",
            "code": "request.no_such_pair",
        },
    )


async def test_the_timeline_of_a_canceled_order_tells_each_side_what_concerns_it(
    trade: Trade,
) -> None:
    await by_hand(trade)
    await asked(trade)
    found = await trade.world.ask(trade.acme, "order/get", {"order_number": "A1"})
    await say(trade, "order/cancel", by="acme", reason_code="weather")
    path = f"/v1/order/{found.json()['_id']}/timeline"
    lines = {}
    for name, key in (("acme", trade.acme), ("haul", trade.haul)):
        answer = await trade.world.client.get(path, headers={"X-API-Key": key})
        lines[name] = answer.json()["items"]
    assert [each["kind"] for each in lines["haul"]] == ["record", "record"]
    mine = [(each["kind"], each["detail"].get("code")) for each in lines["acme"]]
    assert ("answered", "order.canceled") in mine
    canceled = next(each for each in lines["acme"] if each["kind"] == "canceled")
    assert canceled["detail"] == {"by": "ACME Fuels", "reason_code": "weather"}
    assert [each[0] for each in mine].count("answered") == 2
