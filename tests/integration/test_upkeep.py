"""Upkeep by a whole process: one round does everything, a second finds nothing to do."""

from __future__ import annotations

import asyncio

from services.commands.upkeep import Done, Upkeep
from services.kit.settings import Settings
from services.records import retention
from tests.integration.hub import hub, order, two_companies


async def test_a_round_makes_months_forgets_commands_and_drops_what_is_old(
    fresh_database: str,
) -> None:
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul")
        await opened.process(
            opened.record("order.create", order("J1"), origin="acme", partner="haul")
        )
        await opened.pool.execute("DELETE FROM outbox")
        await opened.pool.execute(
            "UPDATE commands SET accepted_at = now() - interval '40 days',"
            " final_at = now() - interval '31 days'"
        )
        await opened.pool.execute(
            "INSERT INTO order_events (order_id, kind, detail, created_at)"
            " VALUES ('o', 'old', '{}', now() - interval '800 days')"
        )
        remembered = await opened.pool.fetchval("SELECT count(*) FROM commands")
        upkeep = Upkeep(fresh_database)
        first, twin = await asyncio.gather(upkeep.once(), Upkeep(fresh_database).once())
        assert first.commands + twin.commands == remembered
        assert len(first.made) + len(twin.made) == 2 * 13 + 1
        assert set(first.dropped + twin.dropped) & set(first.made + twin.made)
        assert await upkeep.once() == Done()
        pool = opened.pool
        assert await pool.fetchval("SELECT count(*) FROM log_entries_default") == 0
        assert await pool.fetchval("SELECT count(*) FROM log_entries") == 1
        assert await pool.fetchval("SELECT count(*) FROM order_events WHERE kind = 'old'") == 0
        async with pool.acquire() as connection:
            assert await retention.overdue(connection, days=30) == (0, None)


async def test_a_round_that_is_told_to_stop_ends_at_the_next_step(fresh_database: str) -> None:
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul")
        await opened.pool.execute("DELETE FROM outbox")
        await opened.pool.execute(
            "UPDATE commands SET accepted_at = now() - interval '40 days',"
            " final_at = now() - interval '31 days'"
        )
        remembered = await opened.pool.fetchval("SELECT count(*) FROM commands")
        done = await Upkeep(fresh_database).once(lambda: True)
        assert (done.commands, done.dropped) == (0, [])
        assert await opened.pool.fetchval("SELECT count(*) FROM commands") == remembered


def test_the_settings_say_how_long() -> None:
    settings = Settings(
        database_url="postgresql://h/d",
        kafka_bootstrap_servers="h:1",
        command_retention_days=45,
        history_months=6,
    )
    upkeep = Upkeep.of(settings)
    assert (upkeep._command_days, upkeep._history_months) == (45, 6)
