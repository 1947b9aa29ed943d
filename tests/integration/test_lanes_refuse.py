"""`crossroads lanes refuse`: an operator ends the head of a lane, and the rest goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.commands.pipeline import now
from services.commands.refusing import refuse_head
from services.domain.command import Command
from services.domain.effects import Effects
from services.domain.operations import table
from services.domain.world import World
from services.kit.database import transaction
from tests.integration.hub import (
    LATE_PRODUCT,
    Hub,
    all_well,
    late_drops,
    mapping,
    results,
    trading,
)


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with trading(fresh_database) as opened:
        yield opened


async def finals(world: Hub) -> dict[str, tuple[str, str | None]]:
    """What the commands of orders ended with, by their ids."""
    return {
        each["command_id"]: (each["outcome"], each["code"])
        for each in results(await world.outgoing())
        if each["operation"].startswith("order.") and each["outcome"] != "waiting"
    }


async def refused(world: Hub, reason: str = "no such terminal") -> Any:
    async with transaction(world.pool) as connection:
        order_id = await connection.fetchval("SELECT id FROM orders")
        return await refuse_head(connection, order_id, reason, now())


async def test_a_refused_status_leaves_its_lane_and_the_next_one_goes_on(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    await world.process(
        world.status("A1", "head", location={"source_id": "d-typo"}), world.status("A1", "next")
    )
    found = await refused(world)
    assert (found.command_id, found.operation, found.left) == ("head", "order.update-status", 1)
    await world.drain()
    assert await finals(world) == {
        "create": ("done", None),
        "head": ("refused", "lane.refused"),
        "next": ("done", None),
    }
    [said] = [each for each in results(await world.outgoing()) if each["code"] == "lane.refused"]
    assert "no such terminal" in said["body"]["detail"]
    assert await world.pool.fetchval("SELECT count(*) FROM gaps") == 0
    assert await refused(world) is None
    await all_well(world)


async def test_a_refused_create_ends_its_order_and_what_waits_for_it(world: Hub) -> None:
    await world.process(
        world.create("A1", "create", drops=late_drops()), world.status("A1", "behind")
    )
    await refused(world)
    await world.drain()
    assert await finals(world) == {
        "create": ("refused", "lane.refused"),
        "behind": ("refused", "request.order_not_sent"),
    }
    row = await world.pool.fetchrow("SELECT delivery, waiting, message FROM orders")
    assert row is not None
    assert (row["delivery"], row["waiting"]) == ("failed", 0)
    assert "no such terminal" in row["message"]
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    assert await world.drain() == [], "the mapping that came after all wakes nobody"
    await all_well(world)


async def test_a_create_that_fails_at_its_turn_lets_its_lane_go_on(
    world: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.process(
        world.create("A1", "create", drops=late_drops()), world.status("A1", "behind")
    )
    line = table.TABLE["order.create"]

    def decide(command: Command, known: World, moment: Any) -> Effects:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setitem(table.TABLE, "order.create", line._replace(decide=decide))
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    await world.drain()
    assert await finals(world) == {
        "create": ("failed", "system.error"),
        "behind": ("refused", "request.order_not_sent"),
    }
    await all_well(world)


@pytest.fixture
def crossroads(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Runs a command on this database: exit code and output."""
    monkeypatch.setenv("CROSSROADS_DATABASE_URL", fresh_database)
    monkeypatch.setenv("CROSSROADS_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, list(words))
        return done.exit_code, done.stdout

    return run


async def test_the_command_line_ends_a_head_and_says_what_is_left(
    world: Hub, crossroads: Callable[..., tuple[int, str]]
) -> None:
    await world.process(
        world.create("A1", "create", drops=late_drops()), world.status("A1", "behind")
    )

    async def run(*words: str) -> tuple[int, str]:
        return await asyncio.to_thread(crossroads, *words)

    code, _ = await run("lanes", "refuse", "A1", "--reason", "please retry")
    assert code == 2, "K29: the tenant would read that as an invitation"
    assert (await run("lanes", "refuse", "A9", "--reason", "x"))[0] == 1
    code, said = await run("lanes", "refuse", "A1", "--reason", "no such product", "--json")
    assert code == 0, said
    found = orjson.loads(said)
    assert (found["command_id"], found["code"], found["left"]) == ("create", "lane.refused", 1)
    code, said = await run("lanes", "show", "A1", "--json")
    [left] = orjson.loads(said)["items"]
    assert left["command_id"] == "behind"
