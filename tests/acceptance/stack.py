"""A whole stack in processes of its own: started as a user would, hurt on purpose, ended."""

import asyncio
import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

COMMAND = (sys.executable, "-P", "-m", "services.cli")
START_SECONDS = 150.0
END_SECONDS = 40.0
COMMAND_SECONDS = 90.0
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Process:
    """One process as the stack tells of it; pid 0 while it is down."""

    name: str
    number: int
    pid: int
    restarts: int
    ready: bool


@dataclass(slots=True)
class Stack:
    """`crossroads up --json` on a data directory of its own."""

    data: Path
    replicas: Mapping[str, int] = field(default_factory=dict)
    session_seconds: int = 6
    broker: str = "tansu"
    delivery: str = "at-least-once"
    line: dict[str, Any] = field(default_factory=dict)
    _process: subprocess.Popen[str] | None = None

    @property
    def http(self) -> str:
        return str(self.line["http"])

    @property
    def kafka(self) -> str:
        return str(self.line["kafka"])

    def start(self) -> None:
        """Start, and return when the line says that all is ready."""
        words = [
            part
            for each in self.replicas.items()
            for part in ("--replicas", "=".join(map(str, each)))
        ]
        # Not a pipe: nobody would empty it while the tests run.
        with (self.data.parent / f"{self.data.name}.talk").open("ab") as talk:
            self._process = subprocess.Popen(
                [
                    *(*COMMAND, "up", "--json", "--data", str(self.data)),
                    *("--broker", self.broker, *words),
                ],
                stdout=subprocess.PIPE,
                stderr=talk,
                text=True,
                env=self._environment(),
            )
        self.line = json.loads(self._first_line())

    def stop(self) -> None:
        """SIGTERM, and nothing of it may be left running."""
        process = self._running()
        members = psutil.Process(process.pid).children(recursive=True)
        # A stopped process cannot end by itself.
        for each in self.processes():
            if each.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(END_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
            self._process = None
        left = [each for each in members if lives(each.pid)]
        assert not left, f"still running after the end: {left}"
        assert code == 0, f"the stack ended with {code}"

    def processes(self, name: str | None = None) -> list[Process]:
        """What runs, as the stack writes it down for `crossroads status`."""
        try:
            state = json.loads((self.data / "state.json").read_text())
        except FileNotFoundError:
            return []
        return [
            Process(of, number, **line)
            for of, lines in state["processes"].items()
            for number, line in enumerate(lines)
            if name in (None, of)
        ]

    def send(self, name: str, signal_: signal.Signals, number: int = 0) -> Process:
        """Send a signal to a process that is up; what it was then."""
        process = self.processes(name)[number]
        assert process.pid, f"{name} is down"
        os.kill(process.pid, signal_)
        return process

    async def up_again(self, before: Process, seconds: float = 90) -> None:
        """Wait until the process was started anew and is ready."""

        def again() -> bool:
            now = self.processes(before.name)[before.number]
            return now.restarts > before.restarts and now.ready

        await until(again, f"{before.name} to be up again", seconds)

    async def all_ready(self, seconds: float = 90) -> None:
        """Wait until everything that belongs to the stack is ready."""

        def ready() -> bool:
            found = self.processes()
            return bool(found) and all(each.pid and each.ready for each in found)

        try:
            await until(ready, "all processes to be ready", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {await self._whys()}") from None

    async def _whys(self) -> dict[str, str]:
        """What each process that is not ready says about it, and the end of its log."""
        whys: dict[str, str] = {}
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            for each in self.processes():
                if each.ready:
                    continue
                urls = self.line["metrics"].get(each.name, [])
                why = f"pid {each.pid}, {each.restarts} restarts"
                if each.number < len(urls):
                    try:
                        url = urls[each.number].replace("/metrics", "/readyz")
                        why += f": {(await client.get(url)).text}"
                    except httpx.HTTPError as error:
                        why += f": {error!r}"
                log = self.data / "logs" / f"{each.name}.log"
                end = log.read_text(errors="replace")[-2000:] if log.exists() else ""
                whys[f"{each.name}-{each.number}"] = f"{why}\n{end}"
        return whys

    async def run(self, *words: str) -> tuple[int, str, str]:
        """A command of the hub's, led to this stack: exit code, data, talk."""
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment() | self.line["environment"],
        )
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                data, talk = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, data.decode(), talk.decode()

    async def audit(self) -> dict[str, Any]:
        """The books, which must balance."""
        code, data, talk = await self.run("audit", "--json")
        assert data, talk
        books: dict[str, Any] = json.loads(data)
        assert (code, books["balanced"]) == (0, True), f"{books} {talk}"
        return books

    async def api_key(self, tenant: str, *scopes: str) -> str:
        """A new credential of a tenant."""
        words = [part for scope in scopes for part in ("--scope", scope)]
        code, data, talk = await self.run("keys", "create", "--tenant", tenant, *words, "--json")
        assert code == 0, talk
        return str(json.loads(data)["api_key"])

    async def quiet(self, seconds: float = 90) -> None:
        """Wait until every record was read and every outgoing record acknowledged."""
        deadline = time.monotonic() + seconds
        while True:
            code, data, talk = await self.run("status", "--json", "--data", str(self.data))
            found = json.loads(data) if code == 0 else {}
            if code == 0 and not found["lag"] and not found["outbox"]:
                return
            assert time.monotonic() < deadline, f"not quiet: {data} {talk}"

    def _environment(self) -> dict[str, str]:
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith("CROSSROADS_")
        }
        return kept | {
            "CROSSROADS_SESSION_TIMEOUT_SECONDS": str(self.session_seconds),
            "CROSSROADS_DELIVERY": self.delivery,
        }

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "the stack was not started"
        return self._process

    def _first_line(self) -> str:
        process = self._running()
        assert process.stdout is not None
        lines: queue.Queue[str] = queue.Queue()
        reading = threading.Thread(
            target=lambda out: lines.put(out.readline()), daemon=True, args=(process.stdout,)
        )
        reading.start()
        line = lines.get(timeout=START_SECONDS)
        assert line, (self.data.parent / f"{self.data.name}.talk").read_text()
        return line


@contextlib.contextmanager
def running_stack(
    *,
    broker: str = "tansu",
    session_seconds: int = 6,
    delivery: str = "at-least-once",
    **replicas: int,
) -> Iterator[Stack]:
    """A ready stack in a new data directory; it is ended, and the directory removed.

    `replicas` counts processes by service, with underscores in the names.
    """
    # Below /tmp itself: a folder of pytest's is closed to the user that PostgreSQL runs as.
    home = Path(tempfile.mkdtemp(prefix="crossroads-acceptance-"))
    home.chmod(0o755)
    counts = {name.replace("_", "-"): count for name, count in replicas.items()}
    stack = Stack(home / "data", counts, session_seconds, broker, delivery)
    try:
        stack.start()
        yield stack
    finally:
        if stack._process is not None:
            stack.stop()
        shutil.rmtree(home, ignore_errors=True)


async def until(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Wait for a condition, or fail naming it."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        await asyncio.sleep(POLL_SECONDS)


async def eventually(
    attempt: Callable[[], Awaitable[bool]], what: str, seconds: float = 90
) -> None:
    """Try until it works, or fail naming it."""
    deadline = time.monotonic() + seconds
    while not await attempt():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        await asyncio.sleep(POLL_SECONDS)


def lives(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    if not pid:
        return False
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
