"""Master data in PostgreSQL: loaded for what a batch needs, stored as it was decided (X05, X10)."""

from collections.abc import AsyncIterator
from collections.abc import Mapping as Members
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from services.domain import reference
from services.domain.effects import Upsert
from services.domain.world import Mapping, Needs, Scope
from services.kit.database import Connection, Pool, open_pool, open_session, transaction
from services.records import directory, master_data
from tests.unit.domain.desk import Desk, mapping, product, upsert
from tests.unit.domain.test_reference import COMMANDS

ACME_SITE = "site_STATION"


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(fresh_database, application_name="tests", max_size=3)
    yield pool
    await pool.close()


@pytest.fixture
async def connection(pool: Pool) -> AsyncIterator[Connection]:
    async with transaction(pool) as connection:
        yield connection


def applied() -> Desk:
    desk = Desk()
    desk.take(*COMMANDS)
    return desk


def scope(desk: Desk, slug: str) -> Scope:
    tenant = desk.world.directory.by_slug[slug]
    return Scope(tenant.id, tenant.systems[0].name)


async def test_what_was_stored_is_what_was_decided(connection: Connection) -> None:
    desk = applied()
    await master_data.store(connection, desk.upserts)
    found = await directory.load(connection, ["acme", "Bolt Fuels"])
    assert found.by_id == desk.world.directory.by_id
    assert found.pairs == desk.world.directory.pairs
    acme, bolt = scope(desk, "acme"), scope(desk, "bolt")
    needs = Needs(scope=acme, towards=bolt, keys=[("site", {"source_id": "S-1"})])
    master = await master_data.load(connection, [needs])
    assert master.records == desk.world.master.records
    for one in (acme, bolt):
        stored, decided = master.of_goid(one, ACME_SITE), desk.world.master.of_goid(one, ACME_SITE)
        assert stored is not None
        assert decided is not None
        assert replace(stored, age=0) == replace(decided, age=0)


@pytest.mark.parametrize("member", ["source_id", "source_name", "mapping_id", "goid"])
async def test_every_kind_of_key_leads_to_tanks_products_components_and_the_other_side(
    connection: Connection, member: str
) -> None:
    desk = applied()
    await master_data.store(connection, desk.upserts)
    acme, bolt = scope(desk, "acme"), scope(desk, "bolt")
    mapped = desk.world.master.of_goid(acme, ACME_SITE)
    assert mapped is not None
    values = {
        "source_id": "S-1",
        "source_name": "Station One",
        "mapping_id": mapped.id,
        "goid": ACME_SITE,
    }
    needs = Needs(scope=acme, towards=bolt, keys=[("site", {member: values[member]})])
    master = await master_data.load(connection, [needs])
    assert set(master.records) == {
        ACME_SITE,
        "product_BLEND7",
        "product_DIESEL",
        "product_BIODIE",
    }
    assert master.of_goid(acme, ACME_SITE) is not None
    assert master.of_goid(bolt, ACME_SITE) is not None


async def test_keys_of_another_scope_find_nothing(connection: Connection) -> None:
    desk = applied()
    await master_data.store(connection, desk.upserts)
    acme, bolt = scope(desk, "acme"), scope(desk, "bolt")
    mapped = desk.world.master.of_goid(acme, ACME_SITE)
    assert mapped is not None
    other = Scope(acme.tenant_id, "other")
    keys: list[tuple[str, Members[str, Any]]] = [
        ("site", {"mapping_id": mapped.id}),
        ("terminal", {"source_id": "S-1"}),
    ]
    master = await master_data.load(connection, [Needs(scope=bolt, keys=keys)])
    assert master.records == {}
    elsewhere = [Needs(scope=other, keys=[("site", {"source_id": "S-1"})])]
    assert (await master_data.load(connection, elsewhere)).records == {}
    assert (await master_data.load(connection, [])).records == {}


async def test_an_upsert_finds_its_row_and_its_record(connection: Connection) -> None:
    desk = applied()
    await master_data.store(connection, desk.upserts)
    acme = scope(desk, "acme")
    needs = Needs(goids={ACME_SITE}, mapping_keys={(acme.tenant_id, "erp", "site", "S-1")})
    master = await master_data.load(connection, [needs])
    assert master.by_source_id(acme, "site", "S-1") is not None
    assert master.record(ACME_SITE) is not None


async def test_of_several_upserts_of_a_row_the_last_is_stored_and_an_update_keeps_the_age(
    connection: Connection,
) -> None:
    desk = applied()
    await master_data.store(connection, desk.upserts)
    acme = scope(desk, "acme")
    desk.upserts.clear()
    second = mapping(source_id="S-2")
    desk.take(
        upsert(reference.MAPPING, second, id="n1", arrived=100),
        upsert(reference.MAPPING, {**second, "source_name": "B"}, id="n2", arrived=101),
        upsert(reference.MAPPING, mapping(source_name="A"), id="n3", arrived=102),
        upsert(reference.RECORD, product(name="Diesel", active=False), id="n4", arrived=103),
    )
    await master_data.store(connection, desk.upserts)
    needs = Needs(scope=acme, goids={ACME_SITE, "product_DIESEL"})
    master = await master_data.load(connection, [needs])
    one = master.by_source_id(acme, "site", "S-1")
    two = master.by_source_id(acme, "site", "S-2")
    assert one is not None
    assert two is not None
    assert (one.source_name, two.source_name) == ("A", "B")
    assert one.age < two.age
    assert master.of_goid(acme, ACME_SITE) == one
    diesel = master.record("product_DIESEL")
    assert diesel is not None
    assert (diesel.name, diesel.active) == ("Diesel", False)


async def test_ages_are_drawn_in_the_order_of_decision(connection: Connection) -> None:
    desk = applied()
    await master_data.store(connection, desk.upserts)
    acme = scope(desk, "acme")
    ids = ["ffff", "0000", "8888"]
    await master_data.store(
        connection,
        [Upsert(mapping=Mapping(i, *_where(acme), f"of {i}", i, ACME_SITE)) for i in ids],
    )
    master = await master_data.load(connection, [Needs(scope=acme, goids={ACME_SITE})])
    found = [master.by_id(acme, i) for i in ids]
    ages = [one.age for one in found if one is not None]
    assert len(ages) == 3
    assert ages == sorted(ages)


def _where(scope: Scope) -> tuple[str, str, str]:
    return (scope.tenant_id, scope.system, "site")


async def test_a_key_that_another_transaction_gave_away_is_an_error_to_decide_again_on(
    connection: Connection,
) -> None:
    desk = applied()
    await master_data.store(connection, desk.upserts)
    acme = desk.world.directory.by_slug["acme"]
    with pytest.raises(asyncpg.UniqueViolationError):
        await master_data.store(connection, [Upsert(tenant=replace(acme, id="f" * 24))])


async def test_a_stored_tenant_is_announced_and_a_record_is_not(
    pool: Pool, fresh_database: str
) -> None:
    heard: list[str] = []
    listener = await open_session(fresh_database, application_name="tests")
    await listener.add_listener("crossroads_tenants", lambda *_: heard.append("tenants"))
    desk = applied()
    async with transaction(pool) as connection:
        await master_data.store(connection, [u for u in desk.upserts if u.record is not None])
    await listener.execute("SELECT 1")
    assert heard == []
    async with transaction(pool) as connection:
        await master_data.store(connection, desk.upserts)
        stored = await master_data.partitions_of_tenants(connection)
    await listener.execute("SELECT 1")
    assert heard == ["tenants"]
    assert stored == [("acme", 3), ("bolt", 3)]
    await listener.close()
