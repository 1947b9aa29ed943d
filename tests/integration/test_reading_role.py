"""The gateway's reading role: how its login comes about, and what `doctor` says of it."""

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from services.cli import doctor_reading
from services.cli.examination import NOTICE, PROBLEM, reading
from services.kit.database import transaction
from services.kit.reading_role import (
    READER,
    ReadingRoleRefused,
    ensure_login,
    open_reading_pool,
    standing,
)
from services.kit.settings import Settings


@pytest.fixture
async def reading_dsn(fresh_database: str) -> AsyncIterator[str]:
    """The address of a login that nobody has made yet; it is gone after the test."""
    name = f"reading_{secrets.token_hex(4)}"
    parts = urlsplit(fresh_database)
    host = parts.netloc.rpartition("@")[2]
    # What a URL has to escape, and SQL to quote.
    yield urlunsplit(parts._replace(netloc=f"{name}:p%27w%2F1@{host}"))
    owner = await asyncpg.connect(fresh_database)
    try:
        await owner.execute(f"DROP ROLE IF EXISTS {name}")
    finally:
        await owner.close()


def settings(dsn: str, reading_address: str | None = None) -> Settings:
    return Settings(
        database_url=dsn, database_read_url=reading_address, kafka_bootstrap_servers="127.0.0.1:9"
    )


async def execute(dsn: str, statement: str) -> None:
    owner = await asyncpg.connect(dsn)
    try:
        await owner.execute(statement)
    finally:
        await owner.close()


async def test_a_login_is_made_once_and_reads_as_the_role(
    fresh_database: str, reading_dsn: str
) -> None:
    name = urlsplit(reading_dsn).username
    assert await ensure_login(fresh_database, reading_dsn) == name
    assert await ensure_login(fresh_database, reading_dsn) is None
    async with await open_reading_pool(reading_dsn, application_name="test", max_size=1) as pool:
        assert await pool.fetchval("SELECT current_user") == READER
        assert await pool.fetchval("SELECT session_user") == name
        async with transaction(pool, readonly=True) as connection:
            found = await standing(connection)
    assert found.login == name
    assert (*found.open_tables, *found.writable, *found.reasons, *found.login_reasons) == ()
    assert await doctor_reading.unbound(settings(fresh_database, reading_dsn)) == []


async def test_the_owners_own_login_needs_no_making_and_is_a_notice(fresh_database: str) -> None:
    """The role is put on all the same: what is noticed is that it could be taken off."""
    assert await ensure_login(fresh_database, fresh_database) is None
    found = await reading(settings(fresh_database))
    assert found
    assert {each.state for each in found} == {NOTICE}
    assert "owns tables" in str(found)


async def test_a_login_that_is_no_member_is_refused_with_what_to_do(
    fresh_database: str, reading_dsn: str
) -> None:
    name = urlsplit(reading_dsn).username
    await execute(fresh_database, f"CREATE ROLE {name} LOGIN PASSWORD 'p''w/1'")
    with pytest.raises(ReadingRoleRefused, match="crossroads db migrate"):
        await open_reading_pool(reading_dsn, application_name="test")
    assert await ensure_login(fresh_database, reading_dsn) == name
    await (await open_reading_pool(reading_dsn, application_name="test")).close()


async def test_a_login_that_may_make_no_roles_is_told_so(
    fresh_database: str, reading_dsn: str
) -> None:
    await ensure_login(fresh_database, reading_dsn)
    other = reading_dsn.replace("reading_", "another_")
    with pytest.raises(ReadingRoleRefused, match="GRANT"):
        await ensure_login(reading_dsn, other)


async def test_doctor_tells_of_a_role_that_owns_what_it_reads(fresh_database: str) -> None:
    await execute(fresh_database, f"GRANT CREATE ON SCHEMA public TO {READER}")
    await execute(fresh_database, f"ALTER TABLE orders OWNER TO {READER}")
    [found] = [each for each in await reading(settings(fresh_database)) if each.state == PROBLEM]
    assert "owns tables" in found.detail
    assert "sees every tenant's rows" in found.detail


async def test_doctor_tells_of_tables_that_are_open_or_writable(fresh_database: str) -> None:
    await execute(fresh_database, "ALTER TABLE orders DISABLE ROW LEVEL SECURITY")
    await execute(fresh_database, f"GRANT INSERT ON mappings TO {READER}")
    found = [each for each in await reading(settings(fresh_database)) if each.state == PROBLEM]
    assert [each.detail for each in found] == [
        "row-level security is off for orders",
        f"{READER} may write to mappings",
    ]
    assert all(each.remedy for each in found)
