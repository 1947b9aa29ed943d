"""The stored batch of a relay that delivers exactly once, in the database."""

from services.relay import batches
from services.relay.batches import Left
from services.relay.session import LockSession
from tests.integration.relay_world import left, put, sync, value_of


async def test_it_is_on_disk_although_its_session_commits_without_waiting(
    fresh_database: str,
) -> None:
    """What is published under a number that a crash of the server forgets is published again."""
    asked = "SHOW synchronous_commit"
    session = LockSession(fresh_database, lambda: None, "relay")
    async with session, session.use() as connection:
        assert await connection.fetchval(asked) == "off"
        async with connection.transaction():
            await batches.store(connection, {0: (1, [5, 6]), 3: (9, [])}, "cluster")
            assert await connection.fetchval(asked) == "on"
        assert await connection.fetchval(asked) == "off"
        found = await connection.fetch("SELECT shard, batch_no, row_ids FROM relay_batches")
    assert sorted(map(tuple, found)) == [(0, 1, [5, 6]), (3, 9, [])]


async def test_of_what_was_stored_only_rows_that_are_still_there_are_left(
    fresh_database: str,
) -> None:
    rows = await put(fresh_database, [sync("topic", "order", n) for n in range(1, 4)])
    moved = "WITH moved AS (DELETE FROM outbox WHERE id = $1 RETURNING *) INSERT INTO outbox_parked"
    columns = "id, stored_at, shard, kind, told_before, topic, stream, cause, key, headers, value"
    parked = f"{moved} ({columns}) SELECT {columns} FROM moved"
    await value_of(fresh_database, "DELETE FROM outbox WHERE id = $1", rows[0])
    await value_of(fresh_database, parked, rows[1])
    session = LockSession(fresh_database, lambda: None, "relay")
    async with session, session.use() as connection:
        await batches.store(connection, {2: (4, rows)}, "cluster")
        found = await batches.left_behind(connection, [1, 2])
        assert found == {2: Left(4, "cluster", (rows[2], rows[1]))}
        await batches.finish(connection, found[2].row_ids)
        assert await batches.left_behind(connection, [2]) == {2: Left(4, "cluster", ())}
    assert await left(fresh_database) == 0
