"""What is forgotten after its time: commands stay in the books, months go without a hole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from services.domain.accounting import Counts, problems, report
from services.kit.database import Session, open_session
from services.records import accounting, months, retention
from tests.integration.hub import Hub, hub, mapping, order, results, two_companies

CREATE: dict[str, Any] = {"origin": "acme", "partner": "haul"}
DAYS = 30
ADD_ENTRY = """
INSERT INTO log_entries (id, tenant_id, command_id, entry, created_at)
VALUES ($1, 't', 'c', '{}', now() - $2::text::interval)
"""


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with hub(fresh_database) as opened:
        await two_companies(opened, "acme", "haul")
        yield opened


@pytest.fixture
async def own(fresh_database: str) -> AsyncIterator[Session]:
    session = await open_session(fresh_database, application_name="test retention")
    yield session
    await session.close()


async def older(session: Session, by: timedelta) -> None:
    """Let so much time go by."""
    await session.execute(
        "UPDATE commands SET accepted_at = accepted_at - $1::interval,"
        " final_at = final_at - $1::interval",
        by,
    )


async def forget_all(session: Session) -> int:
    page, told = await retention.forget_page(session, days=DAYS), 0
    while True:
        told += page.forgotten
        if page.last is None:
            return told
        page = await retention.forget_page(session, days=DAYS, after=page.last)


async def one_of_each(world: Hub) -> None:
    """One done, one that waits for a mapping, one refused; all answers published."""
    missing = order("A2")
    missing["drops"][0]["product"] = {"source_id": "o-new"}
    await world.process(
        world.record("order.create", order("A1"), command_id="one", **CREATE),
        world.record("order.create", missing, command_id="two", **CREATE),
        world.record("order.create", order("A1"), command_id="three", **CREATE),
    )
    await world.pool.execute("DELETE FROM outbox")


async def books(session: Session) -> Any:
    async with session.transaction(isolation="repeatable_read", readonly=True):
        return await accounting.count(session)


async def test_final_commands_are_forgotten_after_their_time_and_stay_in_the_books(
    world: Hub, own: Session
) -> None:
    """Contract: remembered 30 days after the final result."""
    await one_of_each(world)
    before = await books(own)
    await older(own, timedelta(days=29, hours=23))
    assert await forget_all(own) == 0
    await older(own, timedelta(hours=2))
    forgotten = await forget_all(own)
    rows = await own.fetch("SELECT command_id, outcome FROM commands")
    assert [tuple(row) for row in rows] == [("two", "waiting")]
    after = await books(own)
    assert after.operations == before.operations
    assert after.operations["order.create"] == Counts(accepted=3, done=1, waiting=1, refused=1)
    assert problems(after) == []
    assert (before.forgotten, after.forgotten) == (0, forgotten)
    assert report(after)["forgotten"] == forgotten


async def test_what_waited_for_long_is_remembered_from_its_final_answer_on(
    world: Hub, own: Session
) -> None:
    await one_of_each(world)
    await older(own, timedelta(days=60))
    await forget_all(own)
    await world.reference(
        "record", {"goid": "product_PREMIUM", "entity": "product", "name": "Premium"}
    )
    await world.reference(
        "mapping",
        mapping("acme", "dispatch", "product", "new", "product_PREMIUM", prefix="o"),
        mapping("haul", "tms", "product", "new", "product_PREMIUM", prefix="d"),
    )
    assert [each["outcome"] for each in results(await world.drain())] == ["done"]
    await own.execute("UPDATE commands SET final_at = now() WHERE command_id = 'two'")
    await own.execute("DELETE FROM outbox")
    await forget_all(own)
    assert await own.fetchval("SELECT outcome FROM commands WHERE command_id = 'two'") == "done"
    await older(own, timedelta(days=31))
    await forget_all(own)
    assert await own.fetchval("SELECT count(*) FROM commands") == 0
    found = await books(own)
    assert found.operations["order.create"] == Counts(accepted=3, done=2, refused=1)
    assert problems(found) == []


async def test_an_answer_that_could_not_be_published_is_kept_however_old(
    world: Hub, own: Session
) -> None:
    await one_of_each(world)
    columns = "id, stored_at, shard, kind, told_before, topic, headers"
    values = "result_id, now(), 0, 2, false, 't', ''"
    await own.execute(
        f"INSERT INTO outbox_parked ({columns}) SELECT {values} FROM commands"
        " WHERE command_id = 'one'"
    )
    await own.execute(
        f"INSERT INTO outbox ({columns}) SELECT {values} FROM commands WHERE command_id = 'three'"
    )
    await older(own, timedelta(days=90))
    await forget_all(own)
    left = await own.fetch("SELECT command_id FROM commands ORDER BY 1")
    assert [row["command_id"] for row in left] == ["one", "three", "two"]


async def test_two_who_forget_at_once_over_many_pages_count_each_command_once(
    world: Hub, own: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "COMMANDS_A_PAGE", 7)
    await world.process(
        *(
            world.record("order.create", order(f"M{n}"), command_id=f"many-{n}", **CREATE)
            for n in range(60)
        )
    )
    await own.execute("DELETE FROM outbox")
    # Many of one moment: a page may end in the middle of it.
    await own.execute("UPDATE commands SET accepted_at = now() - interval '40 days'")
    await older(own, timedelta(days=31))
    before = await books(own)
    remembered = await own.fetchval("SELECT count(*) FROM commands")
    dsn = world.lanes._listener._dsn
    other = await open_session(dsn, application_name="test retention")
    told = await asyncio.gather(forget_all(own), forget_all(other))
    await other.close()
    assert sum(told) == remembered
    assert await own.fetchval("SELECT count(*) FROM commands") == 0
    assert (await books(own)).operations == before.operations


async def test_an_id_that_was_forgotten_is_free_and_counts_anew(world: Hub, own: Session) -> None:
    await one_of_each(world)
    await older(own, timedelta(days=31))
    await forget_all(own)
    outgoing = await world.process(
        world.record("order.create", order("A9"), command_id="one", **CREATE)
    )
    assert [each["outcome"] for each in results(outgoing)] == ["done"]
    await own.execute("DELETE FROM outbox")
    found = await books(own)
    assert found.operations["order.create"].accepted == 4
    assert problems(found) == []


async def test_pages_are_found_by_the_index_and_newer_answers_stay_hot(own: Session) -> None:
    await own.execute("SET enable_seqscan = off")
    plan = "\n".join(
        row[0]
        for row in await own.fetch(
            "EXPLAIN "
            + retention._OLD_COMMANDS.replace("$1", "now() - interval '50 days'")
            .replace("$4", "now()")
            .replace("$2", "''")
            .replace("$3", "''")
            .replace("$5", "10")
        )
    )
    assert "Index Cond: ((accepted_at >=" in plan, plan
    assert "Seq Scan" not in plan


async def test_overdue_commands_are_told(world: Hub, own: Session) -> None:
    await one_of_each(world)
    assert await retention.overdue(own, days=DAYS) == (0, None)
    await older(own, timedelta(days=33))
    number, oldest = await retention.overdue(own, days=DAYS)
    assert number == await own.fetchval("SELECT count(*) FROM commands WHERE outcome <> 'waiting'")
    assert oldest is not None
    await forget_all(own)
    assert await retention.overdue(own, days=DAYS) == (0, None)


async def test_months_past_their_time_go_and_the_others_stay(own: Session) -> None:
    for name, ago in (("now", "0 days"), ("kept", "59 days"), ("old", "160 days")):
        await own.execute(ADD_ENTRY, name, ago)
    await months.ensure(own)
    old = await retention.old_months(own, keep=2)
    assert len(old) == 1
    for name in old:
        await retention.drop_month(own, name)
    assert await retention.old_months(own, keep=2) == []
    found = await own.fetch("SELECT id FROM log_entries ORDER BY id")
    assert [row["id"] for row in found] == ["kept", "now"]
    assert await months.missing(own) == []
    await own.execute(ADD_ENTRY, "late", "160 days")
    assert (await months.measure(own))["log_entries"] == 1


async def test_a_month_that_was_detached_when_its_process_died_is_dropped(own: Session) -> None:
    await own.execute(ADD_ENTRY, "old", "160 days")
    await months.ensure(own)
    (name,) = await retention.old_months(own, keep=2)
    await own.execute(f"ALTER TABLE log_entries DETACH PARTITION {name}")
    assert await retention.old_months(own, keep=2) == [name]
    await asyncio.gather(retention.drop_month(own, name))
    assert await own.fetchval("SELECT to_regclass($1)", name) is None


async def test_a_month_in_use_is_left_and_writers_never_wait_long_for_it(
    fresh_database: str, own: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for the table's lock has all writers behind it: so it waits 0.5 s at most."""
    monkeypatch.setattr(retention, "_ATTEMPTS", 2)
    await own.execute(ADD_ENTRY, "old", "160 days")
    await months.ensure(own)
    (name,) = await retention.old_months(own, keep=2)
    reader = await asyncpg.connect(fresh_database)
    held = reader.transaction(isolation="repeatable_read", readonly=True)
    await held.start()
    await reader.fetchval("SELECT count(*) FROM log_entries")
    writer = await open_session(fresh_database, application_name="w", limits={"lock_timeout": "2s"})
    dropping = asyncio.create_task(retention.drop_month(own, name))
    written = 0
    while not dropping.done():
        # Raises when a writer waits for longer than two seconds.
        await writer.execute(ADD_ENTRY, f"w{written}", "0 days")
        written += 1
    with pytest.raises(asyncpg.LockNotAvailableError):
        await dropping
    assert await retention.old_months(own, keep=2) == [name]
    await held.rollback()
    await retention.drop_month(own, name)
    assert await retention.old_months(own, keep=2) == []
    assert await own.fetchval("SELECT count(*) FROM log_entries") == written
    await reader.close()
    await writer.close()


async def test_only_months_of_history_are_ever_dropped(own: Session) -> None:
    await own.execute("CREATE TABLE accounts_2001_01 (n int)")
    await own.execute("CREATE TABLE log_entries_notes (n int)")
    assert await retention.old_months(own, keep=1) == []
    for name in ("accounts_2001_01", "log_entries_default", "orders"):
        with pytest.raises(ValueError, match="not a month of history"):
            await retention.drop_month(own, name)


async def test_faults_and_repaired_lanes_are_forgotten_after_ninety_days(own: Session) -> None:
    for ago in ("89 days", "91 days"):
        await own.execute(
            "INSERT INTO stream_faults (happened_at, consumer_group, cluster_id, topic, partition,"
            " record_offset, lineage, records, error)"
            " VALUES (now() - $1::text::interval, 'g', 'c', 't', 0, 0, 0, 0, 'e')",
            ago,
        )
        await own.execute("INSERT INTO lane_repairs VALUES ('o', now() - $1::text::interval)", ago)
    assert await retention.forget_faults(own) == 2
    assert await retention.forget_faults(own) == 0
    for table in ("stream_faults", "lane_repairs"):
        assert await own.fetchval(f"SELECT count(*) FROM {table}") == 1
