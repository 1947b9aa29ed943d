"""order-intake and change-acceptance beside each other, on real topics (X01-X04, K42)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.commands import intake_clock
from services.domain.accounting import problems
from services.kit.database import transaction
from services.kit.kafka import TopicAdmin, TopicSpec
from services.kit.settings import Settings
from services.records import accounting
from tests.integration.hub import Hub, hub, order, results, syncs, two_companies
from tests.integration.stream_world import until
from tests.integration.test_status_update import PARTITIONS, Deployment


class Dealing(Deployment):
    """A deployment with a changes topic for each of the two companies."""

    def __init__(self, settings: Settings, world: Hub, origin: str, destination: str) -> None:
        super().__init__(settings, world, origin, destination)
        self.mine = f"crossroads.changes.{origin}"
        self.theirs = f"crossroads.changes.{destination}"

    async def say(self, topic: str, operation: str, id_: str, body: Any) -> None:
        partner = self.origin if topic == self.theirs else self.destination
        await self.produce(topic, operation, id_, body, partner)


@pytest.fixture
async def dealing(
    kafka: str, fresh_database: str, slug: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Dealing]:
    monkeypatch.setattr(intake_clock, "LOOK_SECONDS", 0.1)
    settings = Settings(
        database_url=fresh_database,
        kafka_bootstrap_servers=kafka,
        session_timeout_seconds=6,
        metadata_max_age_ms=500,
    )
    async with hub(fresh_database) as world:
        await two_companies(world, f"o{slug}", f"d{slug}")
        found = Dealing(settings, world, f"o{slug}", f"d{slug}")
        async with TopicAdmin(settings) as admin:
            topics = (found.orders, found.mine, found.theirs)
            await admin.create_missing([TopicSpec(topic, PARTITIONS) for topic in topics])
        await found.producer.start()
        try:
            yield found
        finally:
            await found.producer.stop()


def named(number: str, **members: Any) -> dict[str, Any]:
    return {"order": {"order_number": number}, **members}


async def test_k42_a_proposal_before_its_order_and_its_acceptance_on_another_topic(
    dealing: Dealing,
) -> None:
    d = dealing
    async with d.running("change-acceptance", d.mine), d.running("change-acceptance", d.theirs):
        await d.say(d.mine, "change.propose", "propose", named("A1", note="Gate 4"))
        await d.is_told("propose", "waiting")
        accept = {"order": {"origin_order_number": "A1"}}
        await d.say(d.theirs, "change.accept", "accept", accept)
        await d.is_told("accept", "waiting")
        async with d.running("order-intake", d.orders):
            await d.say(d.orders, "order.create", "create", order("A1"))
            await d.is_told("accept", "done")
    assert await d.told("propose") == [("waiting", "lane.order_unknown"), ("done", None)]
    kinds = [each["headers"]["ce_type"] for each in syncs(await d.world.outgoing())]
    assert kinds == [
        "crossroads.order.created.v1",
        "crossroads.change.proposed.v1",
        "crossroads.change.accepted.v1",
    ]


async def test_both_sides_change_the_same_orders_at_once_and_the_books_balance(
    dealing: Dealing,
) -> None:
    """Each side proposes, updates and accepts; every command has one end, every order one state."""
    d = dealing
    orders, rounds = 8, 4

    async def one(side: str, topic: str, number: str) -> None:
        for each in range(rounds):
            key = f"{side}-{number}-{each}"
            await d.say(topic, "change.propose", f"p-{key}", named(number, note=key))
            await d.say(topic, "order.update", f"u-{key}", named(number, po=key))
            accept = {"order": {"origin_order_number": number}}
            await d.say(topic, "change.accept", f"a-{key}", accept)

    async with (
        d.running("change-acceptance", d.mine),
        d.running("change-acceptance", d.theirs),
        d.running("order-intake", d.orders),
    ):
        numbers = [f"N{each}" for each in range(orders)]
        await asyncio.gather(
            *(d.say(d.orders, "order.create", f"c-{each}", order(each)) for each in numbers),
            *(one("o", d.mine, each) for each in numbers),
            *(one("d", d.theirs, each) for each in numbers),
        )

        async def all_final() -> bool:
            final = (
                "SELECT count(*) FROM commands"
                " WHERE final_at IS NOT NULL AND operation NOT LIKE 'reference%'"
            )
            wanted = orders * (1 + 2 * 3 * rounds)
            return bool(await d.world.pool.fetchval(final) == wanted)

        await until(all_final, "every command has its end")
    codes = {each["code"] for each in results(await d.world.outgoing()) if each["code"]}
    assert codes <= {
        "lane.order_unknown", "lane.behind", "change.not_yours", "change.not_found", "change.stale",
    }  # fmt: skip
    pending = "SELECT count(*) FROM order_changes WHERE status = 'requested' GROUP BY order_id"
    assert all(row[0] == 1 for row in await d.world.pool.fetch(pending))
    told: dict[tuple[str, str], list[int]] = {}
    for sync in syncs(await d.world.outgoing()):
        of = (sync["value"]["order_id"], sync["headers"]["ce_desttenant"])
        told.setdefault(of, []).append(sync["value"]["sequence"])
    assert all(each == list(range(1, len(each) + 1)) for each in told.values())
    async with transaction(d.world.pool) as connection:
        assert problems(await accounting.count(connection)) == []
    assert await d.world.lanes.sweep() == 0
