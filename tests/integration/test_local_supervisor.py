"""The supervisor with small programs of the shell."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from services.local.errors import LocalError, StartFailed
from services.local.programs import Program, run_command
from services.local.supervisor import ProcessState, Supervisor


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    found = Supervisor(tmp_path)
    yield found
    await found.stop()


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., Program]:
    def program(script: str, **members: object) -> Program:
        name = str(members.pop("name", "shell"))
        return Program(
            name=name,
            command=lambda: ["/bin/sh", "-c", script],
            environment=dict(os.environ),
            log=tmp_path / f"{name}.log",
            answers=members.pop("answers", yes),  # type: ignore[arg-type]
            **members,  # type: ignore[arg-type]
        )

    return program


def only(supervisor: Supervisor) -> ProcessState:
    (state,) = supervisor.processes
    return state


async def test_a_program_that_dies_is_started_again_and_counted(supervisor, shell):
    supervisor.add(shell("exec sleep 1000"))
    await supervisor.wait_ready(["shell"], seconds=10)
    first = only(supervisor)
    os.kill(first.pid, signal.SIGKILL)
    await until(lambda: only(supervisor).restarts == 1 and only(supervisor).ready)
    assert only(supervisor).pid not in {0, first.pid}


async def test_a_program_that_dies_while_its_probe_loses_the_cancelling_is_started_again(
    supervisor, shell
):
    asked = asyncio.Event()

    async def answers() -> bool:
        if asked.is_set():
            return True
        asked.set()
        # As Python 3.11's wait_for does when the answer comes in the moment of the cancelling.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return False

    supervisor.add(shell("exec sleep 1000", answers=answers))
    await until(lambda: asked.is_set() and only(supervisor).pid != 0)
    os.kill(only(supervisor).pid, signal.SIGKILL)
    await until(lambda: only(supervisor).restarts == 1)


async def test_what_follows_a_start_follows_every_start_before_ready(supervisor, shell):
    seen: list[int] = []

    async def note() -> None:
        assert not only(supervisor).ready
        seen.append(only(supervisor).pid)

    supervisor.add(shell("exec sleep 1000", after_start=note))
    await supervisor.wait_ready(["shell"], seconds=10)
    os.kill(only(supervisor).pid, signal.SIGKILL)
    await until(lambda: only(supervisor).restarts == 1 and only(supervisor).ready)
    assert len(set(seen)) == 2


async def test_what_follows_a_start_is_tried_again_when_it_fails(supervisor, shell):
    tries: list[int] = []

    async def fail_once() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise LocalError("not yet")

    supervisor.add(shell("exec sleep 1000", after_start=fail_once))
    await supervisor.wait_ready(["shell"], seconds=10)
    assert len(tries) == 2


async def test_a_program_that_ends_at_once_fails_the_start_with_its_last_words(supervisor, shell):
    supervisor.add(shell("echo out of cheese; exit 3", answers=no))
    with pytest.raises(StartFailed, match="out of cheese"):
        await supervisor.wait_ready(["shell"], seconds=60)


async def test_a_program_that_never_answers_fails_the_start(supervisor, shell):
    supervisor.add(shell("exec sleep 1000", answers=no))
    with pytest.raises(StartFailed, match="not ready within"):
        await supervisor.wait_ready(["shell"], seconds=0.3)


async def test_a_program_that_ignores_the_end_is_killed_with_what_it_started(
    supervisor, shell, tmp_path
):
    deaf = "trap '' TERM; sleep 1000 & echo $! > {0}/child; while :; do wait; done"
    supervisor.add(shell(deaf.format(tmp_path), patience=0.2))
    await until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text() != "")
    pids = [only(supervisor).pid, int((tmp_path / "child").read_text())]
    await supervisor.stop()
    await until(lambda: not any(runs(pid) for pid in pids))


async def test_stages_end_one_after_the_other(supervisor, shell, tmp_path):
    script = "trap 'echo {0} >> {1}/order; exit' TERM; touch {1}/{0}; while :; do sleep 0.01; done"
    for stage, name in enumerate(("gateway", "worker", "server")):
        supervisor.add(shell(script.format(name, tmp_path), name=name, stage=stage))
    await until(lambda: all((tmp_path / n).exists() for n in ("gateway", "worker", "server")))
    await supervisor.stop()
    assert (tmp_path / "order").read_text().split() == ["gateway", "worker", "server"]


async def test_nothing_starts_again_after_the_end(supervisor, shell, tmp_path):
    supervisor.add(shell("exec sleep 1000"))
    await supervisor.wait_ready(["shell"], seconds=10)
    pid = only(supervisor).pid
    await supervisor.stop()
    assert not runs(pid)
    assert only(supervisor) == ProcessState("shell", 0, 0, 0, ready=False)
    assert not (tmp_path / "processes.json").exists()


async def test_a_command_gives_its_output_and_keeps_its_talk(tmp_path: Path):
    output = await run_command(
        ["/bin/sh", "-c", "echo data; echo talk >&2"],
        environment={},
        log=tmp_path / "command.log",
        seconds=10,
    )
    assert output == "data\n"
    assert (tmp_path / "command.log").read_text() == "talk\n"


async def test_a_command_that_fails_says_so_with_its_last_words(tmp_path: Path):
    with pytest.raises(StartFailed, match=r"failed \(3\)(?s:.*)no cheese"):
        await run_command(
            ["/bin/sh", "-c", "echo no cheese >&2; exit 3"],
            environment={},
            log=tmp_path / "command.log",
            seconds=10,
        )


async def test_a_command_that_does_not_end_is_killed(tmp_path: Path):
    with pytest.raises(StartFailed, match="did not end"):
        await run_command(
            ["/bin/sh", "-c", "exec sleep 1000"],
            environment={},
            log=tmp_path / "command.log",
            seconds=0.2,
        )


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_who_waits_for_programs_can_be_cancelled_in_the_moment_one_becomes_ready(
    tmp_path: Path, shell
):
    """Python 3.11's wait_for would lose it, and the wait for the other program go on."""
    waiting: list[asyncio.Task[None]] = []

    def changed() -> None:
        if waiting and any(each.ready for each in found.processes):
            asyncio.get_running_loop().call_soon(waiting[0].cancel)

    answering = asyncio.Event()

    async def answers() -> bool:
        return answering.is_set()

    found = Supervisor(tmp_path, changed)
    found.add(shell("exec sleep 1000", name="one", answers=answers))
    found.add(shell("exec sleep 1000", name="two", answers=no))
    try:
        waiting.append(asyncio.create_task(found.wait_ready(["one", "two"], seconds=2)))
        await asyncio.sleep(0)
        answering.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
    finally:
        await found.stop()
