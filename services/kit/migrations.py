"""Migrations: `services/sql/NNNN_name.sql`, each applied once, in order of its number.

A file is one transaction, so that a failed one leaves nothing. A file whose first line is
`-- no-transaction` holds one statement that cannot be in one (CREATE INDEX CONCURRENTLY), written
so that it may run again (IF NOT EXISTS): a crash between the statement and its entry repeats it.
Any number of processes may migrate at once: one does, the others wait.
"""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import asyncpg
import structlog
import tenacity

from services.kit.database import Connection, Session, open_session, retry_conflicts
from services.kit.errors import CrossroadsError, DatabaseAway, SchemaTooOld

FOLDER = Path(__file__).resolve().parent.parent / "sql"
NO_TRANSACTION = "-- no-transaction"

_FILE_NAME = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql")
_LOCK = 0x63726F7373726F61
_POLL_SECONDS = 0.1
# A migration may take its time, but must not queue up traffic behind a lock it waits for.
_MIGRATION_LIMITS = {
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
}
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
_INVALID_INDEXES = """
SELECT quote_ident(c.relname)
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT i.indisvalid AND n.nspname = current_schema() AND strpos($1, c.relname) > 0
"""

log = structlog.get_logger()

State = Literal["applied", "pending", "changed", "unknown"]


class MigrationsInvalid(CrossroadsError):
    """The folder of migrations has a file that is wrongly named, or a number twice."""


class MigrationChanged(CrossroadsError):
    """A migration that was applied is not what it was: restore its file and write a new one."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; `checksum` is SHA-256 of its bytes in hex."""

    version: int
    name: str
    checksum: str
    sql: str

    @property
    def in_transaction(self) -> bool:
        """Whether the file and its entry in schema_migrations are one transaction."""
        return not self.sql.startswith(NO_TRANSACTION)

    def __str__(self) -> str:
        return f"{self.version:04d}_{self.name}"


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """How one migration stands; `unknown`: applied by a newer program, without a file here."""

    version: int
    name: str
    state: State
    applied_at: datetime | None


def read_folder(folder: Path = FOLDER) -> list[Migration]:
    """The migrations of `folder` by number; raises MigrationsInvalid."""
    migrations: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationsInvalid(f"{path.name} is not named like 0001_what_it_adds.sql")
        raw = path.read_bytes()
        version = int(match["version"])
        if version in migrations:
            raise MigrationsInvalid(f"{path.name} has the number of {migrations[version]}")
        checksum = hashlib.sha256(raw).hexdigest()
        migrations[version] = Migration(version, match["name"], checksum, raw.decode())
    return list(migrations.values())


async def migrate(
    dsn: str, *, folder: Path = FOLDER, wait_seconds: float = 120.0
) -> list[Migration]:
    """Applies what is missing and returns it, in order.

    Raises MigrationChanged before anything is applied, DatabaseAway when another process has been
    migrating for `wait_seconds`, and the database's error of the migration that failed; those
    before it stay.
    """
    migrations = await asyncio.to_thread(read_folder, folder)
    session = await open_session(
        dsn,
        application_name="crossroads-migrate",
        limits=_MIGRATION_LIMITS,
        command_seconds=None,
    )
    try:
        await _lock(session, wait_seconds)
        await session.execute(_TABLE)
        applied = await _applied(session)
        changed = [str(m) for m in migrations if _state(m, applied) == "changed"]
        if changed:
            raise MigrationChanged(f"Applied and changed since: {', '.join(changed)}.")
        missing = [m for m in migrations if m.version not in applied]
        for migration in missing:
            async for attempt in retry_conflicts():
                with attempt:
                    await _apply(session, migration)
            log.info("migration applied", migration=str(migration))
        return missing
    finally:
        await session.close()


async def status(dsn: str, *, folder: Path = FOLDER) -> list[MigrationStatus]:
    """How every migration stands, those of the folder and those of the database, by number."""
    migrations = await asyncio.to_thread(read_folder, folder)
    session = await open_session(dsn, application_name="crossroads-migrate")
    try:
        applied = await _applied(session)
    finally:
        await session.close()
    found = [
        MigrationStatus(
            m.version,
            m.name,
            _state(m, applied),
            applied[m.version]["applied_at"] if m.version in applied else None,
        )
        for m in migrations
    ]
    known = {m.version for m in migrations}
    found += [
        MigrationStatus(version, row["name"], "unknown", row["applied_at"])
        for version, row in applied.items()
        if version not in known
    ]
    return sorted(found, key=lambda entry: entry.version)


async def require_current(connection: Connection | Session, *, folder: Path = FOLDER) -> None:
    """Raises SchemaTooOld unless every migration this program knows was applied.

    A newer schema is no trouble: within a release, migrations only add.
    """
    migrations = await asyncio.to_thread(read_folder, folder)
    applied = await _applied(connection)
    missing = [str(m) for m in migrations if m.version not in applied]
    if missing:
        raise SchemaTooOld(f"The database lacks {', '.join(missing)}: run `crossroads db migrate`.")


async def _lock(session: Session, wait_seconds: float) -> None:
    # Polled: a session that waits within pg_advisory_lock has a snapshot, and CREATE INDEX
    # CONCURRENTLY of the one who holds the lock waits for that snapshot to end.
    polling = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_result(lambda taken: not taken),
        stop=tenacity.stop_after_delay(wait_seconds),
        wait=tenacity.wait_fixed(_POLL_SECONDS),
    )
    try:
        await polling(session.fetchval, "SELECT pg_try_advisory_lock($1)", _LOCK)
    except tenacity.RetryError:
        raise DatabaseAway("Another process is migrating and does not come to an end.") from None


async def _apply(session: Session, migration: Migration) -> None:
    if migration.in_transaction:
        async with session.transaction():
            await session.execute(migration.sql)
            await _enter(session, migration)
        return
    # An index that a crash left half built would satisfy IF NOT EXISTS.
    for row in await session.fetch(_INVALID_INDEXES, migration.sql):
        await session.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {row[0]}")
    await session.execute(migration.sql)
    await _enter(session, migration)


async def _enter(session: Session, migration: Migration) -> None:
    await session.execute(
        "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
        migration.version,
        migration.name,
        migration.checksum,
    )


async def _applied(connection: Connection | Session) -> dict[int, asyncpg.Record]:
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return {}
    rows = await connection.fetch(
        "SELECT version, name, checksum, applied_at FROM schema_migrations"
    )
    return {row["version"]: row for row in rows}


def _state(migration: Migration, applied: dict[int, asyncpg.Record]) -> State:
    row = applied.get(migration.version)
    if row is None:
        return "pending"
    return "applied" if row["checksum"] == migration.checksum else "changed"
