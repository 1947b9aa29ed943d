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


async def benchmarks(*words: str) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "benchmarks", *SMALL, *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        async with asyncio.timeout(170):
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


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_every_part_is_told_in_words() -> None:
    data, _ = await benchmarks(
        *("--requests", "20", "--connections", "4", "--without", "plain", "--without", "spring")
    )
    for words in ("create, topic to topic", "a mixed day", "pictures of 0.5 MB", "over HTTP"):
        assert words in data
