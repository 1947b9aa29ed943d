"""The embedded servers in a process of their own, killed and ended in every way."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from services.local.errors import LocalError
from services.local.placing import OUTSIDE, Place, place_for_server, remove_place
from services.local.postgres import Postgres, answers

ROOT = Path(__file__).parents[2]
PACKAGES = Path(asyncpg.__file__).parents[1]
NOBODY = 65_534


@dataclass
class Run:
    """Starts the servers as one user; what was started is ended by the fixture."""

    data: Path
    interpreter: str
    user: int | None
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        process = subprocess.Popen(
            [self.interpreter, str(ROOT / "tests" / "local_servers.py"), str(self.data)],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{PACKAGES}", "HOME": str(self.data)},
            stdout=subprocess.PIPE,
            text=True,
            user=self.user,
            group=self.user,
            extra_groups=[] if self.user else None,
            cwd="/",
        )
        self.started.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline() or '"it said nothing"')


def python_for_everyone() -> str | None:
    """An interpreter like ours that a user without rights can run; root's home may hide ours."""
    version = f"python3.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            subprocess.run(
                [candidate, "-c", "import asyncpg, psutil, aiokafka, structlog"],
                env={"PYTHONPATH": str(PACKAGES), "PYTHONDONTWRITEBYTECODE": "1"},
                user=NOBODY if os.geteuid() == 0 else None,
                cwd="/",
                check=True,
                capture_output=True,
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    return None


# An ordinary user's run is that of an ordinary user; root's has to show both.
WHO = ["as I am", "as an ordinary user"] if os.geteuid() == 0 else ["as I am"]


@pytest.fixture(params=WHO)
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    user, interpreter = None, sys.executable
    if request.param == "as an ordinary user":
        found_interpreter = python_for_everyone()
        if found_interpreter is None:
            pytest.skip("no interpreter here that an ordinary user can run")
        user, interpreter = NOBODY, found_interpreter
    data = Path(tempfile.mkdtemp(prefix="crossroads-local-"))
    if user is not None:
        os.chown(data, user, user)
    found = Run(data, interpreter, user)
    yield found
    for process in found.started:
        process.terminate()
        process.communicate(timeout=30)
    remove_place(data, "postgres")
    shutil.rmtree(data)


def of_directory(data: Path) -> list[psutil.Process]:
    """Every living process whose program or arguments lie in the data directory."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(data) in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return [p for p in found if p.pid != os.getpid()]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def query(dsn: str, statement: str) -> Any:
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_sigterm_ends_everything_and_the_database_is_there_at_the_next_start(run: Run):
    process, line = run.start()
    await query(line["dsn"], "CREATE TABLE kept AS SELECT 7 AS n")
    process.terminate()
    assert await asyncio.to_thread(process.wait, 20) == 0
    assert of_directory(run.data) == []
    _, again = run.start()
    assert (line["is_new"], again["is_new"]) == (True, False)
    assert await query(again["dsn"], "SELECT n FROM kept") == 7
    assert again["cluster_id"] != line["cluster_id"]


async def test_kill_9_of_the_supervisor_leaves_nothing_running_and_loses_no_data(run: Run):
    process, line = run.start()
    await query(line["dsn"], "CREATE TABLE kept AS SELECT 7 AS n")
    process.kill()
    process.wait()
    _, again = run.start()
    assert await query(again["dsn"], "SELECT n FROM kept") == 7
    assert all(pid not in line["pids"].values() for pid in again["pids"].values())
    assert not any(psutil.pid_exists(p) and alive(p) for p in line["pids"].values())


async def test_the_kernel_ends_the_servers_with_their_supervisor(run: Run):
    process, _ = run.start()
    process.kill()
    process.wait()
    await until(lambda: of_directory(run.data) == [])


async def test_kill_9_of_the_postmaster_brings_it_back_on_the_same_port_with_its_data(run: Run):
    _, line = run.start()
    await query(line["dsn"], "CREATE TABLE kept AS SELECT 7 AS n")
    os.kill(line["pids"]["postgres"], signal.SIGKILL)
    await until(lambda: not alive(line["pids"]["postgres"]))
    async with asyncio.timeout(30):
        while not await answers(line["dsn"]):
            await asyncio.sleep(0.05)
    assert await query(line["dsn"], "SELECT n FROM kept") == 7


async def test_a_killed_postmaster_comes_back_although_a_backend_holds_its_memory(run: Run):
    _, line = run.start()
    connection = await asyncpg.connect(line["dsn"])
    backend = await connection.fetchval("SELECT pg_backend_pid()")
    # A stopped backend does not notice that its postmaster is gone.
    os.kill(backend, signal.SIGSTOP)
    os.kill(line["pids"]["postgres"], signal.SIGKILL)
    log = run.data / "logs" / "postgres.log"
    await until(lambda: "pre-existing shared memory block" in log.read_text())
    os.kill(backend, signal.SIGCONT)
    connection.terminate()
    async with asyncio.timeout(30):
        while not await answers(line["dsn"]):
            await asyncio.sleep(0.05)


async def test_passwords_are_wanted_and_kept_in_a_closed_file(run: Run):
    _, line = run.start()
    wrong = line["dsn"].replace(line["dsn"].split(":")[2].split("@")[0], "wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(wrong, "SELECT 1")
    assert (run.data / "postgres-passwords.json").stat().st_mode & 0o777 == 0o600
    assert run.data.stat().st_mode & 0o777 == 0o700
    assert await query(line["dsn"], "SELECT rolsuper FROM pg_roles WHERE rolname = user") is False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's folders are closed to the server's user")
def test_below_a_closed_folder_the_servers_files_lie_outside_and_no_mode_is_widened():
    closed = Path(tempfile.mkdtemp(prefix="crossroads-closed-"))
    data = closed / "data"
    data.mkdir(mode=0o700)
    place = place_for_server(data, "postgres")
    assert OUTSIDE in place.directory.parents
    assert (data / "postgres").resolve() == place.directory
    assert place_for_server(data, "postgres") == place
    assert [p.stat().st_mode & 0o777 for p in (closed, data, place.directory)] == [0o700] * 3
    assert data.stat().st_uid == 0
    shutil.rmtree(closed)
    other = Path(tempfile.mkdtemp(prefix="crossroads-closed-"))
    (other / "data").mkdir()
    place_for_server(other / "data", "postgres")
    assert not place.directory.exists()
    remove_place(other / "data", "postgres")
    shutil.rmtree(other)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Going:
    """A connection that is lost in the middle of a question."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.ended = False

    async def fetchval(self, *_: object) -> None:
        raise self._error

    def terminate(self) -> None:
        self.ended = True


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("closed in the middle of operation"),
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("unexpected connection_lost() call"),
        ConnectionResetError("reset"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_server_that_goes_while_its_owner_is_made_is_prepared_again_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    connection = Going(error)

    async def connect(*_: object, **__: object) -> Going:
        return connection

    monkeypatch.setattr(asyncpg, "connect", connect)
    server = Postgres(tmp_path, 1, tmp_path)
    server._passwords = {"postgres": "secret"}
    server._place = Place(tmp_path, None)
    program = server.program(environment={}, stage=0)
    assert program.after_start is not None
    # The one error that a supervisor takes as "not yet".
    with pytest.raises(LocalError, match="went away again"):
        await program.after_start()
    assert connection.ended
