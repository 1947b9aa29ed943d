"""Where a reader begins: marks in a real PostgreSQL, a broker's answers said by hand."""

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

import pytest
from aiokafka import TopicPartition

from services.kit import positions
from services.kit.database import Pool, open_pool, transaction
from services.kit.metrics import REGISTRY
from services.kit.placement import LogEnds
from services.kit.placing import Placer

ZERO = TopicPartition("orders", 0)


class View:
    """A broker that answers what the test says."""

    def __init__(self) -> None:
        self.id = "c"
        self.ends = {ZERO: LogEnds(3, 9)}

    async def cluster_id(self) -> str:
        return self.id

    async def log_ends(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, LogEnds]:
        return {each: ends for each, ends in self.ends.items() if each in partitions}

    async def fetched_ends(
        self, listed: Mapping[TopicPartition, LogEnds]
    ) -> dict[TopicPartition, LogEnds]:
        return dict(listed)


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(fresh_database, application_name="test")
    yield pool
    await pool.close()


def placer(pool: Pool, view: View, grace: float = 0.0) -> Placer:
    anything: Any = view
    return Placer(pool, anything, service="placing", group="g", shorter_grace_seconds=grace)


def jumps(reason: str) -> float:
    labels = {"service": "placing", "reason": reason}
    return REGISTRY.get_sample_value("crossroads_position_jumps_total", labels) or 0.0


async def set_mark(pool: Pool, next_offset: int) -> None:
    async with transaction(pool) as connection:
        await positions.insert_missing(connection, "c", "g", {ZERO: next_offset})


async def test_without_a_mark_reading_begins_at_the_start_of_the_log(pool: Pool) -> None:
    (place,) = await placer(pool, View()).place([ZERO], {})
    assert (place.offset, place.verdict, place.cluster_id) == (3, "go-on", "c")


async def test_a_mark_wins_over_the_groups_offset_which_is_only_compared(pool: Pool) -> None:
    await set_mark(pool, 5)
    before = jumps("database-went-back")
    (place,) = await placer(pool, View()).place([ZERO], {ZERO: 5})
    assert (place.offset, jumps("database-went-back")) == (5, before)
    (place,) = await placer(pool, View()).place([ZERO], {ZERO: 8})
    assert (place.offset, jumps("database-went-back")) == (5, before + 1)


async def test_what_retention_removed_is_refused_until_an_operator_accepts_it(pool: Pool) -> None:
    await set_mark(pool, 2)
    here = placer(pool, View())
    (place,) = await here.place([ZERO], {})
    assert place.verdict == "lost"
    async with transaction(pool) as connection:
        assert await positions.accept_loss(connection, "c", "g", "orders", 0, log_start=3)
    (place,) = await here.place([ZERO], {})
    assert (place.verdict, place.offset) == ("go-on", 3)


async def test_a_log_that_ends_below_its_mark_is_read_anew_as_another_log(pool: Pool) -> None:
    await set_mark(pool, 50)
    (place,) = await placer(pool, View()).place([ZERO], {})
    assert (place.verdict, place.offset, place.lineage) == ("go-on", 3, 1)


async def test_a_log_that_seems_too_short_is_given_time(pool: Pool) -> None:
    await set_mark(pool, 50)
    view = View()
    here = placer(pool, view, grace=3600.0)
    (place,) = await here.place([ZERO], {})
    assert place.verdict == "shorter"
    view.ends = {ZERO: LogEnds(3, 50)}
    (place,) = await here.place([ZERO], {})
    assert (place.verdict, place.offset, place.lineage) == ("go-on", 50, 0)


async def test_another_cluster_gets_rows_of_its_own_loudly(pool: Pool) -> None:
    view = View()
    here = placer(pool, view)
    await here.place([ZERO], {})
    before = jumps("broker-replaced")
    view.id, view.ends = "d", {ZERO: LogEnds(0, 1)}
    (place,) = await here.place([ZERO], {})
    assert (place.cluster_id, place.offset) == ("d", 0)
    assert jumps("broker-replaced") == before + 1
    assert await pool.fetchval("select count(*) from stream_positions") == 2


async def test_a_topic_that_is_not_there_has_no_place(pool: Pool) -> None:
    assert await placer(pool, View()).place([TopicPartition("gone", 0)], {}) == []
