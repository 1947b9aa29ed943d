"""The life of a whole process, by its signals and exit codes."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, sys
from contextlib import asynccontextmanager
from services.kit.process import Parts, run

async def steady(stopping):
    await stopping.wait()
    print("worked to the end", flush=True)

async def failing(stopping):
    await asyncio.sleep(0)
    raise LookupError("a fault nobody foresaw")

async def idle(stopping):
    return

KINDS = {"steady": steady, "failing": failing, "idle": idle}

@asynccontextmanager
async def build(settings):
    work = {name: KINDS[name] for name in sys.argv[1:]}
    yield Parts(work=work, checks={"work": lambda: (True, "working")})
    print("closed", flush=True)

sys.exit(run("demo", build))
"""
SETTINGS = {
    "CROSSROADS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "CROSSROADS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "CROSSROADS_METRICS_PORT": "0",
}
Start = Callable[..., Coroutine[Any, Any, Process]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts the program with tasks of the given kinds; what still runs is ended."""
    started: list[Process] = []

    async def begin(*kinds: str, settings: dict[str, str] | None = None) -> Process:
        surroundings = {
            name: value for name, value in os.environ.items() if not name.startswith("CROSSROADS_")
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PROGRAM,
            *kinds,
            stdout=PIPE,
            stderr=PIPE,
            cwd=tmp_path,
            env={**surroundings, "PYTHONPATH": str(ROOT), **(settings or SETTINGS)},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def address_of(process: Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(30):
        async for line in process.stderr:
            said = orjson.loads(line)
            if said["message"] == "listening":
                address: str = said["address"]
                return address
    raise AssertionError("it never listened")


async def ended(process: Process) -> tuple[int, str, str]:
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_sigterm_drains_and_ends_with_0(start: Start) -> None:
    process = await start("steady")
    address = await address_of(process)
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{address}/livez")).status_code == 200
        assert (await http.get(f"{address}/readyz")).json()["checks"] == {"work": "working"}
        assert "crossroads_build_info" in (await http.get(f"{address}/metrics")).text
    process.send_signal(signal.SIGTERM)
    code, out, _ = await ended(process)
    assert (code, out.split("\n")[:2]) == (0, ["worked to the end", "closed"])


async def test_a_failure_drains_the_others_and_ends_with_1(start: Start) -> None:
    code, out, err = await ended(await start("steady", "failing"))
    assert code == 1
    assert "worked to the end" in out
    assert "a fault nobody foresaw" in err


async def test_work_that_ends_by_itself_ends_the_process_with_1(start: Start) -> None:
    code, _, err = await ended(await start("steady", "idle"))
    assert code == 1
    assert "idle ended by itself" in err


async def test_settings_that_cannot_be_used_are_told_and_end_with_2(start: Start) -> None:
    code, _, err = await ended(await start("steady", settings={"CROSSROADS_METRICS_PORT": "x"}))
    assert code == 2
    assert "CROSSROADS_DATABASE_URL" in err
    assert "CROSSROADS_METRICS_PORT" in err
