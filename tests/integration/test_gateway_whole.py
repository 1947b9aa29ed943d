"""The gateway's own process parts with a real broker, and the real pipeline behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from schemas.topics import ORDERS, PROGRESS, REFERENCE
from services.cli.logs_of_topics import partitions_of
from services.gateway.app import build
from services.kit.cloudevents import Record, Source
from services.kit.database import transaction
from services.kit.kafka import TopicAdmin, TopicSpec
from services.kit.outbox import PUBLISHED_CHANNEL
from services.kit.settings import Settings
from services.records import credentials
from services.reference_data.topics import wanted
from tests.integration.hub import Hub, hub, order, two_companies


@pytest.fixture
def settings(fresh_database: str, kafka: str) -> Settings:
    return Settings(database_url=fresh_database, kafka_bootstrap_servers=kafka)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The gateway as its process runs it, but for its port; entered when it is ready."""
    stopping = asyncio.Event()
    async with build(settings) as parts, asyncio.TaskGroup() as group:
        for work in parts.work.values():
            group.create_task(work(stopping))  # type: ignore[arg-type]
        assert parts.app is not None
        transport = httpx.ASGITransport(parts.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            async with asyncio.timeout(30):
                while (await client.get("/readyz")).status_code != 200:
                    await asyncio.sleep(0.05)
            yield client
            stopping.set()


@asynccontextmanager
async def records(settings: Settings, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Reads what is produced to the topic from now on."""
    async with TopicAdmin(settings) as admin:
        (configs,) = [each.configs for each in wanted([]) if each.name == topic]
        await admin.create_missing([TopicSpec(topic, 1, configs)])
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await consumer.start()
    try:
        found = await partitions_of(settings, [topic])
        partitions = [each for each in found if each.topic == topic]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        for partition in partitions:
            await consumer.position(partition)
        yield consumer
    finally:
        await consumer.stop()


async def taken_in(world: Hub, consumer: AIOKafkaConsumer) -> Record:
    """Feeds the next record of the topic to the pipeline, and publishes what it caused."""
    async with asyncio.timeout(20):
        got = await consumer.getone()
    record = Record(
        source=Source("cluster", got.topic, got.partition, got.offset),
        key=got.key,
        value=got.value,
        headers=tuple(got.headers),
        timestamp_ms=got.timestamp,
    )
    await world.process(record)
    async with transaction(world.pool) as connection:
        await connection.execute("DELETE FROM outbox")
        await connection.execute(f"NOTIFY {PUBLISHED_CHANNEL}")
    return record


async def api_key(world: Hub, *tenants: str, operator: bool = False) -> dict[str, str]:
    scopes = ["order:create", "order:read", "reference:read", "reference:write", "operations:write"]
    scopes += ["order:update_status", "order:save_bol"]
    async with transaction(world.pool) as connection:
        made = await credentials.create(
            connection, tenants=tenants, scopes=scopes, operator=operator
        )
    return {"X-API-Key": made.api_key}


async def test_an_order_is_created_got_and_hidden_from_everybody_else(settings: Settings) -> None:
    async with (
        hub(settings.database_url) as world,
        records(settings, ORDERS) as consumer,
        serving(settings) as client,
    ):
        await two_companies(world, "acme", "blue")
        await world.reference(
            "tenant", {"slug": "eve", "name": "Eve Oil", "systems": [{"name": "spy"}]}
        )
        await world.pool.execute("DELETE FROM outbox")
        acme, blue, eve = [await api_key(world, slug) for slug in ("acme", "blue", "eve")]
        body = order("A-1")
        headers = {
            **acme,
            "X-Dest-Tenant-Name": "blue",
            "Idempotency-Key": "k-1",
            "Prefer": "wait=30",
        }
        asked = asyncio.create_task(
            client.post("/v1/order/create", json=body, headers=headers, timeout=40)
        )
        record = await taken_in(world, consumer)
        assert record.key == b"A-1"
        first = await asked
        assert (first.status_code, first.json()["status"]) == (200, "synced")

        again = asyncio.create_task(
            client.post("/v1/order/create", json=body, headers=headers, timeout=40)
        )
        assert (await again).content == first.content

        found = await get(client, acme, {"order_number": "A-1"})
        assert found.status_code == 200
        order_id = found.json()["_id"]
        assert found.json()["order"]["origin_order_number"] == "A-1"
        assert (await get(client, blue, {"order": {"order_number": "A-1"}})).json()[
            "_id"
        ] == order_id
        assert (await get(client, blue, {"order_id": order_id})).status_code == 200

        foreign = await get(client, eve, {"order_number": "A-1"})
        assert foreign.status_code == 404
        assert foreign.json() == {"detail": "Order not found for number: A-1"}
        foreign = await get(client, eve, {"order_id": order_id})
        missing = await get(client, eve, {"order_id": "0" * 24})
        assert foreign.json() == {"detail": f"Order not found for id: {order_id}"}
        assert (foreign.status_code, missing.status_code) == (404, 404)
        elsewhere = await get(client, acme, {"order_number": "A-1"}, partner="Eve Oil")
        assert elsewhere.status_code == 404
        nobody = await get(client, acme, {"order_number": "A-1"}, partner="nobody")
        assert nobody.status_code == 404
        empty = await get(client, acme, {})
        assert (empty.status_code, empty.json()["detail"][0]["loc"]) == (422, ["body", "order"])


async def test_a_refusal_by_a_rule_is_the_same_as_on_kafka_and_keeps_its_shape(
    settings: Settings,
) -> None:
    async with (
        hub(settings.database_url) as world,
        records(settings, ORDERS) as consumer,
        serving(settings) as client,
    ):
        await two_companies(world, "acme", "blue")
        await world.pool.execute("DELETE FROM outbox")
        blue = await api_key(world, "blue")
        headers = {**blue, "X-Dest-Tenant-Name": "acme", "Prefer": "wait=30"}
        asked = asyncio.create_task(
            client.post("/v1/order/create", json=order("B-1"), headers=headers, timeout=40)
        )
        await taken_in(world, consumer)
        response = await asked
        assert response.status_code == 403
        assert response.json()["detail"] == "There is no pair of these tenants in this direction."


async def test_a_status_and_a_picture_go_the_same_way_as_on_kafka(settings: Settings) -> None:
    """X09, X11: the picture's record names the stored bytes, however large they are."""
    picture = b"%PDF-" + b"x" * (5 * 1024 * 1024)
    async with (
        hub(settings.database_url) as world,
        records(settings, PROGRESS) as consumer,
        serving(settings) as client,
    ):
        await two_companies(world, "acme", "blue")
        await world.process(
            world.record("order.create", order("A-1"), origin="acme", partner="blue")
        )
        await world.pool.execute("DELETE FROM outbox")
        blue = await api_key(world, "blue")
        headers = {**blue, "X-Dest-Tenant-Name": "acme", "Prefer": "wait=30"}
        status = {
            "order": {"order_number": "A-1"},
            "location": {"source_id": "d-north"},
            "progress_status": "loading",
        }
        form = {"order_number": "A-1", "bol_number": "B-1"}
        for asking, member in (
            (
                client.post("/v1/order/update_status", json=status, headers=headers, timeout=40),
                "status_update",
            ),
            (
                client.post(
                    "/v1/order/save_bol_image",
                    data=form,
                    files={"file": ("b.pdf", picture)},
                    headers=headers,
                    timeout=40,
                ),
                "bol_photo",
            ),
        ):
            asked = asyncio.create_task(asking)
            record = await taken_in(world, consumer)
            assert record.key == b"A-1"
            assert len(record.value or b"") < 500
            response = await asked
            assert (response.status_code, response.json()["status"]) == (200, "synced")
            assert response.json()[member] is not None
        blob_id = response.json()["bol_photo"]["blob_id"]
        acme = await api_key(world, "acme")
        assert (await client.get(f"/v1/blobs/{blob_id}", headers=acme)).content == picture
        order_id = (await get(client, acme, {"order_number": "A-1"})).json()["_id"]
        items = (await client.get(f"/v1/order/{order_id}/timeline", headers=acme)).json()["items"]
        told = [each["detail"] for each in items if each["kind"] == "record"]
        assert [each["sequence"] for each in told] == [1, 1, 2]


async def test_reference_items_are_answered_in_their_order(settings: Settings) -> None:
    async with (
        hub(settings.database_url) as world,
        records(settings, REFERENCE) as consumer,
        serving(settings) as client,
    ):
        operator = await api_key(world, operator=True)
        items = [
            {"slug": "acme", "name": "ACME Fuels", "systems": [{"name": "dispatch"}]},
            {"slug": "X", "name": "no slug", "systems": []},
        ]
        asked = asyncio.create_task(
            client.post(
                "/v1/reference/tenants",
                json={"items": items},
                headers={**operator, "Prefer": "wait=30"},
                timeout=40,
            )
        )
        for _ in items:
            await taken_in(world, consumer)
        answered = (await asked).json()["items"]
        assert [item["outcome"] for item in answered] == ["done", "refused"]
        listed = await client.get(
            "/v1/reference/tenants", params={"slug": "acme"}, headers=operator
        )
        assert [item["name"] for item in listed.json()["items"]] == ["ACME Fuels"]
        assert listed.json()["next"] is None
        wrong = await client.get("/v1/reference/tenants", params={"limit": "x"}, headers=operator)
        assert (wrong.status_code, wrong.json()["detail"][0]["loc"]) == (422, ["query", "limit"])

        acme = await api_key(world, "acme")
        denied = await client.post("/v1/reference/tenants", json={"items": []}, headers=acme)
        assert (denied.status_code, denied.json()["code"]) == (403, "request.not_allowed")
        own = {
            "tenant": "acme",
            "system": "dispatch",
            "entity": "product",
            "source_id": "p",
            "source_name": "P",
            "goid": "product_UNKNOWN",
        }
        asked = asyncio.create_task(
            client.post(
                "/v1/reference/mappings",
                json={"items": [own]},
                headers={**acme, "Prefer": "wait=30"},
                timeout=40,
            )
        )
        record = await taken_in(world, consumer)
        assert dict(record.headers)["ce_origintenant"] == b"acme"
        assert [item["outcome"] for item in (await asked).json()["items"]] == ["waiting"]


async def test_a_body_of_almost_1_mib_reaches_the_topic(settings: Settings) -> None:
    async with (
        hub(settings.database_url) as world,
        records(settings, ORDERS) as consumer,
        serving(settings) as client,
    ):
        await two_companies(world, "acme", "blue")
        acme = await api_key(world, "acme")
        padding = " " * (1024 * 1024 - len(orjson.dumps(order("A-1"))))
        content = orjson.dumps(order("A-1")) + padding.encode()
        response = await client.post(
            "/v1/order/create",
            content=content,
            headers={**acme, "X-Dest-Tenant-Name": "blue", "Prefer": "wait=0"},
        )
        assert (response.status_code, response.json()["status"]) == (200, "pending")
        async with asyncio.timeout(20):
            assert (await consumer.getone()).value == content


async def get(
    client: httpx.AsyncClient, key: dict[str, str], body: Any, partner: str | None = None
) -> httpx.Response:
    headers = key if partner is None else {**key, "X-Dest-Tenant-Name": partner}
    return await client.post("/v1/order/get", json=body, headers=headers)
