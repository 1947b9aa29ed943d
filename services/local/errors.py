"""What can keep the hub from starting on this machine.

LocalError
├── DataDirectoryBusy   another `crossroads up` has it
├── PortTaken           a port asked for by number is in use
├── ProgramMissing      a program that was asked for needs another one that is not installed
└── StartFailed         a program did not become ready; its last lines are in the message
"""

from pathlib import Path

from services.kit.errors import CrossroadsError


class LocalError(CrossroadsError):
    """The hub cannot run on this machine."""


class DataDirectoryBusy(LocalError):
    """Another process uses the data directory."""

    def __init__(self, directory: Path, pid: str) -> None:
        self.directory = directory
        super().__init__(f"{directory} is in use by a running `crossroads up` (process {pid})")


class PortTaken(LocalError):
    """A port is in use by another program."""

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(f"port {port} on 127.0.0.1 is in use: choose another --port-base")


class ProgramMissing(LocalError):
    """A program is needed that is not on this machine."""


class StartFailed(LocalError):
    """A program did not become ready.

    `name` is the program's, `log` the file that has all it said; the message ends with the last
    lines of it.
    """

    def __init__(self, name: str, reason: str, log: Path) -> None:
        self.name = name
        self.log = log
        text = log.read_text(errors="replace") if log.exists() else ""
        tail = "\n".join("  " + line for line in text.splitlines()[-15:])
        super().__init__(f"{name} {reason}; the end of {log}:\n{tail}")
