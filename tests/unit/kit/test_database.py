import asyncio
import socket
from unittest.mock import AsyncMock, MagicMock

import asyncpg
import pytest

from services.kit.database import (
    is_away,
    is_retryable_conflict,
    retry_conflicts,
    transaction,
    while_away,
)
from services.kit.errors import DatabaseAway

AWAY = [
    asyncpg.ConnectionDoesNotExistError(),
    asyncpg.ConnectionFailureError(),
    asyncpg.ReadOnlySQLTransactionError(),
    asyncpg.SerializationError(),
    asyncpg.DeadlockDetectedError(),
    asyncpg.TooManyConnectionsError(),
    asyncpg.OutOfMemoryError(),
    asyncpg.LockNotAvailableError(),
    asyncpg.QueryCanceledError(),
    asyncpg.AdminShutdownError(),
    asyncpg.CannotConnectNowError(),
    asyncpg.IdleInTransactionSessionTimeoutError(),
    asyncpg.exceptions.TransactionTimeoutError(),
    asyncpg.PostgresIOError(),
    asyncpg.InternalServerError(),
    asyncpg.InvalidPasswordError(),
    asyncpg.InvalidCatalogNameError(),
    asyncpg.InternalClientError(),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InterfaceError("cannot call Connection.fetch(): the underlying connection is closed"),
    asyncpg.InterfaceError("connection has been released back to the pool"),
    asyncpg.InterfaceError("pool is closing"),
    asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
    ConnectionResetError(),
    ConnectionRefusedError(),
    socket.gaierror(),
    TimeoutError(),
    DatabaseAway(),
    ExceptionGroup("", [TimeoutError(), asyncpg.DeadlockDetectedError()]),
]
BLAME = [
    asyncpg.UniqueViolationError(),
    asyncpg.CheckViolationError(),
    asyncpg.DataError(),
    asyncpg.CharacterNotInRepertoireError(),
    asyncpg.UndefinedTableError(),
    asyncpg.ProgramLimitExceededError(),
    asyncpg.InFailedSQLTransactionError(),
    ValueError(),
    KeyError(),
    ExceptionGroup("", [TimeoutError(), ValueError()]),
]


@pytest.mark.parametrize("error", AWAY, ids=repr)
def test_what_says_nothing_about_a_record_is_away(error: Exception) -> None:
    assert is_away(error)


@pytest.mark.parametrize("error", BLAME, ids=repr)
def test_what_a_record_may_have_caused_is_not_away(error: Exception) -> None:
    assert not is_away(error)
    assert not is_retryable_conflict(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.SerializationError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.LockNotAvailableError(),
        asyncpg.InvalidCachedStatementError(),
    ],
    ids=repr,
)
def test_a_conflict_is_run_again_and_never_blamed_on_a_record(error: Exception) -> None:
    assert is_retryable_conflict(error)
    assert is_away(error)


async def test_a_transaction_is_run_again_until_the_conflict_is_over() -> None:
    runs = 0
    async for attempt in retry_conflicts():
        with attempt:
            runs += 1
            if runs < 3:
                raise asyncpg.DeadlockDetectedError
    assert runs == 3


async def test_a_conflict_without_end_is_raised_as_it_is() -> None:
    failing = AsyncMock(side_effect=asyncpg.DeadlockDetectedError)
    with pytest.raises(asyncpg.DeadlockDetectedError):
        await retry_conflicts(attempts=2)(failing)
    assert failing.await_count == 2


async def test_another_error_is_raised_at_once() -> None:
    failing = AsyncMock(side_effect=asyncpg.UniqueViolationError)
    with pytest.raises(asyncpg.UniqueViolationError):
        await while_away(asyncio.Event())(failing)
    assert failing.await_count == 1


async def test_who_waits_for_the_database_goes_on_when_it_is_back() -> None:
    runs = 0
    async for attempt in while_away(asyncio.Event(), max_wait_seconds=0.01):
        with attempt:
            runs += 1
            if runs < 4:
                raise ConnectionRefusedError
    assert runs == 4


async def test_a_stop_ends_the_waiting_in_the_middle() -> None:
    stop = asyncio.Event()
    waiting = asyncio.Event()

    async def work() -> None:
        async for attempt in while_away(stop, max_wait_seconds=3600):
            with attempt:
                waiting.set()
                raise ConnectionRefusedError

    task = asyncio.create_task(work())
    await waiting.wait()
    stop.set()
    with pytest.raises(ConnectionRefusedError):
        async with asyncio.timeout(30):
            await task


async def test_what_was_committed_is_not_hidden_by_a_connection_that_cannot_be_reset() -> None:
    pool = MagicMock()
    pool.acquire = AsyncMock(return_value=MagicMock())
    pool.release = AsyncMock(side_effect=TimeoutError)
    async with transaction(pool) as connection:
        pass
    connection.terminate.assert_not_called()  # type: ignore[attr-defined]
    pool.release.assert_awaited_once()
