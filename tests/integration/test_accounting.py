"""The books, filled from the database: what is counted, and that every break in them is found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.domain.accounting import Accounting, Counts, problems, report
from services.kit.metrics import REGISTRY
from services.records import accounting
from tests.integration.hub import Hub, hub, mapping, order, two_companies


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul")
        yield opened


async def take(world: Hub) -> Accounting:
    async with (
        world.pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        return await accounting.count(connection)


async def published(world: Hub) -> None:
    """What the relay leaves when everything was acknowledged."""
    await world.pool.execute("DELETE FROM outbox")


async def some_orders(world: Hub) -> None:
    """One done, one that waits for a mapping, one refused, one asked for again, one unreadable."""
    missing = order("A2")
    missing["drops"][0]["product"] = {"source_id": "o-new"}
    create: dict[str, Any] = {"origin": "acme", "partner": "haul"}
    await world.process(
        world.record("order.create", order("A1"), command_id="one", **create),
        world.record("order.create", missing, command_id="two", **create),
        world.record("order.create", order("A1"), command_id="three", **create),
    )
    await world.process(
        world.record("order.create", order("A1"), command_id="one", **create),
        world.record("order.create", None, value=b"{nope", **create),
    )


async def test_an_empty_hub_balances(fresh_database: str) -> None:
    async with hub(fresh_database) as empty:
        found = await take(empty)
    assert report(found) == {
        "balanced": True,
        "operations": {},
        "duplicates": 0,
        "dead_letters": 0,
    }


async def test_every_command_counts_once_by_what_its_caller_was_told(world: Hub) -> None:
    await some_orders(world)
    await published(world)
    found = await take(world)
    assert found.operations["order.create"] == Counts(accepted=3, done=1, waiting=1, refused=1)
    assert found.operations["reference.upsert-tenant"] == Counts(accepted=2, done=2)
    assert (found.duplicates, found.dead_letters) == (1, 1)
    assert problems(found) == []


async def test_an_answer_that_is_not_published_yet_still_waits(world: Hub) -> None:
    """Protocol §5: the books count what is unsent and what is parked."""
    await some_orders(world)
    found = await take(world)
    assert found.operations["order.create"] == Counts(accepted=3, waiting=3)
    assert problems(found) == []
    await published(world)
    columns = "id, stored_at, shard, kind, told_before, topic, headers"
    await world.pool.execute(
        f"INSERT INTO outbox_parked ({columns}) SELECT result_id, now(), 0, 2, false, 't', ''"
        " FROM commands WHERE command_id = 'one'"
    )
    found = await take(world)
    assert found.operations["order.create"] == Counts(accepted=3, waiting=2, refused=1)


async def test_what_a_mapping_lets_go_on_is_done_and_leaves_nothing_behind(world: Hub) -> None:
    await some_orders(world)
    await world.reference("record", {"goid": "product_PREMIUM", "entity": "product", "name": "New"})
    await world.reference(
        "mapping",
        mapping("acme", "dispatch", "product", "new", "product_PREMIUM", prefix="o"),
        mapping("haul", "tms", "product", "new", "product_PREMIUM", prefix="d"),
    )
    assert problems(await take(world)) == [], "while the order is about to be woken"
    await world.drain()
    await published(world)
    found = await take(world)
    assert found.operations["order.create"] == Counts(accepted=3, done=2, refused=1)
    assert problems(found) == []


async def test_an_order_that_waits_for_acceptance_and_an_upsert_for_its_parent_are_waiting(
    fresh_database: str,
) -> None:
    async with hub(fresh_database) as world:
        await two_companies(world, "acme", "haul", acceptance="manual")
        await world.process(
            world.record("order.create", order("A1"), origin="acme", partner="haul")
        )
        await world.reference("pair", {"origin": "acme", "destination": "nobody"})
        await published(world)
        found = await take(world)
    assert found.operations["order.create"] == Counts(accepted=1, waiting=1)
    assert found.operations["reference.upsert-pair"] == Counts(accepted=2, done=1, waiting=1)
    assert problems(found) == []


BREAKS = {
    "undecided": "UPDATE commands SET outcome = 'accepted' WHERE command_id = 'one'",
    "waiting_nowhere": "DELETE FROM lane_commands",
    "placed_but_final": "UPDATE commands SET outcome = 'done', final_at = now() WHERE"
    " command_id = 'two'",
    "final_without_answer": "UPDATE commands SET body = NULL WHERE command_id = 'one'",
    "gaps_without_waiters": "DELETE FROM gap_waiters",
    "unmapped_without_gap": "DELETE FROM gap_waiters",
    "sent_without_documents": "UPDATE orders SET destination_document = NULL WHERE"
    " delivery = 'sent'",
    "lanes_repaired": "INSERT INTO lane_repairs (order_id) VALUES ('x')",
    "sent_but_not_done": "UPDATE orders SET delivery = 'sent' WHERE delivery = 'unsent'",
    "done_but_not_sent": "UPDATE orders SET delivery = 'unsent' WHERE delivery = 'sent'",
    "sequences_disagree": "UPDATE orders SET destination_sequence = 0",
    "waiters_without_lane": "DELETE FROM lane_commands",
    "lanes_miscounted": "UPDATE orders SET waiting = waiting + 1",
    "waiting_for_known_numbers": "UPDATE lane_commands AS l SET order_id = NULL,"
    " wait_tenant = o.destination_id, wait_partner = o.origin_id, wait_number = o.origin_number"
    " FROM orders AS o WHERE o.id = l.order_id",
    "lanes_asleep": "DELETE FROM gap_waiters",
}


@pytest.mark.parametrize("check", BREAKS)
async def test_a_break_in_the_books_is_found_by_name(check: str, world: Hub) -> None:
    await some_orders(world)
    await published(world)
    await world.pool.execute(BREAKS[check])
    found = await take(world)
    assert getattr(found.violations, check) > 0
    assert any(problem.startswith(f"{check}: ") for problem in problems(found))
    assert report(found)["balanced"] is False


async def test_the_metric_says_what_the_books_say(world: Hub) -> None:
    await some_orders(world)
    await world.pool.execute(BREAKS["waiting_nowhere"])
    accounting.expose((await take(world)).violations)
    sample = "crossroads_accounting_violations"
    assert REGISTRY.get_sample_value(sample, {"check": "waiting_nowhere"}) == 1
    assert REGISTRY.get_sample_value(sample, {"check": "lanes_repaired"}) == 0
