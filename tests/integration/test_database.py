import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.kit.database import (
    LIMITS,
    Pool,
    insert_rows,
    is_away,
    is_retryable_conflict,
    open_pool,
    open_session,
    retry_conflicts,
    transaction,
)


@pytest.fixture
async def pool(empty_database: str) -> AsyncIterator[Pool]:
    opened = await open_pool(empty_database, application_name="test-database", max_size=3)
    async with opened.acquire() as connection:
        await connection.execute("CREATE TABLE kept (id integer PRIMARY KEY, n integer)")
        await connection.execute("INSERT INTO kept VALUES (1, 0), (2, 0)")
    yield opened
    await opened.close()


async def total(pool: Pool) -> int:
    value: int = await pool.fetchval("SELECT sum(n)::int FROM kept")
    return value


async def test_every_connection_has_the_limits_and_a_name(pool: Pool) -> None:
    rows = await pool.fetch("SELECT name, setting, unit FROM pg_settings")
    settings = {row["name"].lower(): row["setting"] for row in rows}
    assert settings["application_name"] == "test-database"
    assert {name: settings[name] for name in LIMITS} == {
        "lock_timeout": "5000",
        "statement_timeout": "15000",
        "idle_in_transaction_session_timeout": "10000",
        "transaction_timeout": "20000",
        "client_connection_check_interval": "5000",
        "timezone": "UTC",
        "jit": "off",
        "row_security": "off",
    }


async def test_a_session_may_have_limits_of_its_own(empty_database: str) -> None:
    session = await open_session(
        empty_database, application_name="relay", limits={"idle_session_timeout": "10s"}
    )
    assert await session.fetchval("SHOW idle_session_timeout") == "10s"
    assert await session.fetchval("SHOW lock_timeout") == "5s"
    await session.close()


async def test_a_block_that_ends_is_committed_in_read_committed(pool: Pool) -> None:
    async with transaction(pool) as connection:
        assert await connection.fetchval("SHOW transaction_isolation") == "read committed"
        await connection.execute("UPDATE kept SET n = 1 WHERE id = 1")
    assert await total(pool) == 1


async def test_a_block_that_raises_is_rolled_back_and_its_connection_is_kept(pool: Pool) -> None:
    backends = []

    async def fail() -> None:
        async with transaction(pool) as connection:
            backends.append(connection.get_server_pid())
            await connection.execute("UPDATE kept SET n = 1")
            await connection.execute("INSERT INTO kept VALUES (1, 5)")

    with pytest.raises(asyncpg.UniqueViolationError):
        await fail()
    assert await total(pool) == 0
    async with transaction(pool) as connection:
        assert [connection.get_server_pid()] == backends


async def test_a_cancelled_task_gives_its_locks_back_at_once(pool: Pool) -> None:
    holds = asyncio.Event()

    async def hold() -> None:
        async with transaction(pool) as connection:
            await connection.execute("UPDATE kept SET n = 1 WHERE id = 1")
            holds.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await holds.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with transaction(pool) as connection:
        await connection.execute("UPDATE kept SET n = 2 WHERE id = 1")
    assert await total(pool) == 2


async def test_a_backend_that_was_ended_is_away_and_the_pool_gives_another(pool: Pool) -> None:
    backends = []

    async def lose() -> None:
        async with transaction(pool) as connection:
            backends.append(connection.get_server_pid())
            await pool.execute("SELECT pg_terminate_backend($1)", backends[0])
            await connection.execute("UPDATE kept SET n = 1")

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)) as caught:
        await lose()
    assert is_away(caught.value)
    async with transaction(pool) as connection:
        assert connection.get_server_pid() not in backends
        await connection.execute("UPDATE kept SET n = 3 WHERE id = 1")
    assert await total(pool) == 3


async def test_a_pool_without_a_free_connection_is_away_after_the_wait(pool: Pool) -> None:
    taken = [await pool.acquire() for _ in range(3)]
    with pytest.raises(TimeoutError) as caught:
        async with transaction(pool, acquire_seconds=0.05):
            pytest.fail("there was no connection to have")
    assert is_away(caught.value)
    for connection in taken:
        await pool.release(connection)


async def test_a_lock_that_is_not_had_in_time_is_a_conflict(pool: Pool) -> None:
    async def want() -> None:
        async with transaction(pool) as other:
            await other.execute("SET LOCAL lock_timeout = '10ms'")
            await other.execute("UPDATE kept SET n = 2 WHERE id = 1")

    async with transaction(pool) as holder:
        await holder.execute("UPDATE kept SET n = 1 WHERE id = 1")
        with pytest.raises(asyncpg.LockNotAvailableError) as caught:
            await want()
    assert is_retryable_conflict(caught.value)


@pytest.mark.parametrize("count", [0, 1, 8, 9, 2_000])
async def test_few_rows_are_inserted_as_many_are(pool: Pool, count: int) -> None:
    """Few take one round trip and many are copied; whoever asks sees no difference."""
    rows = [(100 + n, None if n % 2 else n) for n in range(count)]
    async with transaction(pool) as connection:
        await insert_rows(connection, "kept", ("id", "n"), rows)
    kept = await pool.fetch("SELECT id, n FROM kept WHERE id >= 100 ORDER BY id")
    assert [tuple(row) for row in kept] == rows
    if rows:
        async with pool.acquire() as connection:
            with pytest.raises(asyncpg.UniqueViolationError):
                await insert_rows(connection, "kept", ("id", "n"), rows)
        assert await pool.fetchval("SELECT count(*) FROM kept WHERE id >= 100") == count


async def test_of_two_that_deadlock_both_come_through(pool: Pool) -> None:
    both_hold_one = asyncio.Barrier(2)
    runs = 0

    async def add(first: int, second: int) -> None:
        nonlocal runs
        met = False
        async for attempt in retry_conflicts():
            with attempt:
                async with transaction(pool) as connection:
                    runs += 1
                    await connection.execute("UPDATE kept SET n = n + 1 WHERE id = $1", first)
                    if not met:
                        met = True
                        await both_hold_one.wait()
                    await connection.execute("UPDATE kept SET n = n + 1 WHERE id = $1", second)

    await asyncio.gather(add(1, 2), add(2, 1))
    assert await total(pool) == 4
    assert runs == 3


async def test_a_statement_prepared_before_a_migration_is_a_conflict_and_then_goes_through(
    pool: Pool,
) -> None:
    async with pool.acquire() as migrating:
        async with transaction(pool) as connection:
            await connection.fetch("SELECT * FROM kept")
        await migrating.execute("ALTER TABLE kept ADD COLUMN more text")
        columns = []
        runs = 0
        async for attempt in retry_conflicts():
            with attempt:
                async with transaction(pool) as connection:
                    runs += 1
                    columns = list((await connection.fetch("SELECT * FROM kept"))[0].keys())
    assert (columns, runs) == (["id", "n", "more"], 2)


async def test_nobody_listening_is_away() -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011
        await open_pool("postgresql://hub@127.0.0.1:1/hub", application_name="test")
    assert is_away(caught.value)
