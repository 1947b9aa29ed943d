"""The lock session: the one connection that owns shards, fetches, deletes and parks.

Whoever is frozen loses it after ten seconds, and with it the shards and the right to delete.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

import asyncpg

from services.kit.database import Session, is_away, open_session
from services.kit.errors import DatabaseAway
from services.kit.outbox import NEW_ROWS_CHANNEL

PING_SECONDS = 2.0
# Below idle_session_timeout by a margin: a thawed process must not publish on old knowledge.
FRESH_SECONDS = 8.0

_LIMITS = {
    "idle_session_timeout": "10s",
    # A deletion that a crash of the server undoes is a repeat, which at-least-once allows; for
    # exactly-once the batch that was stored says what went out, and that one waits for the disk.
    "synchronous_commit": "off",
}
_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class LockSession:
    """An async context manager over the session; raises DatabaseAway where it cannot be had.

    `on_rows` is called for each notification of new rows.
    """

    def __init__(self, dsn: str, on_rows: Callable[[], None], application_name: str) -> None:
        self._dsn = dsn
        self._on_rows = on_rows
        self._application_name = application_name
        self._turn = asyncio.Lock()
        self._heard = 0.0
        self._connection: Session | None = None
        self._pings: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            self._connection = await open_session(
                self._dsn, application_name=self._application_name, limits=_LIMITS
            )
            await self._connection.add_listener(NEW_ROWS_CHANNEL, self._notified)
        except _ERRORS as error:
            self._terminate()
            if is_away(error):
                raise DatabaseAway(f"No session for the outbox: {error!r}") from error
            raise
        self._heard = time.monotonic()
        self._pings = asyncio.create_task(self._ping())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pings is not None:
            self._pings.cancel()
            with suppress(asyncio.CancelledError):
                await self._pings
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed():
            return
        if kind is None:
            with suppress(*_ERRORS):
                await connection.close(timeout=2)
        else:
            connection.terminate()

    @property
    def alive(self) -> bool:
        """Whether the session was heard from so lately that its locks are surely held."""
        connection = self._connection
        return (
            connection is not None
            and not connection.is_closed()
            and time.monotonic() - self._heard < FRESH_SECONDS
        )

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Session]:
        """The connection, for one at a time. Raises DatabaseAway when the session is gone.

        An error that says the database is away ends the session: what it did is in doubt, and
        whoever owns its shards next begins from id 0.
        """
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                raise DatabaseAway("The outbox's session is gone.")
            try:
                yield self._connection
            except _ERRORS as error:
                self._terminate()
                if is_away(error):
                    raise DatabaseAway(f"The outbox's session is gone: {error!r}") from error
                raise
            self._heard = time.monotonic()

    async def _ping(self) -> None:
        with suppress(DatabaseAway):
            while True:
                await asyncio.sleep(PING_SECONDS)
                async with self.use() as connection:
                    await connection.execute("SELECT 1", timeout=5)

    def _notified(self, *_: Any) -> None:
        self._on_rows()

    def _terminate(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
