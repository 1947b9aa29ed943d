"""The settled mark by hand: two connections, one step after the other, no relay running."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.kit.database import Session
from services.kit.outbox import OutgoingRow, store
from services.relay import parking, rows
from services.relay.settled import SettledMark
from tests.integration.relay_world import sync

SHARDS = [0, 1, 2, 3]


class Hand:
    """One connection that does a relay's steps, each when told."""

    def __init__(self, connection: Session) -> None:
        self.connection = connection
        self.mark = SettledMark()

    async def round(self, *, limit: int = 100, keep: int | None = None) -> list[int]:
        """Fetch and delete all but `keep`; the ids fetched."""
        fetched = await rows.fetch(
            self.connection, self.mark.value, SHARDS, max_rows=limit, max_bytes=1 << 20
        )
        ids = [row.id for row in fetched.rows]
        gone = [row_id for row_id in ids if row_id != keep]
        if gone:
            self.mark.deleted(fetched.last_id, await rows.delete(self.connection, gone))
        lowest = keep if keep in ids else None
        self.mark.advance(fetched.xmin, fetched.reached, lowest)
        return ids


@pytest.fixture
async def hand(fresh_database: str) -> AsyncIterator[Hand]:
    connection = await asyncpg.connect(fresh_database)
    yield Hand(connection)
    await connection.close()


@pytest.fixture
async def writer(
    fresh_database: str,
) -> AsyncIterator[Session]:
    connection = await asyncpg.connect(fresh_database)
    yield connection
    await connection.close()


async def committed(connection: Session, *outgoing: OutgoingRow) -> list[int]:
    async with connection.transaction():
        return await store(connection, outgoing)


async def test_an_empty_sequence_settles_nothing(hand: Hand, writer: Session) -> None:
    fetched = await rows.fetch(hand.connection, 0, SHARDS, max_rows=10, max_bytes=100)
    assert (fetched.rows, fetched.last_id, fetched.reached) == ([], 0, None)
    (first,) = await committed(writer, sync("t", "a", 1))
    assert first == 1
    assert await hand.round() == [1]


async def test_a_low_id_that_commits_between_deletion_and_proof_is_fetched(
    hand: Hand, fresh_database: str, writer: Session
) -> None:
    late = await asyncpg.connect(fresh_database)
    transaction = late.transaction()
    await transaction.start()
    (low,) = await store(late, [sync("t", "late", 1)])
    (high,) = await committed(writer, sync("t", "early", 1))
    assert await hand.round() == [high]
    await hand.round()
    assert hand.mark.value < low
    await transaction.commit()
    # The fetch that could prove it is the first to see the row: both in one snapshot.
    assert await hand.round() == [low]
    await hand.round()
    assert hand.mark.value == high
    await late.close()


async def test_a_writer_that_has_its_xid_but_no_id_yet_holds_nothing_it_will_draw(
    hand: Hand, fresh_database: str, writer: Session
) -> None:
    late = await asyncpg.connect(fresh_database)
    transaction = late.transaction()
    await transaction.start()
    await late.fetchval("SELECT pg_current_xact_id()")
    (high,) = await committed(writer, sync("t", "early", 1))
    await hand.round()
    await hand.round()
    assert hand.mark.value == 0
    (later,) = await store(late, [sync("t", "late", 1)])
    assert later > high
    await transaction.commit()
    assert await hand.round() == [later]
    await late.close()


async def test_a_rolled_back_writer_leaves_a_hole_that_the_mark_passes(
    hand: Hand, fresh_database: str, writer: Session
) -> None:
    late = await asyncpg.connect(fresh_database)
    transaction = late.transaction()
    await transaction.start()
    await store(late, [sync("t", "never", 1)])
    (high,) = await committed(writer, sync("t", "early", 1))
    await hand.round()
    await transaction.rollback()
    await hand.round()
    assert hand.mark.value == high
    await late.close()


async def test_a_long_open_snapshot_of_a_reader_does_not_hold_the_mark(
    hand: Hand, fresh_database: str, writer: Session
) -> None:
    reader = await asyncpg.connect(fresh_database)
    transaction = reader.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    await reader.fetchval("SELECT count(*) FROM outbox")
    ids = await committed(writer, *(sync("t", "order", n) for n in range(1, 6)))
    await hand.round()
    await hand.round()
    assert hand.mark.value == ids[-1]
    await transaction.rollback()
    await reader.close()


async def test_a_fetch_cut_short_raises_it_no_further_than_it_reached(
    hand: Hand, writer: Session
) -> None:
    ids = await committed(writer, *(sync("t", "order", n) for n in range(1, 8)))
    assert await hand.round(limit=3) == ids[:3]
    assert await hand.round(limit=3) == ids[3:6]
    assert hand.mark.value == ids[5]
    assert await hand.round(limit=3) == ids[6:]
    await hand.round()
    assert hand.mark.value == ids[-1]


async def test_a_fetch_is_cut_by_bytes_but_returns_at_least_one_row(
    hand: Hand, writer: Session
) -> None:
    large = [sync("t", "order", n) for n in range(1, 4)]
    for row in large:
        row.value = b"x" * 20_000
    ids = await committed(writer, *large)
    fetched = await rows.fetch(hand.connection, 0, SHARDS, max_rows=10, max_bytes=100)
    assert [row.id for row in fetched.rows] == ids[:1]
    assert fetched.reached == ids[0]


async def test_a_row_that_is_not_gone_keeps_the_mark_below_it(hand: Hand, writer: Session) -> None:
    ids = await committed(writer, *(sync("t", "order", n) for n in range(1, 6)))
    await hand.round(keep=ids[2])
    await hand.round(keep=ids[2])
    assert hand.mark.value == ids[1]
    assert await hand.round() == [ids[2]]
    await hand.round()
    assert hand.mark.value == ids[-1]


async def test_rows_resumed_below_the_mark_are_fetched_again(hand: Hand, writer: Session) -> None:
    low, *_ = await committed(writer, sync("shut", "a", 1), sync("open", "b", 1))
    fetched = await rows.fetch(hand.connection, 0, SHARDS, max_rows=10, max_bytes=10_000)
    await parking.park(hand.connection, fetched.rows[:1], {})
    await hand.round()
    await hand.round()
    assert hand.mark.value >= low
    assert await parking.resume_page(hand.connection, SHARDS, ["shut"], 10) == []
    moved = await parking.resume_page(hand.connection, SHARDS, [], 10)
    assert moved == [low]
    hand.mark.lower(min(moved))
    assert await hand.round() == [low]
