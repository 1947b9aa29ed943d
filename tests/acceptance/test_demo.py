"""The demonstration as a user runs it, and the README's first order as it is printed."""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.acceptance.stack import COMMAND, Stack, until

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that no other process has in its command line."""
    # Below /tmp itself: a folder of pytest's is closed to the user that PostgreSQL runs as.
    made = Path(tempfile.mkdtemp(prefix="crossroads-told-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def demo(home: Path, *words: str) -> subprocess.Popen[str]:
    talk = (home / "talk").open("w")
    with talk:
        return subprocess.Popen(
            [*COMMAND, "demo", "--data", str(home / "data"), "--json", *words],
            stdout=subprocess.PIPE,
            stderr=talk,
            text=True,
            cwd=home,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )


def left_running(home: Path) -> list[str]:
    """What still runs on this directory."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if str(home) in line or process.cwd().startswith(str(home)):
                found.append(line)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.mark.timeout(300)
def test_the_demo_checks_its_whole_story_exits_0_and_leaves_nothing_running(home: Path) -> None:
    process = demo(home, "--orders", "150", "--seed", "11")
    data, _ = process.communicate(timeout=280)
    told = (home / "talk").read_text()
    assert process.returncode == 0, told
    summary: dict[str, Any] = json.loads(data)
    assert summary["records"] == 150
    assert summary["killed"] == ["order-intake", "relay", "status-update"]
    assert summary["audit"]["balanced"] is True
    assert summary["dead_letters"] >= 15
    assert summary["waited_for_a_mapping"] >= 7
    assert summary["delivered"] == summary["audit"]["operations"]["order.create"]["done"]
    operations = summary["audit"]["operations"]
    said = ("order.update-status", "order.save-bol", "order.save-drop", "order.save-bol-image")
    # One command is done and told to nobody: the same `complete` again.
    assert summary["told"] == sum(operations[name]["done"] for name in said) - 1
    assert summary["told"] > 100
    # Done, or refused as it must be: what is not yours, stale, or was canceled while it waited.
    dealt = {
        "order.update": (4, 0),
        "change.propose": (3, 0),
        "change.reject": (2, 0),
        "change.accept": (1, 2),
        "order.receipt": (3, 0),
        "order.cancel": (3, 0),
        "order.request-accept": (1, 0),
        "order.request-reject": (1, 0),
    }
    assert dealt == {n: (operations[n]["done"], operations[n]["refused"]) for n in dealt}
    assert operations["order.create"]["refused"] == 3
    assert "Nørdhaul Spedition" in told
    assert "lane.order_unknown" in told
    assert "GET /v1/order/" in told
    for words in ("409 change.stale", "request.manual_acceptance", "NH-88001", "superseded"):
        assert words in told
    assert left_running(home) == []


@pytest.mark.timeout(200)
async def test_a_demo_that_is_interrupted_ends_with_130_and_leaves_nothing_running(
    home: Path,
) -> None:
    process = demo(home, "--orders", "60")
    try:
        await until(lambda: "everything is ready" in (home / "talk").read_text(), "the start")
        process.send_signal(signal.SIGTERM)
        data, _ = await asyncio.to_thread(process.communicate, timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert (process.returncode, data) == (130, "")
    assert left_running(home) == []


@pytest.mark.timeout(200)
async def test_the_first_order_of_the_readme_works_as_printed(stack: Stack) -> None:
    blocks = dict(re.findall(r"```(bash|sh|python)\n(.*?)```", README.read_text(), re.DOTALL))
    credential = {}
    for line in blocks["bash"].strip().splitlines():
        words = shlex.split(line)
        assert words[0] == ".venv/bin/crossroads"
        words = [str(ROOT / word) if (ROOT / word).is_file() else word for word in words[1:]]
        code, data, talk = await stack.run(*words, "--json")
        assert code == 0, talk
        credential = json.loads(data)

    answer = await as_curl(blocks["sh"], stack.http, str(credential["api_key"]))
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "synced"

    script = blocks["python"].replace("127.0.0.1:8101", stack.kafka)
    ran = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await asyncio.wait_for(ran.communicate(), 60)
    assert ran.returncode == 0
    assert told.decode().splitlines()[-1] == "ACME-2 goes to HS-0042"


async def as_curl(block: str, http: str, api_key: str) -> httpx.Response:
    """Do what a curl command with -H and -d does; not every machine has curl."""
    words = shlex.split(block.replace("\\\n", " ").replace("$API_KEY", api_key))
    assert words.pop(0) == "curl"
    url = words.pop(0).replace("http://127.0.0.1:8102", http)
    options = list(zip(words[::2], words[1::2], strict=True))
    headers = dict(value.split(": ", 1) for name, value in options if name == "-H")
    [body] = [value for name, value in options if name == "-d"]
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return await client.post(url, content=body.encode(), headers=headers)
