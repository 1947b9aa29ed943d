"""Lists and export over stored reference data (X10)."""

from collections.abc import AsyncIterator

import pytest

from services.kit.database import Connection, open_pool, transaction
from services.records import master_data, reference_lists
from services.records.reference_lists import ListRequestInvalid
from tests.unit.domain.desk import ADAPTERS, Desk
from tests.unit.domain.test_reference import COMMANDS, ITEMS

DESK = Desk()
DESK.take(*COMMANDS)
ACME = DESK.world.directory.by_slug["acme"]
BOLT = DESK.world.directory.by_slug["bolt"]


@pytest.fixture
async def connection(fresh_database: str) -> AsyncIterator[Connection]:
    pool = await open_pool(fresh_database, application_name="tests", max_size=2)
    async with transaction(pool) as connection:
        await master_data.store(connection, DESK.upserts)
        yield connection
    await pool.close()


async def test_an_item_can_be_sent_again_as_it_is_listed(connection: Connection) -> None:
    found = await reference_lists.page(connection, "tenants", filters={"slug": "bolt"})
    assert found == {
        "items": [
            {
                "id": BOLT.id,
                "slug": "bolt",
                "name": "Bolt Fuels",
                "active": True,
                "partitions": 3,
                "systems": [{"name": "tms", "primary": False, "instances": ["east"]}],
            }
        ],
        "next": None,
    }
    blend = await reference_lists.page(connection, "records", filters={"name": "product_BLEND7"})
    assert blend["items"][0]["components"] == [
        {"product": "product_DIESEL", "ratio": 0.93},
        {"product": "product_BIODIE", "ratio": 0.07},
    ]


async def test_the_export_is_a_file_that_changes_nothing_when_it_is_applied(
    connection: Connection,
) -> None:
    whole = await reference_lists.export(connection)
    assert {name: len(items) for name, items in whole.items()} == {
        "tenants": 2,
        "pairs": 1,
        "records": 4,
        "mappings": 2,
    }
    for operation, items in zip(ADAPTERS, whole.values(), strict=True):
        for item in items:
            answer = DESK.take_body(operation, item)
            assert answer.body["detail"] == "unchanged"


async def test_pages_neither_repeat_nor_skip(connection: Connection) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        found = await reference_lists.page(connection, "records", limit=1, cursor=cursor)
        seen += [item["goid"] for item in found["items"]]
        cursor = found["next"]
        if cursor is None:
            break
    assert seen == sorted(body["goid"] for operation, body in ITEMS if "record" in operation)


async def test_filters_are_exact_and_all_must_hold(connection: Connection) -> None:
    async def count(name: str, **filters: str) -> int:
        return len((await reference_lists.page(connection, name, filters=filters))["items"])

    assert await count("records", entity="product", active="true") == 3
    assert await count("records", active="false") == 0
    assert await count("mappings", tenant="acme", source_id="S-1", primary="false") == 1
    assert await count("mappings", tenant="acm") == 0
    assert await count("pairs", origin="acme", destination_system="tms") == 1


@pytest.mark.parametrize(
    ("member", "request_"),
    [
        ("colour", {"filters": {"colour": "red"}}),
        ("name", {"filters": {"name": "a\x00"}}),
        ("limit", {"limit": 0}),
        ("limit", {"limit": 1001}),
        ("cursor", {"cursor": "nonsense"}),
        ("cursor", {"cursor": "WzFd"}),
        ("cursor", {"cursor": "ünicode"}),
    ],
)
async def test_what_a_list_does_not_have_is_said_by_name(
    connection: Connection, member: str, request_: dict[str, object]
) -> None:
    with pytest.raises(ListRequestInvalid) as raised:
        await reference_lists.page(connection, "tenants", **request_)  # type: ignore[arg-type]
    assert raised.value.member == member


async def test_a_tenant_sees_its_own_mappings_and_its_partners_alone(
    connection: Connection,
) -> None:
    async def seen(name: str, member: str, *viewer: str) -> set[str]:
        found = await reference_lists.page(connection, name, viewer=viewer)
        return {item[member] for item in found["items"]}

    assert await seen("mappings", "tenant", ACME.id) == {"acme"}
    assert await seen("tenants", "slug", BOLT.id) == {"acme", "bolt"}
    assert await seen("pairs", "origin", BOLT.id) == {"acme"}
    assert len(await seen("records", "goid", ACME.id)) == 4
    stranger = "f" * 24
    assert await seen("tenants", "slug", stranger) == set()
    assert await seen("pairs", "origin", stranger) == set()
    assert await seen("mappings", "tenant") == set()
