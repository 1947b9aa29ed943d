"""`crossroads changes`: list and show, for operators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tests.integration.conftest import Invoke
from tests.integration.hub import BY_ACME, BY_HAUL, Hub, hub, two_companies


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    """ACME proposed a note, which Haul superseded by a supplier."""
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul")
        await opened.process(opened.create("A1"))
        topic = "crossroads.changes"
        named = {"order": {"order_number": "A1"}}
        note = {**named, "note": "Gate 4"}
        await opened.process(opened.record("change.propose", note, topic=topic, **BY_ACME))
        owner = {**named, "supply_owner": {"source_id": "d-sup"}}
        await opened.process(opened.record("change.propose", owner, topic=topic, **BY_HAUL))
        yield opened


async def listed(invoke: Invoke, *arguments: str) -> list[dict[str, Any]]:
    done = await invoke("changes", "list", "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    found: list[dict[str, Any]] = orjson.loads(done.stdout)["items"]
    return found


async def test_changes_are_found_by_all_that_is_given(world: Hub, invoke: Invoke) -> None:
    newest, oldest = await listed(invoke)
    assert (newest["status"], newest["proposed_by"]) == ("requested", "haul")
    assert (oldest["status"], oldest["reason_code"]) == ("rejected", "superseded")
    assert await listed(invoke, "--status", "requested") == [newest]
    assert await listed(invoke, "--order", "A1", "--tenant", "acme") == [newest, oldest]
    assert await listed(invoke, "--order", newest["order_id"], "--limit", "1") == [newest]
    assert await listed(invoke, "--order", "A2") == []
    table = await invoke("changes", "list")
    assert (table.exit_code, "superseded" in table.stdout) == (0, True)


async def test_a_change_is_shown_in_each_sides_words(world: Hub, invoke: Invoke) -> None:
    [newest] = await listed(invoke, "--status", "requested")
    done = await invoke("changes", "show", newest["id"], "--json")
    [mine], [theirs] = orjson.loads(done.stdout)["changes"].values()
    assert (mine["to"]["source_id"], theirs["to"]["source_id"]) == ("o-sup", "d-sup")
    shown = await invoke("changes", "show", newest["id"])
    assert (shown.exit_code, "supply_owner" in shown.stdout) == (0, True)


async def test_what_is_not_there_fails_and_what_is_misused_is_usage(
    world: Hub, invoke: Invoke
) -> None:
    done = await invoke("changes", "show", "f" * 24)
    assert (done.exit_code, "There is no change" in done.stderr) == (1, True)
    assert (await invoke("changes", "list", "--status", "pending")).exit_code == 2
