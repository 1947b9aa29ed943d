"""Keeps programs running: starts them, starts them again when they die, ends them in order.

One asyncio task a program. Nothing outlives the supervisor: the kernel ends its programs with it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from services.local.errors import LocalError, StartFailed
from services.local.leftovers import end_leftovers, remember
from services.local.programs import Program, kill_session, send, spawn

log = structlog.get_logger()

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 5.0
SETTLED_SECONDS = 30.0
PROBE_SECONDS = 0.1
PROBE_READY_SECONDS = 2.0
PREPARE_AGAIN_SECONDS = 1.0
CANCEL_AGAIN_SECONDS = 0.5
FAILED_PREPARATIONS_BEFORE_GIVING_UP = 5


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One running program as others see it; `pid` is 0 while it waits to be started again."""

    name: str
    number: int
    pid: int
    restarts: int
    ready: bool


class _Kept:
    """One program and the task that keeps it running."""

    def __init__(self, program: Program, changed: Callable[[], None]) -> None:
        self.program = program
        self.process: asyncio.subprocess.Process | None = None
        self.restarts = 0
        self.deaths_before_ready = 0
        self.failed_preparations: list[LocalError] = []
        self.ready = asyncio.Event()
        self.ending = asyncio.Event()
        self._changed = changed
        self.task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        process = self.process
        return process.pid if process is not None and process.returncode is None else 0

    async def run(self) -> None:
        delay = FIRST_DELAY_SECONDS
        clock = asyncio.get_running_loop().time
        while not self.ending.is_set():
            began = clock()
            program = self.program
            self.process = await spawn(
                program.command(),
                environment=program.environment,
                log=program.log,
                orphan_signal=program.orphan_signal,
                user=program.user,
            )
            self._changed()
            code = await self._until_it_ends(self.process)
            if not self.ready.is_set():
                self.deaths_before_ready += 1
            self.ready.clear()
            self._changed()
            if self.ending.is_set():
                return
            if clock() - began > SETTLED_SECONDS:
                delay = FIRST_DELAY_SECONDS
            log.warning("process ended", process=program.title, code=code, again_in_seconds=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)
            self.restarts += 1

    async def _until_it_ends(self, process: asyncio.subprocess.Process) -> int:
        end = asyncio.create_task(process.wait())
        probe = asyncio.create_task(self._probe())
        try:
            await asyncio.wait({end, probe}, return_when=asyncio.FIRST_COMPLETED)
            if probe.done():
                probe.result()
            return await end
        finally:
            for task in (end, probe):
                await _cancelled(task)

    async def _probe(self) -> None:
        """Keep `ready` true to what the program answers; `after_start` comes before the first."""
        prepared = self.program.after_start is None
        while True:
            answers = await self.program.answers()
            if answers and not prepared:
                answers = prepared = await self._prepare()
            if answers != self.ready.is_set():
                (self.ready.set if answers else self.ready.clear)()
                if answers:
                    self.deaths_before_ready = 0
                    self.failed_preparations.clear()
                self._changed()
            await asyncio.sleep(PROBE_READY_SECONDS if answers else PROBE_SECONDS)

    async def _prepare(self) -> bool:
        if self.program.after_start is None:
            return True
        try:
            await self.program.after_start()
        except LocalError as error:
            log.warning("not prepared yet", process=self.program.title, reason=str(error))
            self.failed_preparations.append(error)
            await asyncio.sleep(PREPARE_AGAIN_SECONDS)
            return False
        return True


class Supervisor:
    """Programs of one data directory.

    `directory` holds the process file; `changed` is called, without arguments, whenever a program's
    id, restarts or readiness changed.
    """

    def __init__(self, directory: Path, changed: Callable[[], None] | None = None) -> None:
        self._file = directory / "processes.json"
        self._told = changed
        self._kept: list[_Kept] = []

    @property
    def processes(self) -> list[ProcessState]:
        """The programs in the order they were added."""
        return [
            ProcessState(k.program.name, k.program.number, k.pid, k.restarts, k.ready.is_set())
            for k in self._kept
        ]

    async def end_leftovers(self) -> list[str]:
        """End what an earlier supervisor of this directory left running; the names of it."""
        return await asyncio.to_thread(end_leftovers, self._file)

    def add(self, program: Program) -> None:
        """Start a program and keep it running; `wait_ready` says when it serves."""
        kept = _Kept(program, self._changed)
        self._kept.append(kept)
        kept.task = asyncio.create_task(kept.run(), name=f"keep {program.title}")

    async def wait_ready(self, names: Iterable[str], *, seconds: float) -> None:
        """Return when every program of these names is ready.

        Raises:
            StartFailed: one died again and again, or was not ready in time.
            LocalError: what had to be done after its start failed again and again.
        """
        wanted = set(names)
        for kept in [k for k in self._kept if k.program.name in wanted]:
            await self._wait_one(kept, seconds)

    async def _wait_one(self, kept: _Kept, seconds: float) -> None:
        program = kept.program
        try:
            async with asyncio.timeout(seconds):
                while not kept.ready.is_set():
                    if kept.task is not None and kept.task.done():
                        await kept.task
                    if kept.deaths_before_ready > program.deaths_allowed:
                        raise StartFailed(program.title, "ends as soon as it starts", program.log)
                    if len(kept.failed_preparations) >= FAILED_PREPARATIONS_BEFORE_GIVING_UP:
                        raise kept.failed_preparations[-1]
                    with contextlib.suppress(TimeoutError):
                        # Not wait_for, which may lose the cancelling of whoever waits here.
                        async with asyncio.timeout(0.2):
                            await kept.ready.wait()
        except TimeoutError as error:
            reason = f"was not ready within {seconds:g} s"
            raise StartFailed(program.title, reason, program.log) from error

    async def watch(self) -> None:
        """Never return; raise what broke the keeping of a program, should that ever happen."""
        tasks = [kept.task for kept in self._kept if kept.task is not None]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """End all programs, stage by stage; what does not end in its stage's time is killed."""
        for kept in self._kept:
            kept.ending.set()
        for stage in sorted({kept.program.stage for kept in self._kept}):
            members = [kept for kept in self._kept if kept.program.stage == stage]
            await asyncio.gather(*(self._end(kept) for kept in members))
        self._file.unlink(missing_ok=True)

    async def _end(self, kept: _Kept) -> None:
        if kept.task is None:
            return
        if kept.process is not None:
            send(kept.process, kept.program.stop_signal)
        if kept.pid == 0:
            kept.task.cancel()
        _, late = await asyncio.wait([kept.task], timeout=kept.program.patience)
        if late and kept.process is not None:
            log.warning("process killed", process=kept.program.title)
            kill_session(kept.process)
            await asyncio.wait([kept.task])

    def _changed(self) -> None:
        running = [(k.program.title, k.pid, k.program.stop_signal) for k in self._kept if k.pid]
        remember(self._file, running)
        if self._told is not None:
            self._told()


async def _cancelled(task: asyncio.Task[Any]) -> None:
    """Return when a task has ended, having cancelled it as often as that takes.

    Once is not enough: Python 3.11's wait_for, deep in a client, loses a cancelling that comes in
    the moment of its answer. The probe would go on for ever, and its program stay down.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_AGAIN_SECONDS)
