"""The settled mark by hand: two connections, one step after the other, no relay running."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.kit.database import Session
from services.kit.outbox import OutgoingRow, draw, store
from services.relay import parking, rows
from services.relay.loop import Relay
from services.relay.settled import SettledMark
from tests.integration.relay_world import create_topics, emptied, name, put, relay, sync, until

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
            if self.mark.asks:
                self.mark.writing(await rows.writers(self.connection))
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


async def test_a_long_transaction_that_writes_elsewhere_does_not_hold_the_mark(
    hand: Hand, fresh_database: str, writer: Session
) -> None:
    """It holds back the xmin of every snapshot for as long as it is open."""
    foreign = await asyncpg.connect(fresh_database)
    transaction = foreign.transaction()
    await transaction.start()
    await foreign.execute("CREATE TABLE elsewhere AS SELECT pg_current_xact_id() AS xid")
    ids = []
    for number in range(1, 9):
        ids += await committed(writer, sync("t", "order", number))
        await hand.round()
    assert hand.mark.value >= ids[3]
    await transaction.rollback()
    await foreign.close()


async def test_with_a_foreign_transaction_open_a_late_writers_low_id_is_still_fetched(
    hand: Hand, fresh_database: str, writer: Session
) -> None:
    foreign = await asyncpg.connect(fresh_database)
    await foreign.execute("BEGIN; SELECT pg_current_xact_id()")
    late = await asyncpg.connect(fresh_database)
    transaction = late.transaction()
    await transaction.start()
    # No row is stored yet: the lock comes with the id.
    ((low,), _) = await draw(late, 1)
    for number in range(1, 9):
        await committed(writer, sync("t", "order", number))
        await hand.round()
        assert hand.mark.value < low
    await late.execute(
        "INSERT INTO outbox (id, shard, kind, told_before, topic, headers)"
        " VALUES ($1, 0, 0, false, 't', '\\x90')",
        low,
    )
    await transaction.commit()
    assert await hand.round() == [low]
    for number in range(9, 14):
        await committed(writer, sync("t", "order", number))
        await hand.round()
    assert hand.mark.value > low
    await late.close()
    await foreign.close()


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


async def test_who_takes_over_from_a_crash_after_the_mark_rose_begins_at_zero(
    hand: Hand, fresh_database: str, writer: Session
) -> None:
    """The mark lives in the memory of its owner: with a crash nothing of it is left to mislead."""
    late = await asyncpg.connect(fresh_database)
    transaction = late.transaction()
    await transaction.start()
    (low,) = await store(late, [sync("t", "late", 1)])
    (high,) = await committed(writer, sync("t", "early", 1))
    assert await hand.round() == [high]
    hand.connection.terminate()
    await transaction.commit()
    other = Hand(await asyncpg.connect(fresh_database))
    assert await other.round() == [low]
    await other.connection.close()
    await late.close()


async def put_low(dsn: str, topic: str) -> int:
    """A row with an id from before all others, as none can appear: only who begins at 0 sees it."""
    connection = await asyncpg.connect(dsn)
    low: int = await connection.fetchval("SELECT nextval('outbox_id_seq') - 1000000")
    await connection.execute(
        "INSERT INTO outbox (id, shard, kind, told_before, topic, headers)"
        " VALUES ($1, 0, 0, false, $2, '\\x90')",
        low,
        topic,
    )
    await connection.close()
    return low


async def raised(one: Relay, dsn: str, topic: str) -> None:
    """Wait until the mark has risen over rows that were published."""

    async def risen() -> bool:
        await put(dsn, [sync(topic, f"order-{n}", 1) for n in range(16)])
        await emptied(dsn)
        return one._mark.value > 0

    await until(risen)


@pytest.mark.one_broker
async def test_a_relay_whose_session_was_lost_begins_at_zero(
    fresh_database: str, kafka: str, writer: Session
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)
    await writer.execute("ALTER SEQUENCE outbox_id_seq RESTART WITH 2000000")
    async with relay(fresh_database, kafka) as one:
        await raised(one, fresh_database, topic)
        low = await put_low(fresh_database, topic)
        assert low < one._mark.value
        await writer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await emptied(fresh_database)


@pytest.mark.one_broker
async def test_a_relay_that_acquires_a_shard_begins_at_zero(
    fresh_database: str, kafka: str, writer: Session
) -> None:
    topic = name("sync")
    await create_topics(kafka, topic)
    await writer.execute("ALTER SEQUENCE outbox_id_seq RESTART WITH 2000000")
    async with relay(fresh_database, kafka) as one:
        async with relay(fresh_database, kafka) as other:

            async def shared() -> bool:
                return len(one.owned_shards) == len(other.owned_shards) == 2

            await until(shared)
            await raised(one, fresh_database, topic)
            await raised(other, fresh_database, topic)
            await put_low(fresh_database, topic)
            assert await writer.fetchval("SELECT count(*) FROM outbox") == 1
        await emptied(fresh_database)
