"""Two connections on one change: the order's row decides who comes first (X01-X04)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.kit.cloudevents import Record
from tests.integration.hub import (
    BY_ACME,
    BY_HAUL,
    Hub,
    held_open,
    hub,
    started,
    two_companies,
    waits_for_a_lock,
)
from tests.integration.test_changes import (
    change_id,
    in_order,
    propose,
    settle,
    states,
    told,
    update,
)


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul")
        yield opened


async def second(world: Hub, first: Record, late: Record) -> list[tuple[str, str, str | None]]:
    """What the second command is told that came while the first one was not committed."""
    async with held_open(world, first) as commit:
        working = started(world.process(late))
        await waits_for_a_lock(world, working)
        commit()
        out = await working
    own = late.headers[[name for name, _ in late.headers].index("ce_id")][1]
    return [each for each in told(out) if own is not None and each[0] == own.decode()]


async def test_of_two_accepts_at_once_one_applies_the_change(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    await world.process(propose(world, "A1", "1", note="a"))
    named = {"id": await change_id(world)}
    late = await second(
        world, settle(world, "accept", "2", **named), settle(world, "accept", "3", **named)
    )
    assert late == [("3", "refused", "change.settled")]
    assert await states(world) == [("synced", None, False)]
    assert await world.pool.fetchval("SELECT origin_sequence FROM orders") == 1
    await in_order(world)


async def test_both_sides_accept_at_once_and_the_proposer_is_refused(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    await world.process(propose(world, "A1", "1", note="a"))
    named = {"id": await change_id(world)}
    late = await second(
        world,
        settle(world, "accept", "2", **named),
        settle(world, "accept", "3", by=BY_ACME, **named),
    )
    assert late == [("3", "refused", "change.not_yours")]
    await in_order(world)


async def test_x04_an_accept_that_comes_with_an_update_sees_it(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    await world.process(propose(world, "A1", "1", po="P", by=BY_HAUL))
    accepting = settle(world, "accept", "3", id=await change_id(world), by=BY_ACME)
    late = await second(world, update(world, "A1", "2", note="a"), accepting)
    assert late == [("3", "refused", "change.stale")]
    assert await states(world) == [("requested", None, True)]
    await in_order(world)


async def test_of_two_proposals_at_once_the_second_supersedes_the_first(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    late = await second(
        world,
        propose(world, "A1", "1", note="a"),
        propose(world, "A1", "2", note="b", by=BY_HAUL),
    )
    assert late == [("2", "done", None)]
    assert [status for status, _, _ in await states(world)].count("requested") == 1
    await in_order(world)


async def test_x01_a_cancel_that_comes_with_an_accept_finds_it_settled(world: Hub) -> None:
    await world.process(world.create("A1", "create"))
    await world.process(propose(world, "A1", "1", note="a"))
    accepting = settle(world, "accept", "3", id=await change_id(world))
    late = await second(world, world.cancel("A1", "2"), accepting)
    assert late == [("3", "refused", "change.settled")]
    assert await states(world) == [("rejected", "order_closed", False)]
    await in_order(world)
