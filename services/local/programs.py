"""How one program is started: its arguments, its environment, its leash and its log."""

import asyncio
import importlib.util
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.local import leash
from services.local.errors import LocalError, StartFailed

LOG_LIMIT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class User:
    """Whom a program runs as when the one who starts it is root."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program to keep running.

    `command` is asked anew at every start, so that a restart may get other arguments.
    `answers` says whether the program serves; it must not raise for a program that does not yet.
    `after_start` runs each time the program began to answer and before it counts as ready; a
    failure (`LocalError`) is tried again.
    `deaths_allowed` is how often it may end before it ever answered, until the start has failed.
    `stage` orders the end: lower stages end first, and a stage has `patience` seconds to do so.
    """

    name: str
    command: Callable[[], Sequence[str]]
    log: Path
    answers: Callable[[], Awaitable[bool]]
    number: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    after_start: Callable[[], Awaitable[None]] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    stage: int = 0
    patience: float = 8.0
    deaths_allowed: int = 5
    user: User | None = None

    @property
    def title(self) -> str:
        """The name people read: `relay`, or `relay-2` for the second of several."""
        return f"{self.name}-{self.number + 1}" if self.number else self.name


async def spawn(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    orphan_signal: signal.Signals = signal.SIGKILL,
    user: User | None = None,
    capture: bool = False,
) -> asyncio.subprocess.Process:
    """Start `command` in a session of its own, so that Ctrl-C reaches the supervisor alone.

    It gets `orphan_signal` from the kernel when the calling *thread* ends. What it says goes to the
    end of `log` (with `capture`, its standard output to a pipe instead); a log above 32 MiB is
    first moved to `<log>.1`.
    """
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(log.suffix + ".1"))
    uid, gid = (user.uid, user.gid) if user else (-1, -1)
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", leash.__file__),
            *(str(os.getpid()), str(int(orphan_signal)), str(uid), str(gid)),
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if capture else output,
            stderr=output,
            env=dict(environment),
            start_new_session=True,
        )


async def run_command(
    command: Sequence[str], *, environment: Mapping[str, str], log: Path, seconds: float
) -> str:
    """Run a program to its end; its standard output. The rest of what it says goes to `log`.

    Raises:
        StartFailed: it ended with another code than 0, or not in time.
    """
    process = await spawn(command, environment=environment, log=log, capture=True)
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    except TimeoutError as error:
        raise StartFailed(log.stem, f"did not end within {seconds:g} s", log) from error
    finally:
        kill_session(process)
        await process.wait()
    if process.returncode != 0:
        raise StartFailed(log.stem, f"failed ({process.returncode})", log)
    return output.decode()


def wheel_folder(package: str) -> Path:
    """The folder of an installed package whose programs are to be started.

    Raises:
        LocalError: the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise LocalError(f"the package {package} is not installed")
    return Path(spec.origin).parent


def send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal a program that may have ended in the meantime."""
    if process.returncode is None:
        try:
            process.send_signal(number)
        except ProcessLookupError:
            return


def kill_session(process: asyncio.subprocess.Process) -> None:
    """SIGKILL the program and what it started in its own session."""
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
