"""The timeline of an order, as its tenants see it and as the operator does (A5)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from schemas.reading import read
from schemas.timeline import TIMELINE
from services.cli.app import app
from tests.integration.gateway_world import Taken, Trade, trading
from tests.integration.hub import mapping
from tests.integration.test_gateway_progress import status


@pytest.fixture
async def trade(fresh_database: str) -> AsyncIterator[Trade]:
    async with trading(fresh_database) as made:
        yield made


async def seen(trade: Trade, key: str, order_id: str) -> list[dict[str, Any]]:
    answer = await trade.world.client.get(
        f"/v1/order/{order_id}/timeline", headers={"X-API-Key": key}
    )
    assert answer.status_code == 200, answer.text
    reading = read(TIMELINE, answer.json())
    assert (reading.errors, reading.unknown, answer.json()["order_id"]) == ([], [], order_id)
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def kinds(items: list[dict[str, Any]]) -> list[str]:
    return [item["kind"] for item in items]


async def test_each_side_sees_its_commands_and_what_it_was_sent_and_no_more(trade: Trade) -> None:
    """Guarantee 6 within a pair: never the other's ids, keys or logs."""
    order_id = await trade.ordered()
    await trade.world.ask(
        trade.haul,
        "order/update_status",
        status(assigned_to="Kim"),
        partner="acme",
        Idempotency_Key="of-haul",
    )
    acme = await seen(trade, trade.acme, order_id)
    assert sorted(kinds(acme)) == sorted(["asked", "sent", "record", "log", "answered", "record"])
    sent, told = [item for item in acme if item["kind"] == "record"]
    assert sent["detail"] == {
        "type": "crossroads.order.created.v1",
        "to": "HAUL Haul",
        "sequence": 1,
        "state": "acknowledged",
    }
    assert (told["by"], told["command_id"]) == ("HAUL Haul", None)
    assert told["detail"]["type"] == "crossroads.order.status-updated.v1"
    haul = await seen(trade, trade.haul, order_id)
    assert sorted(kinds(haul)) == sorted(["record", "asked", "status", "record", "log", "answered"])
    [moved] = [item for item in haul if item["kind"] == "status"]
    assert (moved["command_id"], moved["detail"]["progress_status"]) == (
        "of-haul",
        "arrived_at_load",
    )
    text = orjson.dumps(acme).decode()
    assert "of-haul" not in text
    assert "d-north" not in text
    assert "Kim" not in text
    assert "o-main" not in orjson.dumps(haul).decode()
    assert [item["at"] for item in haul] == sorted(item["at"] for item in haul)


async def test_a_wait_on_a_gap_and_the_turn_after_it_are_lines_of_their_own(trade: Trade) -> None:
    """X05."""
    order_id = await trade.ordered()
    gap = status(location={"source_id": "d-south"})
    await trade.world.ask(
        trade.haul, "order/update_status", gap, partner="acme", Idempotency_Key="k"
    )
    items = await seen(trade, trade.haul, order_id)
    [waits] = [item for item in items if item["kind"] == "waits"]
    assert waits["detail"] == {"operation": "order.update-status", "reason": "mapping.gap"}
    [missing] = [item for item in items if item["kind"] == "gap"]
    assert missing["detail"]["key"] == "d-south"
    assert "gap" not in kinds(await seen(trade, trade.acme, order_id))
    record = {"goid": "terminal_SOUTH1", "entity": "terminal", "name": "South"}
    await trade.pipe.reference("record", record)
    await trade.pipe.reference(
        "mapping",
        mapping("haul", "tms", "terminal", "south", "terminal_SOUTH1", prefix="d"),
        mapping("acme", "dispatch", "terminal", "south", "terminal_SOUTH1", prefix="o"),
    )
    await trade.pipe.drain()
    items = await seen(trade, trade.haul, order_id)
    [moved] = [item for item in items if item["kind"] == "status"]
    assert moved["detail"]["waited"] is True
    own = [item for item in items if item["command_id"] == "k" and item["kind"] != "log"]
    assert kinds(own)[:2] == ["asked", "waiting"]
    assert kinds(own)[-1] == "answered"


async def test_a_record_says_whether_the_broker_has_it(trade: Trade) -> None:
    """K40."""
    order_id = await trade.ordered()
    assert isinstance(trade.world.broker, Taken)
    trade.world.broker.keep = True
    await trade.world.ask(
        trade.haul, "order/update_status", status(), partner="acme", Prefer="wait=0"
    )

    async def states() -> list[str]:
        items = await seen(trade, trade.acme, order_id)
        return [item["detail"]["state"] for item in items if item["kind"] == "record"]

    assert await states() == ["acknowledged", "unsent"]
    await trade.pipe.pool.execute(
        "WITH moved AS (DELETE FROM outbox RETURNING *) INSERT INTO outbox_parked"
        " (id, stored_at, shard, kind, told_before, topic, stream, headers, value)"
        " SELECT id, stored_at, shard, kind, told_before, topic, stream, headers, value FROM moved"
    )
    assert await states() == ["acknowledged", "parked"]


async def test_the_operator_sees_everything_and_the_documents_side_by_side(
    trade: Trade, fresh_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trade.ordered()
    await trade.world.ask(
        trade.haul, "order/update_status", status(), partner="acme", Idempotency_Key="of-haul"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROSSROADS_DATABASE_URL", fresh_database)
    monkeypatch.setenv("CROSSROADS_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    run = CliRunner().invoke
    done = await asyncio.to_thread(run, app, ["orders", "show", "A1", "--json"])
    assert done.exit_code == 0, done.stderr
    story = orjson.loads(done.stdout)
    lines = {(line["kind"], line["tenant"], line["command_id"]) for line in story["timeline"]}
    assert ("status", "haul", "of-haul") in lines
    assert ("record", "haul", "of-haul") in lines
    assert [line["detail"]["to"] for line in story["timeline"] if line["kind"] == "record"] == [
        "haul",
        "acme",
    ]
    assert "drops[0].site.source_id" in {
        line["path"] for line in story["differences"] if line["differs"]
    }
    done = await asyncio.to_thread(run, app, ["orders", "show", "A1"])
    for word in ("timeline", "documents", "of-haul", "o-main", "d-main", "acknowledged"):
        assert word in done.stdout
    assert "location=(goid=terminal_NORTH1 goid_name=North)" in done.stdout
    assert "null" not in done.stdout.partition("timeline")[2]
