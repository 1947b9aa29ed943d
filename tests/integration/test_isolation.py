"""A tenant never reads or infers an order of a pair it does not belong to (guarantee 6, R009)."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import orjson
import pytest

from schemas.operations import Operation, operation
from services.kit.database import Connection, open_pool, transaction
from services.kit.reading_role import READER, open_reading_pool
from services.records import isolation
from tests.integration.gateway_world import Taken
from tests.integration.hub import syncs
from tests.integration.isolation_world import (
    GIVEN_NUMBER,
    NOWHERE,
    NUMBER,
    SECRETS,
    Strangers,
    body_of,
    counted,
    secrets_in,
    served,
    strangers,
)

SERVED = list(served())
COMMANDS = [each for each in SERVED if each.base is not None]
# Who asks for a list of changes is shown what there is, not told that something is missing.
BY_ID = [each for each in SERVED if each.name != "change.all"]


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


async def test_the_two_tenants_of_an_order_do_meet_its_words(world: Strangers) -> None:
    """Else the tests below would find nothing because there is nothing."""
    for who in ("acme", "haul"):
        seen = await world.world.ask(world.keys[who], "order/get", {"order_id": world.order_id})
        assert sorted(secrets_in(seen.text)) == sorted(SECRETS)
        assert secrets_in(await world.everything_stored_for(who))


@pytest.mark.parametrize("asked", BY_ID, ids=lambda each: each.name)
async def test_an_order_of_others_is_the_404_of_one_that_does_not_exist(
    world: Strangers, asked: Operation
) -> None:
    """K08, K29, K34: text, code, headers and the number of queries, by HTTP."""
    broker = world.world.broker
    assert isinstance(broker, Taken)
    assert broker.pipe is not None
    hub = world.world.client._transport.app.state.hub  # type: ignore[attr-defined]
    # A command's caller asks for its answer as often as it takes: only its own work is counted.
    pools = [broker.pipe.pool] if asked.base is not None else [hub.pool, hub.reading.pool]
    answers: list[tuple[int, str, list[str]]] = []
    queries: list[int] = []
    for _ in range(2):  # The first round prepares statements.
        answers.clear()
        queries.clear()
        for order_id in (world.order_id, NOWHERE):
            with counted(pools) as statements:
                answer = await world.by_eve(asked, body_of(asked, {"order_id": order_id}))
            headers = sorted(set(answer.headers) - {"content-length"})
            answers.append((answer.status_code, answer.text.replace(order_id, ""), headers))
            queries.append(len(statements))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert queries[0] == queries[1] > 0


@pytest.mark.parametrize("asked", BY_ID, ids=lambda each: each.name)
@pytest.mark.parametrize("partner", ["acme", "haul"])
async def test_no_word_of_an_order_of_others_reaches_a_stranger(
    world: Strangers, asked: Operation, partner: str
) -> None:
    """K09, K29, K42: by id, by the numbers of both sides, by what is wrong, for either partner."""
    before = await world.world.pool.fetchrow("SELECT * FROM orders WHERE id = $1", world.order_id)
    for named in (
        {"order_id": world.order_id},
        {"order_id": world.order_id, "order_number": NUMBER},
        {"order_number": NUMBER},
        {"order_number": GIVEN_NUMBER},
    ):
        own = (world.order_id, NUMBER, GIVEN_NUMBER)
        body = body_of(asked, named)
        for wrong in ({}, {"order": 7}, {"details": None, "note": 9}):
            answer = await world.by_eve(asked, {**body, **wrong}, partner)
            assert answer.status_code < 500
            assert secrets_in(f"{answer.text}{answer.headers}", *own) == []
    assert secrets_in(await world.everything_stored_for("eve"), *own) == []
    after = await world.world.pool.fetchrow("SELECT * FROM orders WHERE id = $1", world.order_id)
    assert after == before


@pytest.mark.parametrize("asked", COMMANDS, ids=lambda each: each.name)
async def test_on_kafka_a_stranger_is_answered_as_if_there_were_no_order(
    world: Strangers, asked: Operation
) -> None:
    """X11: the results are the same but for what was asked, and nobody else hears of it."""
    results = []
    for order_id in (world.order_id, NOWHERE):
        outgoing = await world.pipe.process(
            world.pipe.record(
                asked.name,
                body_of(asked, {"order_id": order_id}),
                topic=asked.base,
                origin="eve",
                partner="acme",
            )
        )
        assert {each["topic"] for each in outgoing} == {"crossroads.results.eve"}
        assert syncs(outgoing) == []
        [result] = [each["value"] for each in outgoing]
        result.pop("command_id")
        assert secrets_in(orjson.dumps(result).decode()) == []
        results.append(orjson.dumps(result).decode().replace(order_id, ""))
    assert results[0] == results[1]
    assert orjson.loads(results[0])["http_status"] == 404


async def test_timeline_picture_and_lists_show_a_stranger_nothing(world: Strangers) -> None:
    """K08, X09, X10."""
    timeline, blob = operation("order.timeline").path, operation("blob.get").path
    there = [timeline.format(order_id=world.order_id), blob.format(blob_id=world.blob_id)]
    nowhere = [timeline.format(order_id=NOWHERE), blob.format(blob_id=NOWHERE)]
    headers = {"X-API-Key": world.keys["eve"]}
    for path, other in zip(there, nowhere, strict=True):
        answers = [await world.world.client.get(each, headers=headers) for each in (path, other)]
        texts = [answer.text.replace(world.order_id, "").replace(NOWHERE, "") for answer in answers]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert texts[0] == texts[1]
    for name in ("tenants", "pairs", "records", "mappings"):
        listed = await world.world.client.get(
            f"/v1/reference/{name}", params={"limit": "1000"}, headers=headers
        )
        assert listed.status_code == 200
        assert listed.json()["items"]
        assert secrets_in(listed.text) == []


async def test_a_stranger_who_uses_their_key_makes_a_command_of_its_own(world: Strangers) -> None:
    """K32: ids are remembered within a tenant."""
    asked = operation("order.update-status")
    headers = {"Idempotency_Key": "kanari-key", "Prefer": "wait=0.4"}
    body = body_of(asked, {"order_id": NOWHERE})
    answer = await world.world.ask(
        world.keys["eve"], "order/update_status", body, partner="acme", **headers
    )
    assert (answer.status_code, secrets_in(answer.text)) == (404, [])


async def test_the_row_of_an_order_of_others_is_not_waited_for(world: Strangers) -> None:
    """Guarantee 6: a stranger's command neither takes the order's lock nor waits for it.

    One that waited would end with the lock timeout, and its batch with it.
    """
    async with (
        await open_pool(world.world.dsn, application_name="test", max_size=1) as pool,
        transaction(pool) as held,
    ):
        await held.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", world.order_id)
        for asked in COMMANDS:
            body = body_of(asked, {"order_id": world.order_id})
            record = world.pipe.record(
                asked.name, body, topic=asked.base, origin="eve", partner="acme"
            )
            [answered] = await world.pipe.process(record)
            assert answered["value"]["http_status"] == 404
            assert (await world.by_eve(asked, body)).status_code == 404


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
    assert seen["orders"] == seen["order_events"] == seen["blobs"] == []
    assert len(seen["tenants"]) == 2
    await isolation.read_as(reader, [world.tenant_ids["haul"]])
    seen = await everything(reader)
    met = {table for table, rows in seen.items() if secrets_in("".join(rows))}
    assert {"orders", "order_events", "log_entries", "gaps", "tenants"} <= met
    assert seen["blobs"] != []


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
        assert await connection.fetchval("SELECT count(*) FROM orders") == 1
    async with await open_reading_pool(world.world.dsn, application_name="t", max_size=1) as pool:
        async with transaction(pool, readonly=True) as connection:
            await isolation.read_as(connection, [world.tenant_ids["acme"]])
            assert await connection.fetchval("SELECT count(*) FROM orders") == 1
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
