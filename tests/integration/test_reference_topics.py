"""Every tenant has its six topics, soon after its upsert (contract "Topics")."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.domain.effects import Upsert
from services.domain.tenants import Tenant
from services.kit.database import Pool, open_pool, transaction
from services.kit.kafka import TopicAdmin
from services.kit.settings import Settings
from services.records import master_data
from services.reference_data.topics import TopicReconciler, wanted
from tests.integration.relay_world import until


@pytest.fixture
def settings(
    fresh_database: str, kafka: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Settings:
    monkeypatch.chdir(tmp_path)
    return Settings(database_url=fresh_database, kafka_bootstrap_servers=kafka)


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[Pool]:
    async with await open_pool(
        settings.database_url, application_name="tests", max_size=2
    ) as opened:
        yield opened


async def stored(pool: Pool, tenant: Tenant) -> None:
    async with transaction(pool) as connection:
        await master_data.store(connection, [Upsert(tenant=tenant)])


async def partitions(settings: Settings, slug: str) -> dict[str, int]:
    async with TopicAdmin(settings) as admin:
        names = {name for name in await admin.names() if name.endswith(f".{slug}")}
        specs = [spec for spec in wanted([(slug, 1)]) if spec.name in names]
        found = {spec.name: spec.partitions for spec in specs}
        for difference in await admin.differences(specs):
            if difference.setting == "partitions" and difference.found is not None:
                found[difference.topic] = int(difference.found)
    return found


def six(slug: str, count: int) -> dict[str, int]:
    bases = ("orders", "progress", "changes", "reference", "sync", "results")
    return {f"crossroads.{base}.{slug}": count for base in bases}


async def test_a_tenant_gets_six_topics_with_its_partitions_once(
    settings: Settings, pool: Pool, slug: str
) -> None:
    await stored(pool, Tenant("a" * 24, slug, "A", partitions=2))
    reconciler = TopicReconciler(settings, pool)
    assert set(await reconciler.reconcile()) >= set(six(slug, 2))
    assert await partitions(settings, slug) == six(slug, 2)
    assert await reconciler.reconcile() == []


async def test_the_hubs_own_topics_are_made_too_and_a_deactivated_tenant_keeps_its_own(
    settings: Settings, pool: Pool, slug: str
) -> None:
    await stored(pool, Tenant("a" * 24, slug, "A", active=False))
    await TopicReconciler(settings, pool).reconcile()

    async def there() -> bool:
        return await partitions(settings, slug) == six(slug, 3)

    # Apache Kafka lists what it has made a moment later.
    await until(there)
    async with TopicAdmin(settings) as admin:
        assert await admin.names() >= {
            "crossroads.orders",
            "crossroads.progress",
            "crossroads.changes",
            "crossroads.reference",
            "crossroads.results.operator",
            "crossroads.dead-letter",
            "crossroads.relay",
        }


async def test_an_upsert_nudges_it_long_before_the_next_round(
    settings: Settings, pool: Pool, slug: str
) -> None:
    reconciler = TopicReconciler(settings, pool, round_seconds=3600)
    stop = asyncio.Event()
    running = asyncio.create_task(reconciler.run(stop))
    await stored(pool, Tenant("a" * 24, slug, "A", partitions=1))

    async def there() -> bool:
        return await partitions(settings, slug) == six(slug, 1)

    await until(there)
    stop.set()
    async with asyncio.timeout(10):
        await running


async def test_with_managed_topics_off_nothing_is_made(
    settings: Settings, pool: Pool, slug: str
) -> None:
    await stored(pool, Tenant("a" * 24, slug, "A"))
    reconciler = TopicReconciler(settings.with_changes(manage_topics=False), pool)
    stop = asyncio.Event()
    running = asyncio.create_task(reconciler.run(stop))
    stop.set()
    await running
    assert await partitions(settings, slug) == {}


async def test_a_broker_that_is_away_is_met_with_another_round(
    settings: Settings, pool: Pool, slug: str
) -> None:
    await stored(pool, Tenant("a" * 24, slug, "A"))
    nobody = settings.with_changes(kafka_bootstrap_servers="127.0.0.1:1")
    reconciler = TopicReconciler(nobody, pool, round_seconds=0.01)
    stop = asyncio.Event()
    running = asyncio.create_task(reconciler.run(stop))
    done, _ = await asyncio.wait({running}, timeout=0.5)
    assert not done
    stop.set()
    async with asyncio.timeout(30):
        await running


def test_partitions_of_another_number_change_nothing_that_is_wanted_elsewhere() -> None:
    tenant = Tenant("a" * 24, "acme", "A", partitions=2)
    more = replace(tenant, partitions=4)
    counts = {spec.name: spec.partitions for spec in wanted([(more.slug, more.partitions)])}
    assert {name: counts[name] for name in six("acme", 4)} == six("acme", 4)
    assert counts["crossroads.orders"] == 12
