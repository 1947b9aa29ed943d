"""Changes over HTTP, with the real pipeline behind it (R015-R017, R091-R095, K10, K35, X01-X04)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from services.gateway import changes as listing
from tests.integration.gateway_world import Taken, Trade, trading
from tests.integration.hub import order

SCOPES = (
    "order:create",
    "order:read",
    "order:update",
    "order:cancel",
    "order:update_status",
    "order_change:read",
    "order_change:accept",
    "order_change:reject",
)
NOTE = {"order": {"order_number": "A1"}, "note": "Gate 4"}
BY_NUMBER = {"order": {"origin_order_number": "A1"}}


@pytest.fixture
async def trade(fresh_database: str) -> AsyncIterator[Trade]:
    async with trading(fresh_database) as made:
        keys = [
            (await made.world.credential(slug, scopes=SCOPES)).api_key
            for slug in ("acme", "haul", "eve")
        ]
        yield replace(made, acme=keys[0], haul=keys[1], eve=keys[2])


async def told(trade: Trade, key: str, path: str, body: Any, partner: str) -> Any:
    response = await trade.world.ask(key, path, body, partner=partner)
    assert response.status_code == 200, response.text
    return response.json()


async def proposed(trade: Trade, **members: Any) -> str:
    """The id of a change that ACME proposes to Haul."""
    body = {"order": {"order_number": "A1"}, **(members or {"note": "Gate 4"})}
    answer = await told(trade, trade.acme, "order/change/create", body, "haul")
    change_id: str = answer["order_change"]["id"]
    return change_id


async def listed(trade: Trade, key: str, partner: str | None = None, **filters: Any) -> list[Any]:
    body = filters or {"status": "requested"}
    answer = await told(trade, key, "order/change/all", body, partner or "")
    found: list[Any] = answer["changes"]
    return found


async def counts(trade: Trade) -> dict[str, int]:
    """How much is stored of what a refusal must not store."""
    tables = ("order_changes", "lane_commands", "gaps", "order_events")
    return {
        name: await trade.world.pool.fetchval(f"SELECT count(*) FROM {name}") for name in tables
    }


async def test_x01_an_update_is_applied_and_answered_in_the_callers_words(trade: Trade) -> None:
    await trade.ordered()
    answer = await told(trade, trade.acme, "order/update", {**NOTE, "colour": 1}, "haul")
    assert set(answer) == {"status", "message", "log", "order", "order_change"}
    assert (answer["status"], answer["order_change"]) == ("synced", None)
    assert answer["message"] == "Ignored unknown fields: colour"
    assert answer["order"]["note"] == "Gate 4"
    assert answer["log"]["saga_type"] == "update_order"
    for key in (trade.acme, trade.haul):
        found = (await trade.world.ask(key, "order/get", {"order_number": "A1"})).json()
        assert [found[name]["note"] for name in ("origin_order", "destination_order", "order")] == [
            "Gate 4"
        ] * 3
        assert found["status"] == "synced"
    command = trade.world.broker.sent[-1]
    assert (command.topic, command.key) == ("crossroads.changes", "A1")


async def test_r091_to_r095_a_change_is_proposed_listed_and_accepted(trade: Trade) -> None:
    order_id = await trade.ordered()
    drops = [{**order("")["drops"][0], "volume": 6000}]
    change_id = await proposed(trade, drops=drops)
    [mine] = await listed(trade, trade.acme)
    [theirs] = await listed(trade, trade.haul)
    assert mine == theirs
    assert (mine["id"], mine["change_types"]) == (change_id, ["volume_change"])
    answer = await told(trade, trade.haul, "order/change/accept", {"id": change_id}, "acme")
    assert set(answer) == {"status", "message", "log", "order", "order_row"}
    assert (answer["status"], answer["order"]["drops"][0]["volume"]) == ("synced", 6000)
    assert answer["log"]["saga_type"] == "change_order"
    row = answer["order_row"]
    assert set(row) == {"internal_order", "partner_order", "gravitate_order"}
    assert {side["id"] for side in row.values()} == {order_id}
    assert row["internal_order"]["destinations"] == ["D main"]
    assert row["partner_order"]["destinations"] == ["O main"]
    assert row["gravitate_order"]["destinations"] == ["Main Street"]
    assert row["internal_order"]["partner_order_number"] == "A1"
    assert await listed(trade, trade.acme) == []
    [done] = await listed(trade, trade.acme, status="synced")
    assert done["id"] == change_id
    assert trade.world.broker.sent[-1].key == change_id


async def test_x03_a_change_is_rejected_by_its_order(trade: Trade) -> None:
    await trade.ordered()
    change_id = await proposed(trade)
    body = {**BY_NUMBER, "reason_code": "no truck"}
    answer = await told(trade, trade.haul, "order/change/reject", body, "acme")
    change = answer["order_change"]
    assert (change["id"], change["status"], change["reason_code"]) == (
        change_id,
        "rejected",
        "no truck",
    )
    assert trade.world.broker.sent[-1].key == "A1"


async def test_x01_validate_only_stores_nothing_but_its_answer(trade: Trade) -> None:
    await trade.ordered()
    before = await counts(trade)
    body = {**NOTE, "validate_only": True}
    answer = await told(trade, trade.acme, "order/update", body, "haul")
    assert answer["message"] == "Nothing was done. It would be applied: note_change."
    answer = await told(trade, trade.acme, "order/change/create", body, "haul")
    assert (answer["order_change"], answer["status"]) == (None, "synced")
    assert await counts(trade) == before
    found = (await trade.world.ask(trade.acme, "order/get", {"order_number": "A1"})).json()
    assert found["order"]["note"] is None


# -- refusals: text, code, and that nothing is stored


async def refused(
    trade: Trade, key: str, path: str, body: Any, partner: str = "acme"
) -> tuple[int, Any]:
    before = await counts(trade)
    changes = await trade.world.pool.fetch("SELECT * FROM order_changes ORDER BY id")
    orders = await trade.world.pool.fetch("SELECT * FROM orders ORDER BY id")
    response = await trade.world.ask(key, path, body, partner=partner)
    assert await counts(trade) == before
    assert await trade.world.pool.fetch("SELECT * FROM order_changes ORDER BY id") == changes
    assert await trade.world.pool.fetch("SELECT * FROM orders ORDER BY id") == orders
    body = response.json()
    if isinstance(body.get("log"), dict):
        assert body["log"]["detail"]["error"] == body["code"]
        body["log"] = "its log"
    return response.status_code, body


def rule(code: str, detail: str) -> tuple[int, Any]:
    return 422, {"detail": detail, "code": code, "log": "its log"}


MISS = (404, {"detail": "There is no such change."})
ACCEPT, REJECT = "order/change/accept", "order/change/reject"


async def test_x04_the_proposer_may_not_accept_its_own_change(trade: Trade) -> None:
    await trade.ordered()
    change_id = await proposed(trade)
    for body in ({"id": change_id}, BY_NUMBER):
        assert await refused(trade, trade.acme, ACCEPT, body, "haul") == rule(
            "change.not_yours", "Only the other side of a proposal may accept it."
        )


async def test_x04_a_stale_change_is_409_and_nothing_changes(trade: Trade) -> None:
    await trade.ordered()
    body = {"order": {"order_number": "A1"}, "po": "P-9"}
    await told(trade, trade.haul, "order/update", body, "acme")
    await told(trade, trade.acme, "order/update", NOTE, "haul")
    assert await refused(trade, trade.acme, ACCEPT, BY_NUMBER, "haul") == (
        409,
        {
            "detail": "The order was changed after this change was proposed.",
            "code": "change.stale",
        },
    )
    [change] = await listed(trade, trade.acme)
    assert change["status"] == "requested"


@pytest.mark.parametrize("path", [ACCEPT, REJECT])
async def test_x04_a_superseded_or_settled_change_is_settled(trade: Trade, path: str) -> None:
    await trade.ordered()
    superseded = await proposed(trade)
    settled = await proposed(trade, note="Gate 5")
    await told(trade, trade.haul, REJECT, BY_NUMBER, "acme")
    for change_id in (superseded, settled):
        assert await refused(trade, trade.haul, path, {"id": change_id}) == rule(
            "change.settled", "The change was accepted or rejected before."
        )
    assert await refused(trade, trade.haul, path, BY_NUMBER) == MISS


@pytest.mark.parametrize("path", [ACCEPT, REJECT])
async def test_g6_another_pairs_change_and_order_are_the_same_404(trade: Trade, path: str) -> None:
    order_id = await trade.ordered()
    change_id = await proposed(trade)
    for body in (
        {"id": change_id},
        {"id": "0" * 24},
        {"order": {"order_id": order_id}},
        {"order": {"order_id": "0" * 24}},
        {"id": change_id, "order": {"order_id": "0" * 24}},
    ):
        assert await refused(trade, trade.eve, path, body) == MISS


@pytest.mark.parametrize("path", ["order/update", "order/change/create"])
async def test_k26_orders_that_take_nothing_more(trade: Trade, path: str) -> None:
    await trade.ordered()
    complete = {"order": {"order_number": "A1"}, "progress_status": "complete"}
    await told(trade, trade.haul, "order/update_status", complete, "acme")
    assert await refused(trade, trade.acme, path, NOTE, "haul") == rule(
        "request.order_already_complete", "The order is complete and takes no further change."
    )
    await trade.ordered("A2")
    named = {"order": {"order_number": "A2"}}
    await told(trade, trade.acme, "order/cancel", named, "haul")
    assert await refused(trade, trade.acme, path, {**NOTE, **named}, "haul") == rule(
        "request.order_canceled", "The order is canceled and takes nothing more."
    )


@pytest.mark.parametrize("path", ["order/update", "order/change/create"])
@pytest.mark.parametrize(
    ("members", "loc", "kind"),
    [
        ({}, ["body"], "nothing_to_change"),
        ({"drops": []}, ["body", "drops"], "too_short"),
        ({"drops": None}, ["body", "drops"], "list_type"),
        ({"note": "n" * 301}, ["body", "note"], "string_too_long"),
        ({"supply_owner": {}}, ["body", "supply_owner"], "key_required"),
        ({"supply_owner": {"source_id": "?"}}, ["body", "supply_owner"], "unmapped"),
        ({"note": "x", "validate_only": 1}, ["body", "validate_only"], "bool_type"),
    ],
)
async def test_k28_what_is_wrong_is_named_by_field(
    trade: Trade, path: str, members: dict[str, Any], loc: list[Any], kind: str
) -> None:
    await trade.ordered()
    body = {"order": {"order_number": "A1"}, **members}
    status, answer = await refused(trade, trade.acme, path, body, "haul")
    assert status == 422
    assert (answer["detail"][0]["loc"], answer["detail"][0]["type"]) == (loc, kind)


SCOPE_OF = {
    "order/update": "order:update",
    "order/change/create": "order:update",
    ACCEPT: "order_change:accept",
    REJECT: "order_change:reject",
    "order/change/all": "order_change:read",
}


@pytest.mark.parametrize(("path", "scope"), SCOPE_OF.items())
async def test_a_missing_scope_is_403_naming_it(trade: Trade, path: str, scope: str) -> None:
    poor = (await trade.world.credential("acme", scopes=("order:read",))).api_key
    status, body = await refused(trade, poor, path, NOTE, "haul")
    assert status == 403
    assert scope in body["detail"]


async def test_no_such_pair_is_403(trade: Trade) -> None:
    told_ = {
        "detail": "There is no pair of these tenants in this direction.",
        "code": "request.no_such_pair",
    }
    assert await refused(trade, trade.haul, "order/update", NOTE, "eve") == (403, told_)


# -- the list


async def test_x02_each_filter_and_all_of_them_together(trade: Trade) -> None:
    for number in ("A1", "A2", "A3"):
        await trade.ordered(number)
    first = await proposed(trade)
    await told(trade, trade.haul, ACCEPT, {"id": first}, "acme")
    for number, members in (("A2", {"po": "P"}), ("A3", {"note": "N", "po": "P"})):
        body = {"order": {"order_number": number}, **members}
        await told(trade, trade.acme, "order/change/create", body, "haul")

    async def numbers(**filters: Any) -> list[str]:
        found = await listed(trade, trade.haul, **filters)
        return [each["origin_order_number"] for each in found]

    assert await numbers(status="requested") == ["A3", "A2"]
    assert await numbers(status="synced") == ["A1"]
    assert await numbers(status="rejected") == []
    assert await numbers(order_numbers=["A1", "A3", "A9"]) == ["A3", "A1"]
    assert await numbers(change_types=["note_change"]) == ["A3", "A1"]
    assert await numbers(change_types=["note_change"], status="requested") == ["A3"]
    assert await numbers(as_of="2100-01-01T00:00:00Z") == []
    [a1] = await listed(trade, trade.haul, status="synced")
    [a3, a2] = await listed(trade, trade.haul, status="requested")
    assert await numbers(as_of=a2["created_on"]) == ["A3", "A2"]
    assert await numbers(updated_as_of=a1["updated_on"]) == ["A3", "A2", "A1"]
    between = {"start": a1["created_on"], "end": a3["created_on"]}
    assert await numbers(between=between) == ["A2", "A1"]
    assert await numbers(as_of=a3["created_on"].removesuffix("Z")) == ["A3"]


async def test_x02_g6_only_the_callers_pairs_are_listed(trade: Trade) -> None:
    await trade.ordered("A1")
    await trade.ordered("A2", "eve")
    await proposed(trade)
    body = {"order": {"order_number": "A2"}, "note": "N"}
    await told(trade, trade.acme, "order/change/create", body, "eve")
    assert [each["origin_order_number"] for each in await listed(trade, trade.acme)] == ["A2", "A1"]
    assert [each["origin_order_number"] for each in await listed(trade, trade.haul)] == ["A1"]
    assert [each["origin_order_number"] for each in await listed(trade, trade.eve)] == ["A2"]
    assert await listed(trade, trade.eve, order_numbers=["A1"]) == []
    only = await listed(trade, trade.acme, "haul")
    assert [each["origin_order_number"] for each in only] == ["A1"]
    assert await listed(trade, trade.acme, "nobody at all") == []


async def test_k01_a_credential_of_both_sides_is_told_a_change_once(trade: Trade) -> None:
    await trade.ordered()
    await proposed(trade)
    both = (await trade.world.credential("acme", "haul", scopes=SCOPES)).api_key
    assert len(await listed(trade, both)) == 1


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, [(["body"], "filter_required")]),
        ({"order_numbers": [], "status": None}, [(["body"], "filter_required")]),
        ({"status": "pending"}, [(["body", "status"], "literal_error")]),
        ({"change_types": ["colour"]}, [(["body", "change_types", 0], "literal_error")]),
        (
            {"as_of": "2026-01-01T00:00:00Z", "updated_as_of": "2026-01-01T00:00:00Z"},
            [(["body", "updated_as_of"], "filters_exclude")],
        ),
        (
            {"between": {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}},
            [(["body", "between", "end"], "window_order")],
        ),
        ({"as_of": "yesterday"}, [(["body", "as_of"], "datetime_parsing")]),
    ],
)
async def test_x02_filters_that_are_wrong_are_named(
    trade: Trade, body: dict[str, Any], wrong: list[Any]
) -> None:
    response = await trade.world.ask(trade.acme, "order/change/all", body)
    assert response.status_code == 422
    assert [(each["loc"], each["type"]) for each in response.json()["detail"]] == wrong


async def test_x02_more_than_are_shown_is_said(
    trade: Trade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST", 2)
    await trade.ordered()
    ids = [await proposed(trade, note=f"N{at}") for at in range(3)]
    body = {"order_numbers": ["A1"]}
    response = await trade.world.ask(trade.acme, "order/change/all", body)
    answer = response.json()
    assert [each["id"] for each in answer["changes"]] == ids[:0:-1]
    assert answer["message"] == listing.NOT_ALL
    assert (answer["status"], answer["log"]) == ("synced", None)


async def test_k41_a_proposal_whose_record_is_not_acknowledged_yet_is_pending(trade: Trade) -> None:
    await trade.ordered()
    broker = trade.world.broker
    assert isinstance(broker, Taken)
    broker.keep = True
    response = await trade.world.ask(
        trade.acme, "order/change/create", NOTE, partner="haul", Prefer="wait=0"
    )
    assert response.json() == {
        "status": "pending",
        "message": "The request was accepted and is being processed.",
        "log": None,
        "order_change": None,
    }


async def test_a5_each_side_sees_the_change_in_the_orders_timeline(trade: Trade) -> None:
    order_id = await trade.ordered()
    change_id = await proposed(trade)
    await told(trade, trade.haul, ACCEPT, {"id": change_id}, "acme")
    for key, kind in ((trade.acme, "change-proposed"), (trade.haul, "change-accepted")):
        headers = {"X-API-Key": key}
        seen = await trade.world.client.get(f"/v1/order/{order_id}/timeline", headers=headers)
        lines = [line for line in seen.json()["items"] if line["kind"].startswith("change-")]
        assert [(line["kind"], line["detail"]["change_id"]) for line in lines] == [
            (kind, change_id)
        ]
