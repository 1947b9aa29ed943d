"""Where an order has several sites; and what is wrong is told alike by HTTP and on Kafka."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.gateway_world import Trade, trading
from tests.integration.hub import order, results
from tests.integration.test_gateway_bad_input import entries
from tests.integration.test_gateway_progress import BOL, DROP, status

LINE: dict[str, Any] = BOL["details"][0]  # type: ignore[index]
MEASURED: dict[str, Any] = DROP["details"][0]  # type: ignore[index]


@pytest.fixture
async def trade(fresh_database: str) -> AsyncIterator[Trade]:
    async with trading(fresh_database) as made:
        yield made


async def two_sites(trade: Trade) -> None:
    """An order for the main site and for another one."""
    tank = {"goid": "tank_OTHER1A", "number": 1, "product": "product_REGULAR"}
    record = {"goid": "site_OTHER1", "entity": "site", "name": "Other", "tanks": [tank]}
    await trade.pipe.reference("record", record)
    await trade.pipe.reference(
        "mapping",
        *(
            {
                "tenant": tenant,
                "system": system,
                "entity": "site",
                "source_id": f"{prefix}-other",
                "source_name": "Other",
                "goid": "site_OTHER1",
                "tanks": [{"tank_id": "1", "tank_goid": "tank_OTHER1A"}],
            }
            for tenant, system, prefix in (("acme", "dispatch", "o"), ("haul", "tms", "d"))
        ),
    )
    [drop] = order("A1")["drops"]
    other = {**drop, "site": {"source_id": "o-other", "tank_id": "1"}}
    taken = await trade.world.ask(
        trade.acme, "order/create", order("A1", drops=[drop, other]), partner="haul"
    )
    assert taken.json()["status"] == "synced", taken.text


@pytest.mark.parametrize("site", [..., None, {"tank_id": "1"}])
async def test_where_an_order_has_several_sites_each_line_of_a_bill_names_its_own(
    trade: Trade, site: Any
) -> None:
    """R058, K16."""
    await two_sites(trade)
    named = {**LINE, "site": {"source_id": "d-other"}}
    unnamed = LINE if site is ... else {**LINE, "site": site}
    body = BOL | {"details": [named, unnamed]}
    refused = await trade.world.ask(trade.haul, "order/save_bol", body, partner="acme")
    assert entries(refused) == [(["body", "details", 1, "site"], "site_required")]
    body = BOL | {"details": [named, {**LINE, "site": {"source_id": "d-main"}}]}
    taken = await trade.world.ask(trade.haul, "order/save_bol", body, partner="acme")
    assert [site["source_id"] for site in taken.json()["bol"]["sites"]] == ["d-other", "d-main"]


async def test_a_tank_of_another_site_than_the_drop_is_422(trade: Trade) -> None:
    """R061, R063, K16."""
    await two_sites(trade)
    line = {**MEASURED, "tank": {"source_id": "d-other", "tank_id": "1"}}
    refused = await trade.world.ask(
        trade.haul, "order/save_drop", DROP | {"details": [line]}, partner="acme"
    )
    assert entries(refused) == [(["body", "details", 0, "tank"], "tank_of_another_site")]


WRONG: list[tuple[str, Any]] = [
    ("order.update-status", status("teleporting", assigned_to="x" * 51)),
    ("order.update-status", status(location=None)),
    ("order.update-status", status("loading", location=..., site={"source_id": "d-main"})),
    ("order.update-status", status(order={})),
    ("order.update-status", status(location={})),
    ("order.update-status", {}),
    ("order.save-bol", BOL | {"details": []}),
    ("order.save-bol", BOL | {"details": [{**LINE, "net_volume": "many", "supplier": {}}]}),
    ("order.save-drop", DROP | {"mode": "remove", "site": {}}),
    ("order.save-bol-image", {"order": {"order_number": "A1"}, "bol_number": "B", "content": "?"}),
]


@pytest.mark.parametrize(("operation", "body"), WRONG)
async def test_what_is_wrong_is_told_alike_by_http_and_on_kafka(
    trade: Trade, operation: str, body: Any
) -> None:
    """K28, X11: a refusal with HTTP's body, never a dead letter."""
    await trade.ordered()
    path = operation.replace(".", "/").replace("-", "_")
    by_http = await trade.world.ask(trade.haul, path, body, partner="acme")
    assert entries(by_http)
    caused = await trade.pipe.process(
        trade.pipe.record(operation, body, origin="haul", partner="acme")
    )
    assert [each["topic"] for each in caused] == ["crossroads.results.haul"]
    [result] = results(caused)
    told = (result["outcome"], result["http_status"], result["code"])
    assert told == ("refused", 422, "request.invalid")
    assert result["body"] == by_http.json()
