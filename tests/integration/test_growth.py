"""What `doctor` says of growth, and that hot rows stay hot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiokafka import TopicPartition

from services.cli import examination
from services.kit import positions
from services.kit.database import Session, open_session
from services.kit.metrics import REGISTRY
from services.kit.settings import Settings
from services.records import gauges, growth, months

SETTINGS = Settings(database_url="postgresql://nowhere/none", kafka_bootstrap_servers="127.0.0.1:1")


@pytest.fixture
async def own(fresh_database: str) -> AsyncIterator[Session]:
    session = await open_session(fresh_database, application_name="test growth")
    yield session
    await session.close()


async def test_a_new_database_has_nothing_wrong_with_its_growth(own: Session) -> None:
    await months.ensure(own)
    assert await examination.months(own, SETTINGS) == []
    assert await examination.commands(own, SETTINGS) == []
    assert await growth.without_vacuum(own) == []


async def test_commands_past_their_time_are_a_problem_after_a_day_of_grace(own: Session) -> None:
    for name, days in (("grace", 30.5), ("over", 31.5)):
        await own.execute(
            "INSERT INTO commands (tenant_id, command_id, fingerprint, operation, outcome,"
            " accepted_at, final_at) VALUES ('t', $1, '', 'order.create', 'done',"
            " now() - make_interval(secs => $2), now() - make_interval(secs => $2))",
            name,
            days * 86_400,
        )
    (finding,) = await examination.commands(own, SETTINGS)
    assert finding.state == examination.PROBLEM
    assert finding.detail == "1 commands or more are past their 30 days, the oldest 31d ago"


async def test_months_that_lack_or_should_be_gone_are_told(own: Session) -> None:
    await own.execute(
        "INSERT INTO log_entries (id, tenant_id, command_id, entry, created_at)"
        " VALUES ('o', 't', 'c', '{}', now() - interval '900 days')"
    )
    told = [finding.detail for finding in await examination.months(own, SETTINGS)]
    assert told[0] == "1 rows stand in log_entries_default"
    assert told[1].startswith("not there: log_entries_")
    await months.ensure(own)
    (finding,) = await examination.months(own, SETTINGS)
    assert finding.detail.startswith("past their 24 months: log_entries_20")


@pytest.mark.parametrize("kind", ["snapshot", "transaction"])
async def test_who_holds_back_vacuum_is_told_with_pid_age_and_application(
    fresh_database: str, own: Session, kind: str
) -> None:
    other = await asyncpg.connect(fresh_database, server_settings={"application_name": "a report"})
    held = other.transaction(isolation="repeatable_read")
    await held.start()
    await other.fetchval(
        "SELECT count(*) FROM orders" if kind == "snapshot" else "SELECT pg_current_xact_id()"
    )
    assert [each for each in await growth.holders(own) if each.name == "a report"] == []
    (holder,) = [each for each in await growth.holders(own, seconds=0) if each.name == "a report"]
    assert (holder.kind, holder.pid) == (kind, other.get_server_pid())
    assert holder.state == "idle in transaction"
    assert holder.since is not None
    await held.rollback()
    await other.close()


async def test_doctor_says_whom_to_end(
    fresh_database: str, own: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await asyncpg.connect(fresh_database, server_settings={"application_name": "a report"})
    held = other.transaction(isolation="repeatable_read")
    await held.start()
    await other.fetchval("SELECT count(*) FROM orders")
    real = growth.holders
    monkeypatch.setattr(growth, "holders", lambda connection: real(connection, seconds=0))
    pid = other.get_server_pid()
    (finding,) = [each for each in await examination.vacuum(own) if "a report" in each.detail]
    assert finding.state == examination.PROBLEM
    assert finding.detail.startswith(f"a snapshot of pid {pid} (a report), open since 0s ago, idle")
    assert finding.remedy == f"end it, or SELECT pg_terminate_backend({pid})"
    await held.rollback()
    await other.close()


async def test_autovacuum_switched_off_for_a_table_is_a_problem(own: Session) -> None:
    await own.execute("ALTER TABLE outbox SET (autovacuum_enabled = false)")
    (finding,) = [each for each in await examination.vacuum(own) if "is off" in each.detail]
    assert finding.detail == "nothing is vacuumed by itself: outbox is off"


@pytest.mark.parametrize(
    ("name", "live", "dead", "rotten"),
    [
        ("outbox", 10, 1_200_000, False),
        ("outbox", 10, 3_100_000, True),
        ("stream_positions", 36, 40_000, False),
        ("stream_positions", 36, 60_000, True),
        ("gap_waiters", 100_000, 1_000_000, False),
    ],
)
def test_dead_rows_are_told_when_full_load_does_not_explain_them(
    name: str, live: int, dead: int, rotten: bool
) -> None:
    assert growth.Table(name, live, dead, 8192, None).rotten is rotten


async def updates(own: Session, tables: str) -> tuple[int, int]:
    """How many rows of tables with such a name were updated, and how many in place."""
    await own.execute("SELECT pg_stat_force_next_flush()")
    row = await own.fetchrow(
        "SELECT sum(n_tup_upd)::bigint, sum(n_tup_hot_upd)::bigint FROM pg_stat_user_tables"
        " WHERE relname ~ $1",
        f"^{tables}$",
    )
    assert row is not None
    return row[0], row[1]


async def test_marks_are_updated_in_place(own: Session) -> None:
    """Every batch updates its marks: without HOT each update would write the index, too."""
    partitions = [TopicPartition("crossroads.orders", number) for number in range(12)]
    await positions.insert_missing(own, "c", "g", dict.fromkeys(partitions, 0))
    for at in range(1, 400):
        async with own.transaction():
            await positions.lock(own, "c", "g", partitions)
            await positions.advance(
                own, "c", "g", dict.fromkeys(partitions, positions.Advance(at, 1))
            )
    total, hot = 0, 0
    async with asyncio.timeout(30):
        while total < 12 * 399:
            total, hot = await updates(own, "stream_positions")
    assert hot / total > 0.99, (hot, total)
    assert await own.fetchval("SELECT pg_relation_size('stream_positions')") <= 4 * 8192


async def test_newer_answers_of_commands_that_waited_are_updated_in_place(own: Session) -> None:
    """The index that finds old commands is on a column that no answer changes."""
    await own.execute(
        "INSERT INTO commands (tenant_id, command_id, fingerprint, operation, outcome)"
        " SELECT 't', 'c' || n, '', 'order.create', 'waiting' FROM generate_series(1, 200) AS n"
    )
    await own.execute(
        "UPDATE commands SET outcome = 'done', final_at = now() WHERE command_id < 'c12'"
    )
    total, hot = 0, 0
    async with asyncio.timeout(30):
        while not total:
            total, hot = await updates(own, "commands_[0-9]")
    assert hot == total


async def test_the_gauges_do_not_read_the_dead_rows_that_a_snapshot_keeps(
    fresh_database: str, own: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are set every ten seconds: ten minutes of full load leave ten million dead rows."""
    monkeypatch.setattr(gauges, "WHOLE_BYTES", 1 << 20)
    monkeypatch.setattr(gauges, "NEWEST_IDS", 100)
    other = await asyncpg.connect(fresh_database)
    held = other.transaction(isolation="repeatable_read")
    await held.start()
    await other.fetchval("SELECT count(*) FROM tenants")
    add = (
        "INSERT INTO outbox (id, accepted_ms, shard, kind, told_before, topic, stream, headers)"
        " SELECT nextval('outbox_id_seq'), 1000, 0, 0, false, 't', 'o/haul', $2::bytea"
        " FROM generate_series(1, $1::int)"
    )
    await own.execute(add, 2000, b"h" * 2000)
    await own.execute("DELETE FROM outbox")
    await own.execute(add, 1, b"")
    before = await blocks_read(own)
    await gauges.expose(own)
    assert await blocks_read(own) - before < 50
    labels = {"tenant": "haul"}
    age = REGISTRY.get_sample_value("crossroads_oldest_unsynced_order_age_seconds", labels)
    assert age is not None
    assert age > 1_000_000
    await held.rollback()
    await other.close()


async def blocks_read(own: Session) -> int:
    """Pages of the outbox that were looked at so far, by this session and others."""
    await own.execute("SELECT pg_stat_force_next_flush()")
    found: int = await own.fetchval(
        "SELECT heap_blks_read + heap_blks_hit FROM pg_statio_user_tables WHERE relname = 'outbox'"
    )
    return found
