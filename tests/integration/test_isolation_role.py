"""The reading role sees the rows of the tenants that are named, and no other (R009, X02)."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from services.kit.database import Connection, open_pool, transaction
from services.kit.reading_role import READER, open_reading_pool
from services.records import changes, isolation
from tests.integration.isolation_world import Strangers, secrets_in, strangers


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Strangers]:
    async with strangers(fresh_database) as made:
        yield made


@pytest.fixture
async def reader(world: Strangers) -> AsyncIterator[Connection]:
    """A transaction of the reading role that names no tenant yet."""
    async with (
        await open_reading_pool(world.world.dsn, application_name="test", max_size=1) as pool,
        transaction(pool, readonly=True) as connection,
    ):
        yield connection


async def readable(connection: Connection) -> dict[str, list[str]]:
    """The columns the reading role may select, by table."""
    rows = await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.column_privileges"
        " WHERE grantee = $1 AND privilege_type = 'SELECT' ORDER BY 1, 2",
        READER,
    )
    found: dict[str, list[str]] = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    return found


async def everything(connection: Connection) -> dict[str, list[str]]:
    """All rows the role sees of each table, as text; no condition but the policies' own."""
    return {
        table: [
            str(row[0])
            for row in await connection.fetch(f"SELECT ({', '.join(columns)})::text FROM {table}")
        ]
        for table, columns in (await readable(connection)).items()
    }


# Nobody's own: master data, and the bare ids of records on their way.
FOR_EVERYBODY = {"master_records", "outbox", "outbox_parked"}


async def test_without_a_tenant_the_reading_role_sees_nothing(reader: Connection) -> None:
    seen = await everything(reader)
    assert len(seen) > len(FOR_EVERYBODY)
    assert {table for table, rows in seen.items() if rows} <= FOR_EVERYBODY


async def test_without_any_condition_the_reading_role_sees_no_row_of_others(
    world: Strangers, reader: Connection
) -> None:
    """Guarantee 6: a condition that is forgotten in a query opens nothing."""
    await isolation.read_as(reader, [world.tenant_ids["eve"]])
    seen = await everything(reader)
    assert [table for table, rows in seen.items() if secrets_in("".join(rows))] == []
    assert seen["orders"] == seen["order_changes"] == seen["order_events"] == seen["blobs"] == []
    assert len(seen["tenants"]) == 2
    await isolation.read_as(reader, [world.tenant_ids["haul"]])
    seen = await everything(reader)
    met = {table for table, rows in seen.items() if secrets_in("".join(rows))}
    wanted = {"orders", "order_changes", "order_events", "log_entries", "gaps", "tenants"}
    assert wanted <= met
    assert seen["blobs"] != []


async def test_a_listing_that_asks_for_others_is_given_nothing_under_the_role(
    world: Strangers, reader: Connection
) -> None:
    """X02: the reading role sees the changes of the tenants that were named, and no other."""
    anything, acme = changes.ChangeFilter(), [world.tenant_ids["acme"]]
    await isolation.read_as(reader, [world.tenant_ids["eve"]])
    assert (await changes.find(reader, acme, anything, 9)).changes == []
    await isolation.read_as(reader, acme)
    found = await changes.find(reader, acme, anything, 9)
    assert {each.change.id for each in found.changes} == set(world.change_ids.values())


async def test_every_table_with_tenants_or_orders_in_it_is_guarded(reader: Connection) -> None:
    owned = {"tenant_id", "origin_id", "destination_id", "order_id", "wait_tenant", "client_id"}
    guarded = {
        row["relname"]
        for row in await reader.fetch("SELECT relname FROM pg_class WHERE relrowsecurity")
    }
    may_read = await readable(reader)
    assert set(may_read) - FOR_EVERYBODY == guarded
    for table in FOR_EVERYBODY & set(may_read):
        assert not owned & set(may_read[table])
    for table in ("outbox", "outbox_parked"):
        assert may_read[table] == ["id"]
    assert not {"body", "fingerprint"} & set(may_read["commands"])
    assert not {"credentials", "credential_tenants", "token_key"} & set(may_read)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM orders",
        "UPDATE orders SET message = ''",
        "INSERT INTO lane_repairs (order_id) VALUES ('')",
        "SELECT secret FROM token_key",
        "SELECT body FROM commands",
        "SELECT value FROM outbox",
    ],
)
async def test_the_reading_role_may_do_nothing_else(world: Strangers, statement: str) -> None:
    async with (
        await open_reading_pool(world.world.dsn, application_name="test", max_size=1) as pool,
        pool.acquire() as connection,
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_the_setting_ends_with_its_transaction(world: Strangers) -> None:
    hub: Any = world.world.client._transport.app.state.hub  # type: ignore[attr-defined]
    async with hub.reading.of_tenants([world.tenant_ids["acme"]]) as connection:
        assert await connection.fetchval("SELECT count(*) FROM orders") == 2
    async with await open_reading_pool(world.world.dsn, application_name="t", max_size=1) as pool:
        async with transaction(pool, readonly=True) as connection:
            await isolation.read_as(connection, [world.tenant_ids["acme"]])
            assert await connection.fetchval("SELECT count(*) FROM orders") == 2
        assert await pool.fetchval("SELECT count(*) FROM orders") == 0


async def test_the_policies_leave_the_indexes_of_orders_usable(
    world: Strangers, reader: Connection
) -> None:
    """A policy whose condition had to be asked first would read every order for each request."""
    await isolation.read_as(reader, [world.tenant_ids["haul"]])
    await reader.execute("SET LOCAL enable_seqscan = off")
    for condition in ("id = 'x'", "origin_id = 'x' AND origin_number = 'x'"):
        plan = await reader.fetch(f"EXPLAIN SELECT * FROM orders WHERE {condition}")
        lines = "\n".join(row[0] for row in plan)
        assert "Index Cond" in lines
        assert "Seq Scan" not in lines


async def test_a_service_that_is_bound_by_a_policy_hears_of_it(world: Strangers) -> None:
    """Workers are the owner; one that is not must fail, and not see half of the orders."""
    async with await open_pool(
        world.world.dsn, application_name="t", max_size=1, settings={"role": READER}
    ) as pool:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await pool.fetch("SELECT * FROM orders")
