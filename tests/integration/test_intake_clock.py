"""The clock of those who wait for an unknown number: it runs while order-intake keeps up (K42)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import TopicPartition

from services.cli import examination
from services.commands.intake_clock import count
from services.kit.database import transaction
from services.records import intake
from tests.integration.hub import Hub, hub, two_companies

INPUT = [TopicPartition("crossroads.orders", number) for number in range(2)]


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul")
        yield opened


async def passed(world: Hub, seconds: float) -> None:
    """Let the clock's last look be so long ago."""
    await world.pool.execute(
        "UPDATE intake_clock SET looked_at = now() - make_interval(secs => $1)", seconds
    )


async def counted(world: Hub) -> float:
    shown: float = await world.pool.fetchval("SELECT counted FROM intake_clock")
    return shown


async def test_the_clock_counts_only_while_every_partition_is_kept_up_with(world: Hub) -> None:
    await passed(world, 3)
    await count(world.pool, "c", INPUT, {INPUT[0]: 1.0})
    assert await counted(world) == 0, "nobody reads the other partition"
    await passed(world, 3)
    await count(world.pool, "c", INPUT, {INPUT[1]: intake.KEEPS_UP + 1})
    assert await counted(world) == 0, "its reader is behind"
    await passed(world, 3)
    await count(world.pool, "c", INPUT, {INPUT[1]: 2.0})
    assert 3 <= await counted(world) < 5, "two processes, each with its own partition"
    await passed(world, 3)
    await count(world.pool, "another", INPUT, {})
    assert await counted(world) < 5, "another cluster's input was not read by anybody"


async def test_time_without_anybody_to_look_does_not_count(world: Hub) -> None:
    await passed(world, 3600)
    await count(world.pool, "c", INPUT, dict.fromkeys(INPUT, 0.0))
    assert await counted(world) <= intake.KEEPS_UP
    await passed(world, 3600)
    await count(world.pool, "c", [], {})
    assert await counted(world) <= intake.KEEPS_UP


@pytest.mark.parametrize(("ago", "least"), [(1.9, 1.9), (3600, intake.KEEPS_UP)])
async def test_k42_a_wait_counts_from_its_beginning_and_not_from_the_clocks_last_look(
    world: Hub, ago: float, least: float
) -> None:
    await passed(world, ago)
    before = await counted(world)
    await world.process(world.status("N1", "1"))
    await count(world.pool, "c", INPUT, dict.fromkeys(INPUT, 0.0))
    waited = await world.pool.fetchval(
        "SELECT counted - counted_from FROM intake_clock, lane_commands"
    )
    shown = await counted(world)
    assert shown - before >= least
    assert shown - waited - before >= least


async def test_two_that_look_at_once_count_the_same_time_once(world: Hub) -> None:
    await passed(world, 4)
    await asyncio.gather(
        *(count(world.pool, "c", INPUT, dict.fromkeys(INPUT, 0.0)) for _ in range(5))
    )
    assert 4 <= await counted(world) < 6


async def test_doctor_says_when_commands_wait_by_a_clock_that_stands(world: Hub) -> None:
    async def found() -> list[examination.Finding]:
        async with transaction(world.pool) as connection:
            return await examination.lanes(connection)

    assert await found() == [], "nobody waits by it"
    await world.process(world.status("N1", "1"))
    [notice] = await found()
    assert (notice.state, "1 commands wait" in notice.detail) == (examination.NOTICE, True)
    await count(world.pool, "c", INPUT, dict.fromkeys(INPUT, 0.0))
    assert await found() == []
    await world.pool.execute("UPDATE intake_clock SET kept_up_at = now() - interval '2 minutes'")
    await count(world.pool, "c", INPUT[:1], {INPUT[0]: 0.0})
    assert await found() == []
    await world.pool.execute(
        "UPDATE intake_clock SET kept_up_at = now() - interval '2 minutes';"
        " UPDATE intake_sights SET reached_at = now() - interval '2 minutes'"
    )
    await count(world.pool, "c", INPUT, {INPUT[0]: 60.0})
    assert len(await found()) == 1
