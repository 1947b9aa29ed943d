"""What a killed supervisor may have left running: written down, and ended at the next start.

The kernel ends the programs with their supervisor (leash.py); this is for what it could not end in
time. A process is known by its id *and* its start time, so that an id used again hits nobody.
"""

import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

import psutil

START_TIME_TOLERANCE_SECONDS = 1.0
PATIENCE_SECONDS = 5.0


class Remembered(TypedDict):
    """One line of the process file."""

    name: str
    pid: int
    started: float
    stop_signal: int


def remember(path: Path, processes: Iterable[tuple[str, int, signal.Signals]]) -> None:
    """Write down name, id, start time and stop signal of the processes that are running now."""
    lines: list[Remembered] = []
    for name, pid, stop_signal in processes:
        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            continue
        lines.append({"name": name, "pid": pid, "started": started, "stop_signal": stop_signal})
    write_private(path, json.dumps(lines))


def end_leftovers(path: Path) -> list[str]:
    """End the remembered processes that still run; the names of those.

    Each gets its stop signal and five seconds, then SIGKILL. Blocks until they are gone.
    """
    if not path.exists():
        return []
    found: list[tuple[Remembered, psutil.Process]] = []
    for line in json.loads(path.read_text() or "[]"):
        process = _alive(line)
        if process is not None:
            found.append((line, process))
    for line, process in found:
        _signal(process, line["stop_signal"])
    _, stubborn = psutil.wait_procs([process for _, process in found], timeout=PATIENCE_SECONDS)
    for process in stubborn:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=PATIENCE_SECONDS)
    path.unlink()
    return [line["name"] for line, _ in found]


def is_same_process(pid: int, started: float) -> bool:
    """Whether the process that had this id and start time still runs."""
    try:
        process = psutil.Process(pid)
        near = abs(process.create_time() - started) < START_TIME_TOLERANCE_SECONDS
        return near and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step; only its owner may read it (mode 0600)."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    beside.replace(path)


def _alive(line: Remembered) -> psutil.Process | None:
    if not is_same_process(line["pid"], line["started"]):
        return None
    try:
        return psutil.Process(line["pid"])
    except psutil.NoSuchProcess:
        return None


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
