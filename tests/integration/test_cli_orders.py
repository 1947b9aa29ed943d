"""Commands that look at the database: orders, gaps, lanes, the books, the schema."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import Result

from services.cli.reference_files import read_csv
from tests.integration.conftest import Invoke
from tests.integration.hub import Hub, hub, order, two_companies


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    """One order that was sent, and one that waits for a product only the origin knows."""
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul")
        waiting = order("A2")
        waiting["drops"][0]["product"] = {"source_id": "=o-new"}
        create: dict[str, Any] = {"origin": "acme", "partner": "haul"}
        await opened.process(
            opened.record("order.create", order("A1"), command_id="one", **create),
            opened.record("order.create", waiting, command_id="two", **create),
        )
        await opened.pool.execute("DELETE FROM outbox")
        yield opened


def said(done: Result) -> Any:
    assert done.exit_code == 0, done.stderr
    return orjson.loads(done.stdout)


async def numbers(invoke: Invoke, *arguments: str) -> list[str]:
    found = said(await invoke("orders", "list", "--json", *arguments))
    return [each["number"] for each in found["items"]]


async def test_orders_are_found_by_all_that_is_given(world: Hub, invoke: Invoke) -> None:
    assert await numbers(invoke) == ["A2", "A1"]
    assert await numbers(invoke, "--limit", "1") == ["A2"]
    assert await numbers(invoke, "--number", "A1") == ["A1"]
    assert await numbers(invoke, "--status", "synced") == ["A1"]
    assert await numbers(invoke, "--status", "origin_mapped", "--tenant", "haul") == ["A2"]
    assert await numbers(invoke, "--status", "destination_mapped") == []
    assert await numbers(invoke, "--tenant", "nobody") == []
    assert await numbers(invoke, "--since", "2100-01-01") == []
    assert await numbers(invoke, "--po", "4711") == []
    await world.pool.execute("UPDATE orders SET destination_number = 'H-9' WHERE delivery = 'sent'")
    assert await numbers(invoke, "--number", "H-9") == ["A1"]


async def test_orders_whose_fate_is_settled_are_found_by_it(world: Hub, invoke: Invoke) -> None:
    """R070-R072; an order whose create failed is in error like one whose receipt says so."""
    await world.process(*(world.create(f"B{n}") for n in range(1, 4)))
    await world.process(
        world.cancel("B1", "cancel"),
        world.receipt("B2", "rejected", "rejected"),
        world.receipt("B3", "failed", "failed"),
    )
    await world.pool.execute("UPDATE orders SET delivery = 'failed' WHERE origin_number = 'A2'")
    assert await numbers(invoke, "--status", "canceled") == ["B1"]
    assert await numbers(invoke, "--status", "rejected") == ["B2"]
    assert await numbers(invoke, "--status", "error") == ["B3", "A2"]


async def test_an_order_that_is_unsent_is_not_called_synced(world: Hub, invoke: Invoke) -> None:
    """K40."""
    await world.process(world.record("order.create", order("A3"), origin="acme", partner="haul"))
    assert await numbers(invoke, "--status", "destination_mapped") == ["A3"]
    [sent] = said(await invoke("orders", "show", "A3", "--json"))["unsent"]
    assert sent["topic"] == "crossroads.sync.haul"


async def test_the_story_of_an_order_has_documents_differences_log_and_timeline(
    world: Hub, invoke: Invoke
) -> None:
    story = said(await invoke("orders", "show", "A1", "--json"))
    assert story["order"]["status"] == "synced"
    assert story["documents"]["destination"]["drops"][0]["site"]["source_id"] == "d-main"
    differing = {line["path"] for line in story["differences"] if line["differs"]}
    assert "drops[0].site.source_id" in differing
    assert "origin_order_number" not in differing
    assert [entry["entry"]["status"] for entry in story["log"]] == ["success"]
    kinds = [line["kind"] for line in story["timeline"]]
    assert kinds[0] == "asked"
    assert "answered" in kinds
    assert [command["outcome"] for command in story["commands"]] == ["done"]
    assert story["lane"] == story["gaps"] == story["unsent"] == []


async def test_a_story_is_readable_and_names_what_the_order_waits_for(
    world: Hub, invoke: Invoke
) -> None:
    done = await invoke("orders", "show", "A2", "--all")
    assert done.exit_code == 0
    for word in ("documents", "origin_order_number", "gaps", "=o-new", "lane", "log", "timeline"):
        assert word in done.stdout


async def test_an_order_that_is_not_there_or_not_the_only_one_ends_with_1(
    world: Hub, invoke: Invoke
) -> None:
    done = await invoke("orders", "show", "A9")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "There is no order 'A9'" in done.stderr
    await world.pool.execute("UPDATE orders SET destination_number = 'A2' WHERE delivery = 'sent'")
    done = await invoke("orders", "show", "A2")
    assert done.exit_code == 1
    assert "fits several orders" in done.stderr


async def test_gaps_tell_how_many_wait_and_go_out_as_rows_that_can_be_imported(
    world: Hub, invoke: Invoke, tmp_path: Path
) -> None:
    """X05, A7."""
    [gap] = said(await invoke("gaps", "list", "--json"))["items"]
    assert (gap["tenant"], gap["entity"], gap["key"], gap["orders"]) == (
        "acme", "product", "=o-new", 1,
    )  # fmt: skip
    shown = said(await invoke("gaps", "show", str(gap["id"]), "--json"))
    assert [each["number"] for each in shown["waiting"]] == ["A2"]
    assert (await invoke("gaps", "show", "999")).exit_code == 1
    assert said(await invoke("gaps", "list", "--tenant", "haul", "--json"))["items"] == []
    out = await invoke("gaps", "list", "--csv")
    [row] = csv.DictReader(io.StringIO(out.stdout))
    assert row["source_id"] == "=o-new"
    file = tmp_path / "filled.csv"
    file.write_text(out.stdout.replace("=o-new,,", "=o-new,New,product_REGULAR"))
    [item] = read_csv(file, "mappings")
    assert item.body["source_name"] == "New"
    assert item.body["goid"] == "product_REGULAR"


async def test_lanes_show_who_waits_and_why(world: Hub, invoke: Invoke) -> None:
    [lane] = said(await invoke("lanes", "list", "--json"))["items"]
    assert (lane["number"], lane["head"], lane["reason"], lane["commands"]) == (
        "A2", "order.create", "mapping.gap", 1,
    )  # fmt: skip
    assert said(await invoke("lanes", "list", "--reason", "lane.behind", "--json"))["items"] == []
    for name in ("A2", lane["order_id"]):
        [waiting] = said(await invoke("lanes", "show", name, "--json"))["items"]
        assert waiting["command_id"] == "two"
    assert (await invoke("lanes", "show", "A1")).exit_code == 1


async def test_the_audit_ends_with_1_when_the_books_do_not_balance(
    world: Hub, invoke: Invoke
) -> None:
    told = said(await invoke("audit", "--json"))
    assert set(told) == {"balanced", "operations", "duplicates", "dead_letters"}
    assert told["balanced"] is True
    assert told["operations"]["order.create"] == {
        "accepted": 2, "done": 1, "waiting": 1, "refused": 0, "failed": 0,
    }  # fmt: skip
    await world.pool.execute("DELETE FROM lane_commands")
    done = await invoke("audit", "--json")
    assert done.exit_code == 1
    assert orjson.loads(done.stdout)["balanced"] is False
    assert "waiting_nowhere" in done.stderr


async def test_an_old_schema_is_said_by_every_command_and_migrated_once(
    empty_database: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSROADS_DATABASE_URL", empty_database)
    done = await invoke("orders", "list")
    assert done.exit_code == 1
    assert "crossroads db migrate" in done.stderr
    before = await invoke("db", "status", "--json")
    assert before.exit_code == 1
    states = {each["state"] for each in orjson.loads(before.stdout)["migrations"]}
    assert states == {"pending"}
    done = said(await invoke("db", "migrate", "--json"))
    assert done["applied"][0] == "0001_streams"
    assert len(done["months"]) == 2 * 13
    assert said(await invoke("db", "migrate", "--json")) == {
        "applied": [],
        "months": [],
        "login": None,
    }
    after = said(await invoke("db", "status", "--json"))["migrations"]
    assert {each["state"] for each in after} == {"applied"}
