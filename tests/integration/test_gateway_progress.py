"""The driver's side over HTTP, with the real pipeline behind it (X09, R075-R085, K08, K32, K33)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.gateway_world import Taken, Trade, trading
from tests.integration.hub import mapping

BOL = {
    "order": {"order_number": "A1"},
    "bol_number": "BOL-9",
    "terminal": {"source_id": "d-north"},
    "bol_date": "2026-11-23T09:30:00Z",
    "details": [
        {
            "supplier": {"source_id": "d-sup"},
            "product": {"source_id": "d-reg"},
            "net_volume": 4998.25,
            "gross_volume": 5001.123456789,
        }
    ],
}
DROP = {
    "order": {"order_number": "A1"},
    "site": {"source_id": "d-main"},
    "mode": "append",
    "details": [
        {
            "product": {"source_id": "d-reg"},
            "quantity": 4998,
            "tank": {"tank_id": "1"},
            "post_drop_time": "2026-11-23T11:00:00Z",
        }
    ],
}


def status(progress: str = "arrived_at_load", **changes: Any) -> dict[str, Any]:
    said = {
        "order": {"order_number": "A1"},
        "location": {"source_id": "d-north"},
        "progress_status": progress,
        **changes,
    }
    return {name: value for name, value in said.items() if value is not ...}


@pytest.fixture
async def trade(fresh_database: str) -> AsyncIterator[Trade]:
    async with trading(fresh_database) as made:
        yield made


async def told(trade: Trade, key: str, path: str, body: Any, partner: str, **headers: str) -> Any:
    response = await trade.world.ask(key, path, body, partner=partner, **headers)
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_status_is_answered_in_the_callers_words_and_moves_the_trip(trade: Trade) -> None:
    """R076, R079, R080, R083, R085, R089, K11, K14, K20, K43."""
    order_id = await trade.ordered()
    said = status(eta="2026-11-23T10:00:00+01:00", assigned_to="Kim")
    answer = await told(trade, trade.haul, "order/update_status", said, "acme")
    assert (answer["status"], answer["message"]) == ("synced", None)
    update = answer["status_update"]
    assert update["location"]["source_id"] == "d-north"
    assert (update["eta"], update["hauled_by"]) == ("2026-11-23T09:00:00Z", "HAUL Haul")
    assert answer["log"]["metadata"]["crossroads_order_id"] == order_id
    for key in (trade.acme, trade.haul):
        found = (await trade.world.ask(key, "order/get", {"order_number": "A1"})).json()
        assert (found["trip_status"], found["progression_state"]) == (
            "arrived_at_load",
            "In Progress",
        )
        assert found["eta"] == found["delivery_eta"] == "2026-11-23T09:00:00Z"
        assert (found["assigned_to"], found["hauled_by"]) == ("Kim", "HAUL Haul")
        assert found["hauled_for"] == "ACME Fuels"
        assert found["routing"]["origin_tenant_name"] == "ACME Fuels"
    command = trade.world.broker.sent[-1]
    assert (command.topic, command.key) == ("crossroads.progress", "A1")


async def test_by_id_the_key_is_the_id_and_without_either_it_is_refused_as_on_kafka(
    trade: Trade,
) -> None:
    order_id = await trade.ordered()
    await told(
        trade, trade.haul, "order/update_status", status(order={"order_id": order_id}), "acme"
    )
    assert trade.world.broker.sent[-1].key == order_id
    refused = await trade.world.ask(
        trade.haul, "order/update_status", status(order={}), partner="acme"
    )
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "order"])


async def test_papers_stand_in_all_three_documents_each_in_its_words(trade: Trade) -> None:
    """R055-R063, R089, R090, K16, K30."""
    await trade.ordered()
    bol = (await told(trade, trade.haul, "order/save_bol", BOL, "acme"))["bol"]
    assert bol["details"][0]["site"]["source_id"] == "d-main"
    volumes = [bol["details"][0][name] for name in ("net_volume", "gross_volume")]
    assert volumes == [4998.25, 5001.1235]
    drop = (await told(trade, trade.haul, "order/save_drop", DROP, "acme"))["executed_drop"]
    assert drop["details"][0]["quantity"] == 4998
    found = (await trade.world.ask(trade.acme, "order/get", {"order_number": "A1"})).json()
    words = {
        "origin_order": ("o-north", "o-main"),
        "destination_order": ("d-north", "d-main"),
    }
    for document, (terminal, site) in words.items():
        [kept] = found[document]["bols"]
        assert kept["terminal"]["source_id"] == terminal
        assert found[document]["executed_drops"][0]["site"]["source_id"] == site
    assert found["master_order"]["bols"][0]["terminal"]["goid"] == "terminal_NORTH1"
    assert found["order"] == found["origin_order"]


async def test_the_same_again_is_done_and_told_to_nobody(trade: Trade) -> None:
    """K33; and K32 for the same key."""
    await trade.ordered()
    first = await trade.world.ask(
        trade.haul, "order/save_bol", BOL, partner="acme", Idempotency_Key="k"
    )
    again = await trade.world.ask(
        trade.haul, "order/save_bol", BOL, partner="acme", Idempotency_Key="k"
    )
    assert again.content == first.content
    new = await told(trade, trade.haul, "order/save_bol", BOL, "acme")
    assert new["bol"]["bol_number"] == "BOL-9"
    sequence = await trade.pipe.pool.fetchval("SELECT origin_sequence FROM orders")
    assert sequence == 1
    other = await trade.world.ask(
        trade.haul, "order/save_bol", BOL | {"bol_number": "B"}, partner="acme", Idempotency_Key="k"
    )
    assert (other.status_code, other.json()["code"]) == (422, "request.idempotency_key_reused")


async def test_unknown_fields_are_named_or_refused(trade: Trade) -> None:
    """K31."""
    await trade.ordered()
    body = status(colour="red")
    answer = await told(trade, trade.haul, "order/update_status", body, "acme")
    assert answer["message"] == "Ignored unknown fields: colour"
    strict = await trade.world.ask(
        trade.haul, "order/update_status", body, partner="acme", Prefer="handling=strict"
    )
    assert (strict.status_code, strict.json()["detail"][0]["loc"]) == (422, ["body", "colour"])


async def test_without_waiting_it_is_pending_with_every_member(trade: Trade) -> None:
    """K30, K41, X11."""
    assert isinstance(trade.world.broker, Taken)
    await trade.ordered()
    trade.world.broker.keep = True
    for path, body, member in (
        ("order/update_status", status(), "status_update"),
        ("order/save_bol", BOL, "bol"),
        ("order/save_drop", DROP, "executed_drop"),
    ):
        answer = await told(trade, trade.haul, path, body, "acme", Prefer="wait=0")
        assert set(answer) == {"status", "message", "log", member}
        assert (answer["status"], answer[member]) == ("pending", None)
        assert answer["message"] == "The request was accepted and is being processed."


async def test_a_missing_mapping_makes_it_wait_and_its_upsert_lets_it_go_on(trade: Trade) -> None:
    """X05, K41, K42: what comes later on the order waits behind it."""
    await trade.ordered()
    new = status(location={"source_id": "d-south"})
    answer = await told(trade, trade.haul, "order/update_status", new, "acme", Idempotency_Key="k")
    assert answer["status"] == "origin_mapped"
    assert "d-south" in answer["message"]
    behind = await told(trade, trade.haul, "order/save_bol", BOL, "acme")
    assert (behind["status"], behind["log"]["status"]) == ("pending", "waiting")
    record = {"goid": "terminal_SOUTH1", "entity": "terminal", "name": "South"}
    await trade.pipe.reference("record", record)
    await trade.pipe.reference(
        "mapping",
        mapping("haul", "tms", "terminal", "south", "terminal_SOUTH1", prefix="d"),
        mapping("acme", "dispatch", "terminal", "south", "terminal_SOUTH1", prefix="o"),
    )
    await trade.pipe.drain()
    assert isinstance(trade.world.broker, Taken)
    await trade.world.broker.publish()
    found = (await trade.world.ask(trade.acme, "order/get", {"order_number": "A1"})).json()
    assert found["trip_status"] == "arrived_at_load"
    assert len(found["origin_order"]["bols"]) == 1


async def test_a_status_before_its_order_follows_it_and_its_key_has_the_answer(
    trade: Trade,
) -> None:
    """K32, K42: a number nobody has given yet waits, in the order of arrival."""
    await trade.ordered()
    early = [
        status("driving_to_load", order={"order_number": "Z9"}),
        status("arrived_at_load", order={"order_number": "Z9"}),
    ]
    for number, body in enumerate(early):
        answer = await told(
            trade, trade.haul, "order/update_status", body, "acme", Idempotency_Key=f"k{number}"
        )
        assert (answer["status"], answer["status_update"]) == ("pending", None)
        assert answer["message"] == "No order has the number Z9 yet: waiting for it."
    await trade.ordered("Z9")
    await trade.pipe.drain()
    assert isinstance(trade.world.broker, Taken)
    await trade.world.broker.publish()
    for number, body in enumerate(early):
        answer = await told(
            trade, trade.haul, "order/update_status", body, "acme", Idempotency_Key=f"k{number}"
        )
        assert answer["status"] == "synced"
        assert answer["status_update"]["progress_status"] == body["progress_status"]
    found = (await trade.world.ask(trade.haul, "order/get", {"order_number": "Z9"})).json()
    assert found["trip_status"] == "arrived_at_load"


async def test_either_side_may_tell_and_the_place_is_told_in_the_others_words(
    trade: Trade,
) -> None:
    """R084, K26."""
    await trade.ordered()
    assert isinstance(trade.world.broker, Taken)
    trade.world.broker.keep = True
    await told(
        trade,
        trade.acme,
        "order/update_status",
        status(location={"source_id": "o-north"}),
        "haul",
        Prefer="wait=0",
    )
    [sync] = [each for each in await trade.pipe.outgoing() if ".sync." in each["topic"]]
    assert sync["topic"] == "crossroads.sync.haul"
    assert sync["value"]["status_update"]["location"]["source_id"] == "d-north"


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("order/update_status", "order:update_status"),
        ("order/save_bol", "order:save_bol"),
        ("order/save_drop", "order:save_drop"),
        ("order/save_bol_image", "order:save_bol"),
        ("blobs", "order:save_bol"),
    ],
)
async def test_each_operation_needs_its_own_scope(trade: Trade, path: str, scope: str) -> None:
    others = [each for each in ("order:create", "order:read") if each != scope]
    made = await trade.world.credential("haul", scopes=others)
    denied = await trade.world.ask(made.api_key, path, b"{}", partner="acme")
    assert (denied.status_code, denied.json()) == (
        403,
        {"detail": f"The credential does not have the scope {scope}."},
    )
