"""The benchmarks run, small: what is measured is their own affair, on a machine that is quiet."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SMALL = (
    *("--broker", "tansu", "--orders", "60", "--rounds", "1"),
    *("--rate", "20", "--seconds", "1", "--pictures", "3", "--picture-mib", "0.5"),
)


async def benchmarks(*words: str, seconds: float = 170) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "benchmarks", *SMALL, *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        async with asyncio.timeout(seconds):
            data, talk = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode == 0, talk.decode()
    return data.decode(), talk.decode()


@pytest.mark.timeout(180)
async def test_the_drivers_side_and_pictures_are_measured_beside_something_else() -> None:
    data, _ = await benchmarks("--only", "progress", "--only", "pictures", "--json")
    found: dict[str, Any] = json.loads(data)
    progress, pictures = found["progress"], found["pictures"]
    assert set(progress["median"]) == {"create", "update_status", "mixed day"}
    for run in progress["median"].values():
        assert run["records_per_second"] > 0
        assert {"order-intake", "status-update", "relay", "postgres"} <= set(
            run["cpu_us_per_record"]
        )
    assert set(progress["to_create"]) == {"update_status", "mixed day"}
    assert set(progress["latency_ms"]) == {"create", "update_status", "ratio_p50", "ratio_p99"}
    for name in ("hub", "plain"):
        for way in ("one", "many"):
            held = pictures[name][way]
            assert 0 < held["before_mb"] <= held["most_mb"]
            assert held["after_mb"] <= held["most_mb"]


@pytest.mark.timeout(180)
async def test_changes_are_measured_beside_create_and_many_callers_are_all_answered() -> None:
    """X01: an update that is applied, and a proposal that is accepted."""
    data, _ = await benchmarks(
        *("--only", "changes", "--only", "callers", "--callers", "60", "--orders", "30", "--json")
    )
    found: dict[str, Any] = json.loads(data)
    changes, callers = found["changes"], found["callers"]
    assert set(changes["median"]) == {"create", "update", "propose-accept"}
    for run in changes["median"].values():
        assert run["records_per_second"] > 0
        assert {"change-acceptance", "relay", "postgres"} <= set(run["cpu_us_per_record"])
    assert set(changes["to_create"]) == {"update", "propose-accept"}
    assert set(changes["latency_ms"]) == {"create", "update", "propose", "accept"}
    assert callers["hub"]["answered"] == {"synced": 60}
    assert callers["plain"]["answered"] == {"released": 60}
    for name in ("hub", "plain"):
        held = callers[name]
        assert held["at_once"] == 60
        assert 0 < held["before_mb"] <= held["most_mb"]


@pytest.mark.timeout(180)
async def test_each_operation_over_http_and_the_list_of_changes_are_measured() -> None:
    """X02: the list among many, beside the list of one."""
    data, _ = await benchmarks(
        *("--only", "operations", "--calls", "3", "--listed", "200", "--json")
    )
    found: dict[str, Any] = json.loads(data)
    measured, listing = found["operations"], found["listing"]
    assert list(measured["hub"]) == [
        *("create", "get", "update_status", "save_bol", "save_drop", "save_bol_image", "update"),
        *("change/create", "change/accept", "change/reject", "change/all", "receipt", "cancel"),
        "request/accept",
    ]
    for of in (*measured["hub"].values(), measured["plain"]):
        assert 0 < of["p50"] <= of["p99"] <= of["worst"]
    rows = {
        name: (of["empty"]["rows"], of["filled"]["rows"]) for name, of in listing["filters"].items()
    }
    assert rows["one order"] == (1, 1)
    # The one that was proposed, and of each twenty copies about one.
    assert rows["pending"][0] == 1
    assert 1 < rows["pending"][1] < 60


@pytest.mark.long
@pytest.mark.timeout(420)
async def test_every_part_is_told_in_words() -> None:
    data, _ = await benchmarks(
        *("--requests", "20", "--connections", "4", "--without", "plain", "--without", "spring"),
        *("--calls", "3", "--callers", "60"),
        seconds=400,
    )
    for words in (
        *("create, topic to topic", "a mixed day", "pictures of 0.5 MB", "over HTTP"),
        *("propose-accept", "request/accept", "callers who wait at once"),
    ):
        assert words in data
