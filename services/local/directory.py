"""The data directory of a stack: whose it is, what lies in it, and what it tells other commands."""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import psutil

from services.local.errors import DataDirectoryBusy, LocalError
from services.local.leftovers import is_same_process, write_private

DEFAULT = Path(".crossroads")


class ProcessLine(TypedDict):
    """One process as `crossroads status` shows it; pid 0 while it waits to be started again."""

    pid: int
    restarts: int
    ready: bool


class ReadyLine(TypedDict):
    """What `crossroads up --json` prints once all is ready. The addresses are URLs.

    `environment` is what another command or a client needs to reach this stack.
    """

    http: str
    console: str
    kafka: str
    cluster_id: str
    database: str
    operator_key: str
    metrics: dict[str, list[str]]
    processes: dict[str, list[int]]
    environment: dict[str, str]


class State(TypedDict):
    """What a running stack says of itself; `line` is None until all is ready the first time."""

    pid: int
    started: float
    processes: dict[str, list[ProcessLine]]
    line: ReadyLine | None


class DataDirectory:
    """A data directory, held by this process alone from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.operator_file = self.path / "operator.json"
        self._lock: int | None = None

    def open(self) -> None:
        """Make it (mode 0700) if it is not there, and take it.

        Raises:
            DataDirectoryBusy: another stack runs on it.
            LocalError: it is no directory, or belongs to somebody else.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LocalError(f"{self.path} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(lock, 20).decode() or "?"
            os.close(lock)
            raise DataDirectoryBusy(self.path, holder) from error
        os.truncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        self._lock = lock

    def close(self) -> None:
        """Let others have it."""
        self._state_file.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def tell(self, processes: Mapping[str, list[ProcessLine]], line: ReadyLine | None) -> None:
        """Let other commands know how the stack is."""
        state: State = {
            "pid": os.getpid(),
            "started": psutil.Process().create_time(),
            "processes": dict(processes),
            "line": line,
        }
        write_private(self._state_file, json.dumps(state))

    @property
    def _state_file(self) -> Path:
        return _state_file(self.path)


def running_stack(data: Path = DEFAULT) -> State | None:
    """What the stack that runs on this data directory says of itself; None when none runs.

    A file that belongs to another user is not believed: it has addresses and passwords.
    """
    file = _state_file(data)
    try:
        if file.stat().st_uid != os.geteuid():
            return None
        state: State = json.loads(file.read_text())
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return None
    return state if is_same_process(state["pid"], state["started"]) else None


def environment_of_running_stack(data: Path = DEFAULT) -> dict[str, str]:
    """The variables that lead a command to the running stack; none where none is ready."""
    state = running_stack(data)
    return dict(state["line"]["environment"]) if state and state["line"] else {}


def _state_file(data: Path) -> Path:
    return data / "state.json"
