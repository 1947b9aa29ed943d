"""The stack with real servers; a double stands in for the hub's own processes."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from services.local import stack
from services.local.directory import ReadyLine, environment_of_running_stack, running_stack
from services.local.errors import DataDirectoryBusy, LocalError, PortTaken
from services.local.placing import remove_place
from services.local.ports import Ports
from services.local.stack import StackOptions, run_until_signal, running

DOUBLE = Path(__file__).parents[1] / "hub_double.py"
MEMBERS = {
    *("http", "console", "kafka", "cluster_id", "database", "operator_key"),
    *("metrics", "processes", "environment"),
}


@pytest.fixture
def data() -> Iterator[Path]:
    found = Path(tempfile.mkdtemp(prefix="crossroads-stack-"))
    yield found
    remove_place(found, "postgres")
    shutil.rmtree(found)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What the double was asked to do, a command a line."""
    file = tmp_path / "notes"
    monkeypatch.setattr(stack, "CROSSROADS", (sys.executable, str(DOUBLE), str(file)))
    return file


@pytest.fixture
def said() -> list[str]:
    return []


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def process(data: Path, name: str, number: int = 0) -> tuple[int, int, bool]:
    state = running_stack(data)
    assert state is not None
    line = state["processes"][name][number]
    return line["pid"], line["restarts"], line["ready"]


async def test_a_ready_stack_says_where_everything_is_and_leaves_nothing(data, notes, said):
    options = StackOptions(data=data, replicas={"order-intake": 2})
    async with running(options, said.append) as (line, _):
        assert set(line) == MEMBERS
        assert set(line["processes"]) == {"postgres", "broker", *stack.SERVICES}
        pids = [pid for of_name in line["processes"].values() for pid in of_name]
        assert len(line["processes"]["order-intake"]) == 2
        assert len(line["metrics"]["order-intake"]) == 2
        assert all(runs(pid) for pid in pids)
        assert line["environment"]["CROSSROADS_DATABASE_URL"] == line["database"]
        assert environment_of_running_stack(data) == line["environment"]
        assert line["http"].endswith(":" + line["environment"]["CROSSROADS_HTTP_PORT"])
        assert data.stat().st_mode & 0o777 == 0o700
        with pytest.raises(DataDirectoryBusy):
            await stack.Stack(options, said.append).start()
    assert not any(runs(pid) for pid in pids)
    assert running_stack(data) is None
    assert any("memory only" in sentence for sentence in said)
    steps = notes.read_text().splitlines()
    readers = [steps.index("run order-intake"), steps.index("run reference-data")]
    assert steps.index("topics apply") < min(readers), "who reads topics finds them there"
    assert any("migrations applied" in sentence for sentence in said)


async def test_a_killed_service_comes_back_on_its_port_and_is_counted(data, notes, said):
    async with running(StackOptions(data=data), said.append) as (line, _):
        first = line["processes"]["relay"][0]
        os.kill(first, signal.SIGKILL)
        await until(lambda: process(data, "relay")[1:] == (1, True))
        assert process(data, "relay")[0] != first
        assert await stack.is_ready(line["metrics"]["relay"][0].replace("metrics", "readyz"))


async def test_a_killed_broker_comes_back_as_another_cluster_and_gets_its_topics(data, notes, said):
    async with running(StackOptions(data=data), said.append) as (line, _):
        cluster, kafka = line["cluster_id"], line["kafka"]
        os.kill(line["processes"]["broker"][0], signal.SIGKILL)
        await until(lambda: process(data, "broker")[1:] == (1, True))
        state = running_stack(data)
        assert state is not None
        assert state["line"] is not None
        assert state["line"]["cluster_id"] != cluster
        assert state["line"]["kafka"] == kafka
        assert notes.read_text().splitlines().count("topics apply") == 2


async def test_the_next_start_has_the_same_operator_and_is_told_by_signal_to_end(data, notes, said):
    async with running(StackOptions(data=data), said.append) as (line, _):
        key = line["operator_key"]
    lines: list[ReadyLine] = []
    ready = asyncio.Event()

    def announce(line: ReadyLine) -> None:
        lines.append(line)
        ready.set()

    life = asyncio.create_task(run_until_signal(StackOptions(data=data), said.append, announce))
    await asyncio.wait_for(ready.wait(), 60)
    assert lines[0]["operator_key"] == key
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(life, 20)
    assert not any(runs(pid) for pids in lines[0]["processes"].values() for pid in pids)


async def test_a_signal_during_the_start_ends_what_was_started(data, notes, said):
    life = asyncio.create_task(
        run_until_signal(StackOptions(data=data), said.append, lambda _: None)
    )
    await until(lambda: running_stack(data) is not None and process(data, "postgres")[0] != 0)
    pid = process(data, "postgres")[0]
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(life, 20)
    assert not runs(pid)


async def test_a_start_that_fails_ends_what_was_started_and_says_why(data, monkeypatch, said):
    monkeypatch.setattr(stack, "CROSSROADS", ("/bin/sh", "-c", "echo no such table >&2; exit 1"))
    with pytest.raises(LocalError, match=r"topics-apply failed(?s:.*)no such table"):
        await stack.Stack(StackOptions(data=data), said.append).start()
    assert running_stack(data) is None
    assert not any(str(data) in " ".join(p.info["cmdline"] or []) for p in living())


async def test_a_base_gives_every_process_its_port_and_a_taken_one_is_refused(data, notes, said):
    base = Ports().take()
    async with running(StackOptions(data=data, port_base=base), said.append) as (line, _):
        assert f":{base}/" in line["database"]
        assert line["kafka"] == f"127.0.0.1:{base + 1}"
        assert line["http"] == f"http://127.0.0.1:{base + 2}"
        other = Path(tempfile.mkdtemp(prefix="crossroads-stack-"))
        with pytest.raises(PortTaken):
            await stack.Stack(StackOptions(data=other, port_base=base), said.append).start()
        shutil.rmtree(other)


def living() -> list[psutil.Process]:
    return [
        p
        for p in psutil.process_iter(["cmdline", "status"])
        if p.info["status"] != psutil.STATUS_ZOMBIE
    ]
