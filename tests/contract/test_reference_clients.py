"""The reference clients of docs/clients, run as strangers would: no line of the hub's in them."""

import ast
import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.stack import Stack, eventually, running_stack

FOLDER = Path(__file__).parents[2] / "docs" / "clients"
CLIENTS = sorted(FOLDER.glob("*.py"))
FIRST_ORDER = FOLDER.parent / "first-order.yaml"
LIBRARIES = {"aiokafka", "httpx"}
SCOPES = ("order:create", "order:read", "order:update", "order:cancel", "order:update_status")
SECONDS = 60


def order(number: str) -> dict[str, Any]:
    return {
        "origin_order_number": number,
        "delivery_window": {"start": "2026-12-01T06:00:00Z", "end": "2026-12-01T12:00:00Z"},
        "drops": [{"site": {"source_id": "S-100", "tank_id": "1"}, "volume": 7500}],
    }


def _with_a_terminal(folder: Path) -> Path:
    """A place where a driver can be."""
    mapped = {"entity": "terminal", "source_id": "N", "source_name": "N", "goid": "terminal_NORTH1"}
    more = {
        "records": [{"goid": "terminal_NORTH1", "entity": "terminal", "name": "North"}],
        "mappings": [
            {"tenant": "acme", "system": "ERP", **mapped},
            {"tenant": "hauler", "system": "TMS", **mapped},
        ],
    }
    file = folder / "terminal.json"
    file.write_text(json.dumps(more))
    return file


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with the companies of docs/first-order.yaml."""
    with running_stack() as found:
        for file in (FIRST_ORDER, _with_a_terminal(tmp_path_factory.mktemp("more"))):
            code, _, talk = asyncio.run(found.run("reference", "apply", str(file)))
            assert code == 0, talk
        yield found


@asynccontextmanager
async def client(
    name: str, *words: str, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A client as a program of its own, away from the hub's folder; it is ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-W", "error", str(FOLDER / name), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **environment},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ran(name: str, *words: str, **environment: str) -> tuple[int | None, str]:
    """Exit code and what it printed, to stdout and to stderr."""
    async with client(name, *words, **environment) as process:
        data, talk = await asyncio.wait_for(process.communicate(), SECONDS)
    return process.returncode, (data + talk).decode()


async def line_of(process: asyncio.subprocess.Process) -> list[str]:
    """The words of its next line."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = await asyncio.wait_for(process.stdout.readline(), SECONDS)
    assert line, (await process.stderr.read()).decode()
    return line.decode().split()


async def line_about(process: asyncio.subprocess.Process, order_id: str) -> list[str]:
    """The next line about this order, without its id; other tests have orders on the topic, too."""
    while True:
        how, about, *words = await line_of(process)
        if about == order_id:
            return [how, *words]


@pytest.mark.parametrize("path", CLIENTS, ids=lambda path: path.name)
def test_a_client_is_short_and_needs_a_library_at_most(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names <= LIBRARIES
    code = [line for line in path.read_text().splitlines() if line.strip()]
    assert len(code) <= 70


@pytest.mark.timeout(200)
async def test_an_upstream_on_kafka_gets_one_result_however_often_it_sends(
    stack: Stack, tmp_path: Path
) -> None:
    """X11, K32."""
    file = tmp_path / "order.json"
    file.write_text(json.dumps(order("KAFKA-1")))
    told = {"KAFKA": stack.kafka, "TENANT": "acme", "PARTNER": "hauler"}
    code, first = await ran("upstream_kafka.py", str(file), **told)
    assert (code, first.split()[0]) == (0, "done"), first
    code, again = await ran("upstream_kafka.py", str(file), **told)
    assert (code, again.split()[0]) == (0, "duplicate"), again
    change = tmp_path / "change.json"
    change.write_text(json.dumps({"order": {"order_number": "KAFKA-1"}, "note": "Gate 4"}))
    code, said = await ran("upstream_kafka.py", str(change), "order.update", "update/1", **told)
    assert (code, said.split()[0]) == (0, "done"), said
    change.write_text(json.dumps({"order": {"order_number": "KAFKA-1"}}))
    code, said = await ran("upstream_kafka.py", str(change), "order.cancel", **told)
    assert (code, said.split()[0]) == (0, "done"), said
    file.write_text(json.dumps({**order("KAFKA-2"), "drops": []}))
    code, refused = await ran("upstream_kafka.py", str(file), **told)
    assert (code, refused.split()[:2]) == (1, ["refused", "request.invalid"]), refused


async def credential(stack: Stack, tenant: str) -> Mapping[str, str]:
    scopes = [part for scope in SCOPES for part in ("--scope", scope)]
    code, data, talk = await stack.run("keys", "create", "--tenant", tenant, *scopes, "--json")
    assert code == 0, talk
    found: dict[str, str] = json.loads(data)
    return found


@pytest.mark.timeout(200)
async def test_an_upstream_over_http_gets_a_token_and_follows_its_order(
    stack: Stack, tmp_path: Path
) -> None:
    """X12, X11, K32, R089."""
    made = await credential(stack, "acme")
    told = {
        "HTTP": stack.http,
        "PARTNER": "hauler",
        "CLIENT_ID": made["client_id"],
        "CLIENT_SECRET": made["client_secret"],
    }
    file = tmp_path / "order.json"
    file.write_text(json.dumps(order("HTTP-1")))
    for _ in range(2):
        code, said = await ran("upstream_http.py", str(file), **told)
        assert (code, said.splitlines()) == (0, ["synced None", "synced no_progress"]), said
    for way in (["update", '{"note": "Gate 4"}'], ["cancel", '{"reason_code": "weather"}']):
        code, said = await ran("upstream_http.py", str(file), *way, **told)
        assert (code, said.split()[0]) == (0, {"update": "synced"}.get(way[0], "canceled")), said
    file.write_text(json.dumps({**order("HTTP-1"), "note": "another order under the same key"}))
    code, said = await ran("upstream_http.py", str(file), **told)
    assert code == 1
    assert said.startswith("422: ")


@pytest.mark.timeout(200)
async def test_a_destination_takes_each_record_once_and_in_order(
    stack: Stack, tmp_path: Path
) -> None:
    """X07, X11; guarantees 3 and 4: what is read again is known by its sequence."""
    upstream = {"KAFKA": stack.kafka, "TENANT": "acme", "PARTNER": "hauler"}
    file, taken = tmp_path / "order.json", str(tmp_path / "taken.sqlite")
    file.write_text(json.dumps(order("DEST-1")))
    told = {"KAFKA": stack.kafka, "TENANT": "hauler"}
    async with client("destination_kafka.py", taken, **told) as destination:
        code, said = await ran("upstream_kafka.py", str(file), **upstream)
        assert code == 0, said
        order_id = (await _shown(stack))["order"]["id"]
        first = await line_about(destination, order_id)
        assert first == ["took", "1", "crossroads.order.created.v1"]
        await _says_assigned(stack)
        second = await line_about(destination, order_id)
        assert second == ["took", "2", "crossroads.order.status-updated.v1"]
    async with client("destination_kafka.py", taken, GROUP="another", **told) as again:
        for n in ("1", "2"):
            assert (await line_about(again, order_id))[:2] == ["knew", n]
    given = f"T-{order_id[-8:].upper()}"
    await eventually(lambda: _received(stack, given), "the receipt to be taken")


@pytest.mark.timeout(200)
async def test_what_the_readme_says_further_works_as_printed(stack: Stack) -> None:
    """X01, X10, X11: the update behind the first order, and every command for looking at it."""
    text = (FOLDER.parents[1] / "README.md").read_text()
    [shell] = re.findall(r"```shell\n(.*?)```", text, re.DOTALL)
    first, update = order("ACME-1"), re.search(r"-d '(.*)'", shell)
    assert update is not None
    assert "/v1/order/update " in shell
    key = await stack.api_key("acme", *SCOPES)
    headers = {"X-API-Key": key, "X-Dest-Tenant-Name": "hauler"}
    async with httpx.AsyncClient(trust_env=False, timeout=30, base_url=stack.http) as hub:
        made = await hub.post("/v1/order/create", json=first, headers=headers)
        assert made.json()["status"] == "synced", made.text
        said = await hub.post("/v1/order/update", content=update[1].encode(), headers=headers)
        assert (said.status_code, said.json()["order"]["note"]) == (200, "Gate 4"), said.text
    commands = re.findall(r"^\$ (\S+) ([^#\n]+)", text, re.MULTILINE)
    asked = [words.split() for name, words in commands if name == ".venv/bin/crossroads"]
    assert {"status", "orders", "changes", "gaps", "audit", "doctor"} <= {each[0] for each in asked}
    for words in asked:
        if words[0] != "up":
            code, _, talk = await stack.run(*words)
            assert code == 0, f"{words}: {talk}"
    verbs = {words.strip() for name, words in commands if name == "make"}
    rules = (FOLDER.parents[1] / "Makefile").read_text()
    assert verbs == {"demo", "test", "setup"}
    assert all(re.search(rf"^{verb}:", rules, re.MULTILINE) for verb in verbs)


async def _says_assigned(stack: Stack) -> None:
    """A status of the origin's, so that its partner gets a second record of the order."""
    key = await stack.api_key("acme", *SCOPES)
    body = {"order": {"order_number": "DEST-1"}, "progress_status": "assigned",
            "location": {"goid": "terminal_NORTH1"}}  # fmt: skip
    async with httpx.AsyncClient(trust_env=False, timeout=30) as hub:
        answer = await hub.post(
            f"{stack.http}/v1/order/update_status",
            json=body,
            headers={"X-API-Key": key, "X-Dest-Tenant-Name": "hauler"},
        )
    assert (answer.status_code, answer.json()["status"]) == (200, "synced"), answer.text


async def _shown(stack: Stack) -> dict[str, Any]:
    code, data, talk = await stack.run("orders", "show", "DEST-1", "--json")
    assert code == 0, talk
    shown: dict[str, Any] = json.loads(data)
    return shown


async def _received(stack: Stack, given: str) -> bool:
    """Whether the order has the number that its destination gave it."""
    return bool((await _shown(stack))["order"]["destination_number"] == given)
