"""`crossroads reference` against a running service: every file ends in the same data (X10)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from services.cli.reference_apply import NotApplied, apply
from services.cli.reference_files import Item, read_csv, read_file
from services.domain import reference
from services.kit.database import open_pool, transaction
from services.kit.settings import Settings
from services.records import reference_lists
from services.reference_data.app import build
from services.reference_data.topics import TopicReconciler
from tests.integration.relay_world import relay, until

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"


@pytest.fixture
def settings(
    fresh_database: str, kafka: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Settings:
    monkeypatch.chdir(tmp_path)
    # The embedded broker lets a group join after half its session timeout (measured).
    return Settings(
        database_url=fresh_database,
        kafka_bootstrap_servers=kafka,
        metadata_max_age_ms=500,
        session_timeout_seconds=2,
    )


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[Settings]:
    """reference-data and a relay, running in this process."""
    stop = asyncio.Event()
    async with (
        relay(settings.database_url, settings.kafka_bootstrap_servers),
        build(settings) as parts,
    ):
        working = [asyncio.ensure_future(work(stop)) for work in parts.work.values()]

        async def ready() -> bool:
            assert not any(task.done() for task in working)
            return all(check()[0] for check in parts.checks.values())

        await until(ready)
        yield settings
        stop.set()
        async with asyncio.timeout(40):
            await asyncio.gather(*working)


async def test_a_file_is_applied_repeated_exported_and_applied_again(
    service: Settings, tmp_path: Path
) -> None:
    items = read_file(EXAMPLES / "reference.yaml")
    backwards = list(reversed(items))
    first = await apply(service, backwards, idle_seconds=20)
    assert [one.outcome for one in first] == ["done"] * len(items)
    assert {one.detail for one in first} == {"created"}
    csv_items = read_csv(EXAMPLES / "mappings.csv", "mappings")
    assert {one.detail for one in await apply(service, csv_items)} == {"created"}
    pool = await open_pool(service.database_url, application_name="tests", max_size=1)
    async with pool, transaction(pool) as connection:
        whole = await reference_lists.export(connection)
    exported = tmp_path / "export.yaml"
    exported.write_text(yaml.safe_dump(whole), "utf-8")
    again = await apply(service, read_file(exported))
    # The topics are shared: a new database reads what other tests wrote there, too.
    assert len(again) >= len(items) + len(csv_items)
    assert {one.detail for one in again} == {"unchanged"}

    refused, waiting = await apply(
        service,
        [
            Item(reference.TENANT, {"slug": "cedar", "name": "Cedar", "partitions": 9}, "here"),
            Item(reference.PAIR, {"origin": "cedar", "destination": "nobody"}, "here"),
        ],
        idle_seconds=0.5,
    )
    assert refused.failed
    assert {entry["loc"][1] for entry in refused.detail} == {"systems"}
    assert (waiting.outcome, waiting.detail) == ("waiting", "Waits for tenant nobody")
    assert not waiting.failed


async def test_no_answer_at_all_is_a_failure(settings: Settings) -> None:
    pool = await open_pool(settings.database_url, application_name="tests", max_size=1)
    async with pool:
        await TopicReconciler(settings, pool).reconcile()
    item = Item(reference.TENANT, {"slug": "acme"}, "here")
    with pytest.raises(NotApplied, match="not answered"):
        await apply(settings, [item], silent_seconds=0.5)


async def test_nothing_to_apply_needs_no_broker(settings: Settings) -> None:
    nobody = settings.with_changes(kafka_bootstrap_servers="127.0.0.1:1")
    assert await apply(nobody, []) == []
