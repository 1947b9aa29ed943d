"""PostgreSQL: pools and sessions with their limits, transactions, and what an error means.

A cancelled transaction is not a rolled-back one: whoever is interrupted at COMMIT must read the
mark again before deciding anything.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any, TypeAlias

import asyncpg
import structlog
import tenacity
from asyncpg.pool import PoolConnectionProxy

from services.kit.errors import DatabaseAway

Pool: TypeAlias = asyncpg.Pool
Session: TypeAlias = asyncpg.Connection
Connection: TypeAlias = asyncpg.Connection | PoolConnectionProxy

# Every connection ends what hangs. transaction_timeout is there for a process that was frozen
# between two messages: it holds its row locks through all the others.
LIMITS: Mapping[str, str] = {
    "lock_timeout": "5s",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "10s",
    "transaction_timeout": "20s",
    "client_connection_check_interval": "5s",
    "timezone": "UTC",
    # Planning a short statement for the compiler costs more than it will ever run.
    "jit": "off",
    # Whoever is bound by a policy without knowing it gets an error, and never half of the rows.
    "row_security": "off",
}
CONNECT_SECONDS = 10.0
ACQUIRE_SECONDS = 10.0
# The server's statement_timeout comes first; this one is for a network that went silent.
COMMAND_SECONDS = 25.0
_RELEASE_SECONDS = 5.0
# Each row by itself costs the server several times what COPY makes of it.
_FEW_ROWS = 8

# 25P03 and 25P04 end a session that stood still; 57P05 (class 57) does so for an idle one.
_AWAY_CLASSES = ("08", "28", "40", "53", "57", "58", "XX")
_AWAY_STATES = frozenset({"25006", "25P03", "25P04", "55P03", "3D000"})
_CONFLICTS = frozenset({"40001", "40P01", "55P03"})
_CLOSED = re.compile(
    r"connection (is|was) closed|connection has been released|pool is clos"
    # One task uses a connection: whatever still goes on there was left behind when it was lost.
    r"|another operation is (cancelling|in progress)"
)

_SESSION_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)

log = structlog.get_logger()


async def open_pool(
    dsn: str,
    *,
    application_name: str,
    min_size: int = 1,
    max_size: int = 10,
    settings: Mapping[str, str] | None = None,
) -> Pool:
    """A pool whose connections have LIMITS; `settings` adds to them or replaces some.

    Raises what `is_away` knows when nobody answers.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=min_size,
        max_size=max_size,
        timeout=CONNECT_SECONDS,
        command_timeout=COMMAND_SECONDS,
        reset=_nothing_to_reset,
        server_settings={**LIMITS, **(settings or {}), "application_name": application_name},
    )


async def _nothing_to_reset(_: Session) -> None:
    """What is set, locked or opened on a pool's connection ends with its transaction.

    asyncpg's own way asks the server to reset a session after each, which costs a round trip.
    Sessions that LISTEN or hold locks are `open_session`'s.
    """


async def open_session(
    dsn: str,
    *,
    application_name: str,
    limits: Mapping[str, str] | None = None,
    command_seconds: float | None = COMMAND_SECONDS,
) -> Session:
    """One connection outside of any pool, for session-level locks and LISTEN.

    `limits` adds to LIMITS or replaces some of them (`{"idle_session_timeout": "10s"}`);
    `command_seconds` is how long the client waits for a statement, None: without end.
    """
    return await asyncpg.connect(
        dsn,
        timeout=CONNECT_SECONDS,
        command_timeout=command_seconds,
        server_settings={**LIMITS, **(limits or {}), "application_name": application_name},
    )


@asynccontextmanager
async def transaction(
    pool: Pool, *, acquire_seconds: float = ACQUIRE_SECONDS, readonly: bool = False
) -> AsyncIterator[Connection]:
    """A READ COMMITTED transaction on a connection of `pool`: committed at the end of the block.

    Rolled back when the block raises. Where the connection's state is in doubt (a cancelled task,
    a lost or confused connection) it is closed, so that its locks go at once and nobody inherits
    it. Raises TimeoutError when no connection is free within `acquire_seconds`.
    """
    connection = await pool.acquire(timeout=acquire_seconds)
    try:
        async with connection.transaction(isolation="read_committed", readonly=readonly):
            yield connection
    except (
        asyncio.CancelledError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        asyncpg.PostgresConnectionError,
        OSError,
    ):
        # A connection that was lost has left the pool by itself, and its proxy refuses any call.
        with suppress(asyncpg.InterfaceError):
            connection.terminate()
        raise
    finally:
        # By now the outcome is known, and must not be hidden: a connection that cannot be reset is
        # ended by the pool itself.
        with suppress(*_SESSION_ERRORS):
            await pool.release(connection, timeout=_RELEASE_SECONDS)


async def insert_rows(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    records: Sequence[Sequence[Any]],
) -> None:
    """Insert rows: many by COPY, which costs less of each; few in one round trip, not its two.

    A batch of a single order is mostly round trips. Raises what the table's constraints raise.
    """
    if len(records) > _FEW_ROWS:
        await connection.copy_records_to_table(table, columns=columns, records=records)
    elif records:
        await connection.executemany(_insertion(table, tuple(columns)), records)


@cache
def _insertion(table: str, columns: tuple[str, ...]) -> str:
    values = ", ".join(f"${at}" for at in range(1, len(columns) + 1))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"  # noqa: S608


def is_away(error: BaseException) -> bool:
    """Whether `error` says that the database is away or busy, and nothing about any record.

    Then: back off, commit nothing, blame nobody. True for the SQLSTATE classes 08, 28, 40, 53, 57,
    58 and XX, for 25006, 25P03, 25P04, 3D000 and 55P03, and for lost or confused connections;
    so every conflict of `is_retryable_conflict` is among them.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_away(inner) for inner in error.exceptions)
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state[:2] in _AWAY_CLASSES or state in _AWAY_STATES or is_retryable_conflict(error)
    if isinstance(error, asyncpg.InterfaceError):
        return _CLOSED.search(str(error)) is not None
    # TimeoutError and asyncio's own are OSErrors.
    return isinstance(error, DatabaseAway | asyncpg.InternalClientError | OSError)


def is_retryable_conflict(error: BaseException) -> bool:
    """Whether the same transaction may go through when it is run again at once.

    Deadlocks, serialization failures and lock timeouts; and a statement that was prepared before a
    migration, which within a transaction fails once (and has no SQLSTATE of its own).
    """
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return True
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in _CONFLICTS


def retry_conflicts(*, attempts: int = 5) -> tenacity.AsyncRetrying:
    """Runs a whole transaction again after a conflict, up to `attempts` times, then raises it.

    `async for attempt in retry_conflicts(): with attempt: …`. The waits are random, so that two
    who met do not meet again.
    """
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(is_retryable_conflict),
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_random_exponential(multiplier=0.02, max=1.0),
        reraise=True,
    )


def while_away(
    stop_event: asyncio.Event, *, max_wait_seconds: float = 5.0
) -> tenacity.AsyncRetrying:
    """Tries again for as long as the database is away, with jittered back-off.

    Ends when `stop_event` is set, also in the middle of a wait, and raises the last error then;
    any other error is raised at once.
    """

    async def sleep(seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await stop_event.wait()
        except TimeoutError:
            return

    def stopped(_: tenacity.RetryCallState) -> bool:
        return stop_event.is_set()

    return tenacity.AsyncRetrying(
        sleep=sleep,
        retry=tenacity.retry_if_exception(is_away),
        stop=stopped,
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=max_wait_seconds),
        before_sleep=_tell,
        reraise=True,
    )


def _tell(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    log.warning(
        "the database is away",
        attempt=state.attempt_number,
        error=type(error).__name__,
        sqlstate=getattr(error, "sqlstate", None),
        next_seconds=round(state.upcoming_sleep, 2),
    )
