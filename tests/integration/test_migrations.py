import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from services.kit.database import Session, open_session
from services.kit.errors import DatabaseAway, SchemaTooOld
from services.kit.migrations import (
    FOLDER,
    MigrationChanged,
    migrate,
    read_folder,
    require_current,
    status,
)

# Everything that tells one schema from another: relations, columns, constraints, indexes, triggers,
# functions, row-level rules, and the rows that migrations put in.
SCHEMA = """
SELECT 'column', c.relname, c.relkind::text, a.attname, format_type(a.atttypid, a.atttypmod),
       a.attnotnull::text, pg_get_expr(d.adbin, d.adrelid), c.reloptions::text
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', '', ''
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', tablename, indexname, indexdef, '', '', '', ''
  FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), '', '', '', ''
  FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'function', proname, pg_get_functiondef(oid), '', '', '', '', ''
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind IN ('f', 'p')
UNION ALL
SELECT 'policy', tablename, policyname, cmd, qual, with_check, roles::text, ''
  FROM pg_policies WHERE schemaname = 'public'
ORDER BY 1, 2, 3, 4, 5, 6, 7, 8
"""
MIGRATE = (
    "import asyncio, sys; from services.kit.migrations import migrate; from pathlib import Path;\
print(len(asyncio.run(migrate(sys.argv[1], folder=Path(sys.argv[2])))))"
)


@pytest.fixture
async def session(empty_database: str) -> AsyncIterator[Session]:
    opened = await open_session(empty_database, application_name="test-migrations")
    yield opened
    await opened.close()


async def schema(dsn: str) -> list[tuple[object, ...]]:
    opened = await open_session(dsn, application_name="test-migrations")
    try:
        return [tuple(row) for row in await opened.fetch(SCHEMA)]
    finally:
        await opened.close()


async def migrate_in_a_process(dsn: str, folder: Path) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MIGRATE, dsn, str(folder), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return int(out.split()[-1])


async def test_several_processes_at_once_apply_each_migration_once_and_leave_one_schema(
    fresh_database: str, empty_database: str
) -> None:
    counts = await asyncio.gather(*(migrate_in_a_process(empty_database, FOLDER) for _ in range(3)))
    assert sorted(counts) == [0, 0, len(read_folder())]
    assert await migrate(empty_database) == []
    migrated = await schema(empty_database)
    assert migrated == await schema(fresh_database)
    assert len(migrated) > len(read_folder())
    assert {entry.state for entry in await status(empty_database)} == {"applied"}


async def test_processes_that_migrate_at_once_do_not_lock_each_other_out_of_an_index(
    empty_database: str, session: Session, tmp_path: Path
) -> None:
    (tmp_path / "0001_t.sql").write_text("CREATE TABLE t (a int); INSERT INTO t VALUES (1);")
    (tmp_path / "0002_i.sql").write_text(
        "-- no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON t (a);\n"
    )
    counts = await asyncio.gather(*(migrate(empty_database, folder=tmp_path) for _ in range(4)))
    assert sorted(map(len, counts)) == [0, 0, 0, 2]
    assert await session.fetchval(
        "SELECT indisvalid FROM pg_index WHERE indexrelid='t_a'::regclass"
    )


async def test_a_failed_migration_leaves_nothing_and_those_before_it_stay(
    empty_database: str, session: Session, tmp_path: Path
) -> None:
    (tmp_path / "0001_good.sql").write_text("CREATE TABLE good (a int);")
    bad = tmp_path / "0002_bad.sql"
    bad.write_text("CREATE TABLE half (a int); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_database, folder=tmp_path)
    assert await session.fetchval("SELECT to_regclass('half')") is None
    states = [entry.state for entry in await status(empty_database, folder=tmp_path)]
    assert states == ["applied", "pending"]
    with pytest.raises(SchemaTooOld, match="0002_bad"):
        await require_current(session, folder=tmp_path)
    bad.write_text("CREATE TABLE half (a int);")
    assert [str(m) for m in await migrate(empty_database, folder=tmp_path)] == ["0002_bad"]
    await require_current(session, folder=tmp_path)


async def test_an_index_that_was_left_half_built_is_built_anew(
    empty_database: str, session: Session, tmp_path: Path
) -> None:
    (tmp_path / "0001_t.sql").write_text("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1);")
    (tmp_path / "0002_i.sql").write_text(
        "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_a ON t (a);\n"
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await migrate(empty_database, folder=tmp_path)
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass"
    assert await session.fetchval(valid) is False
    await session.execute("DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)")
    await migrate(empty_database, folder=tmp_path)
    assert await session.fetchval(valid) is True


async def test_a_changed_migration_stops_everything_before_it_begins(
    empty_database: str, session: Session, tmp_path: Path
) -> None:
    first = tmp_path / "0001_t.sql"
    first.write_text("CREATE TABLE t (a int);")
    await migrate(empty_database, folder=tmp_path)
    first.write_text("CREATE TABLE t (a bigint);")
    (tmp_path / "0002_u.sql").write_text("CREATE TABLE u (a int);")
    with pytest.raises(MigrationChanged, match="0001_t"):
        await migrate(empty_database, folder=tmp_path)
    assert await session.fetchval("SELECT to_regclass('u')") is None
    states = [entry.state for entry in await status(empty_database, folder=tmp_path)]
    assert states == ["changed", "pending"]


async def test_a_newer_schema_is_no_trouble_for_an_older_program(
    empty_database: str, session: Session, tmp_path: Path
) -> None:
    (tmp_path / "0001_t.sql").write_text("CREATE TABLE t (a int);")
    newer = tmp_path / "0002_u.sql"
    newer.write_text("CREATE TABLE u (a int);")
    await migrate(empty_database, folder=tmp_path)
    newer.unlink()
    await require_current(session, folder=tmp_path)
    assert await migrate(empty_database, folder=tmp_path) == []
    states = [entry.state for entry in await status(empty_database, folder=tmp_path)]
    assert states == ["applied", "unknown"]


async def test_an_empty_database_is_too_old(session: Session) -> None:
    with pytest.raises(SchemaTooOld, match="0001_"):
        await require_current(session)


async def test_who_waits_too_long_for_another_migrator_says_so(
    empty_database: str, session: Session, tmp_path: Path
) -> None:
    await migrate(empty_database, folder=tmp_path)
    lock = "SELECT pg_advisory_lock(classid::bigint << 32 | objid::bigint) FROM held"
    (tmp_path / "0001_t.sql").write_text(
        "CREATE TABLE held AS SELECT classid, objid FROM pg_locks "
        "WHERE locktype = 'advisory' AND pid = pg_backend_pid();"
    )
    await migrate(empty_database, folder=tmp_path)
    await session.execute(lock)
    with pytest.raises(DatabaseAway):
        await migrate(empty_database, folder=tmp_path, wait_seconds=0.2)
