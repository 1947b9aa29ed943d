"""The database of a command: one connection, one look at everything at the same moment."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.kit.database import Connection, open_pool
from services.kit.migrations import require_current
from services.kit.settings import Settings

# An operator may wait longer than a service may block; the server still ends what hangs.
_PATIENT = "SET statement_timeout = '120s'; SET transaction_timeout = '180s'"


@asynccontextmanager
async def database(settings: Settings, *, write: bool = False) -> AsyncIterator[Connection]:
    """A transaction on a connection of its own; to read, all in one snapshot that cannot write.

    Raises SchemaTooOld where migrations are missing, and what `is_away` knows when the database
    does not answer.
    """
    pool = await open_pool(
        settings.database_url, application_name="crossroads cli", min_size=0, max_size=1
    )
    async with pool, pool.acquire(timeout=10) as connection:
        await connection.execute(_PATIENT, timeout=10)
        async with connection.transaction(
            isolation="read_committed" if write else "repeatable_read", readonly=not write
        ):
            await require_current(connection)
            yield connection
