"""Commands over HTTP: K28, K29, K31, K32, K40, K41, X11."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from services.kit.outbox import PUBLISHED_CHANNEL
from tests.integration.gateway_world import BODY, ORDER, World, gateway, settle


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[World]:
    async with gateway(fresh_database) as made:
        yield made


@pytest.fixture
async def key(world: World) -> str:
    return await world.key("acme")


async def test_a_command_carries_what_the_request_said(world: World, key: str) -> None:
    world.broker.body = BODY
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    raw = orjson.dumps(ORDER, option=orjson.OPT_INDENT_2)
    response = await world.create(
        key,
        raw,
        Idempotency_Key="k-1",
        X_Correlation_ID="c-1",
        X_Origin_System_Name="Main",
        Prefer="handling=strict",
        traceparent=trace,
    )
    assert response.status_code == 200
    assert response.json() == BODY
    assert response.headers["x-correlation-id"] == "c-1"
    (command,) = world.broker.sent
    assert (command.topic, command.key, command.value) == ("crossroads.orders", "A-1", raw)
    headers = dict(command.headers())
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": b"k-1",
        "ce_source": b"/crossroads/gateway",
        "ce_type": b"crossroads.order.create.v1",
        "ce_origintenant": b"acme",
        "ce_desttenant": b"other",
        "ce_originsystem": b"Main",
        "ce_handling": b"strict",
        "ce_correlationid": b"c-1",
        "traceparent": trace.encode(),
        "content-type": b"application/json",
    }


async def test_without_a_key_the_command_gets_one_and_the_caller_is_told(
    world: World, key: str
) -> None:
    world.broker.body = BODY
    first = await world.create(key)
    second = await world.create(key)
    told = [answer.headers["idempotency-key"] for answer in (first, second)]
    assert told == [command.id for command in world.broker.sent]
    assert told[0] != told[1]


async def test_a_repeat_has_the_first_answer_byte_for_byte(world: World, key: str) -> None:
    world.broker.body = BODY
    first = await world.create(key, Idempotency_Key="k-1")
    world.broker.body = {**BODY, "message": "never told"}
    second = await world.create(key, Idempotency_Key="k-1")
    assert (second.status_code, second.content) == (first.status_code, first.content)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({**ORDER, "po": "other"}, {}),
        (ORDER, {"partner": "third"}),
        (ORDER, {"X_Origin_System_Name": "Main"}),
        (ORDER, {"X_Origin_Instance_Name": "east"}),
    ],
)
async def test_a_key_used_for_another_request_is_refused(
    world: World, key: str, body: object, headers: dict[str, str]
) -> None:
    world.broker.body = BODY
    await world.create(key, Idempotency_Key="k-1")
    response = await world.create(key, body, Idempotency_Key="k-1", **headers)
    assert response.status_code == 422
    assert response.json()["code"] == "request.idempotency_key_reused"
    assert list(response.json()) == ["detail", "code", "log"]


async def test_what_the_edge_refuses_makes_no_command_and_uses_no_key(
    world: World, key: str
) -> None:
    world.broker.body = BODY
    bad = {**ORDER, "drops": [{"site": {"source_id": "S1"}, "volume": 0}]}
    refused = await world.create(key, bad, Idempotency_Key="k-1")
    assert refused.status_code == 422
    assert world.broker.sent == []
    assert (await world.create(key, Idempotency_Key="k-1")).status_code == 200


async def test_all_errors_come_at_once_headers_first_then_in_document_order(
    world: World, key: str
) -> None:
    body = {
        "drops": [{"volume": -1, "site": {"source_id": "S1"}}],
        "delivery_window": {"start": "2026-05-11T12:00:00Z", "end": "2026-05-11T08:00:00Z"},
        "note": "x" * 301,
    }
    response = await world.create(key, body, partner=None)
    assert response.status_code == 422
    entries = response.json()["detail"]
    assert all(set(entry) == {"loc", "msg", "type"} for entry in entries)
    locs = [entry["loc"] for entry in entries]
    assert locs[0] == ["header", "x-dest-tenant-name"]
    assert locs.index(["body", "drops", 0, "volume"]) < locs.index(["body", "note"])
    # The rules run on what is well-formed beside the schema's errors.
    assert ["body", "delivery_window", "end"] in locs
    assert ["body", "origin_order_number"] in locs


async def test_an_unknown_field_passes_unless_the_caller_asked_to_be_strict(
    world: World, key: str
) -> None:
    world.broker.body = BODY
    body = {**ORDER, "colour": "red"}
    assert (await world.create(key, body)).status_code == 200
    strict = await world.create(key, body, Prefer="handling=strict")
    assert strict.status_code == 422
    assert [entry["loc"] for entry in strict.json()["detail"]] == [["body", "colour"]]


@pytest.mark.parametrize(
    ("raw", "loc"),
    [
        (b"", ["body"]),
        (b"{", ["body"]),
        (b"\xff", ["body"]),
        (b"[" * 5000, ["body"]),
        (b"[1]", ["body"]),
        (b'{"po": "a\\u0000b"}', ["body", "po"]),
        (b'{"po": "\\ud800"}', ["body", "po"]),
        (b'{"extra_data": {"n": 1e999}}', ["body", "extra_data", "n"]),
        (b'{"extra_data": {"n": NaN}}', ["body", "extra_data", "n"]),
    ],
)
async def test_a_body_that_cannot_be_read_is_422(
    world: World, key: str, raw: bytes, loc: list[str]
) -> None:
    response = await world.create(key, raw)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][: len(loc)] == loc
    assert world.broker.sent == []


async def test_a_body_over_1_mib_is_413_however_it_is_announced(world: World, key: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 65536

    headers = {"X-API-Key": key, "X-Dest-Tenant-Name": "other"}
    for content in (b" " * (1024 * 1024 + 1), chunks()):
        response = await world.client.post("/v1/order/create", content=content, headers=headers)
        assert response.status_code == 413
        assert list(response.json()) == ["detail"]


async def test_after_the_wait_it_is_pending_and_the_same_key_gives_the_answer_later(
    world: World, key: str
) -> None:
    body = {**ORDER, "colour": "red", "po": "P"}
    first = await world.create(key, body, Idempotency_Key="k-1", Prefer="wait=0")
    assert first.status_code == 200
    answer = first.json()
    assert (answer["status"], answer["log"]) == ("pending", None)
    assert "Ignored unknown fields: colour" in answer["message"]
    assert answer["order"]["origin_order_number"] == "A-1"
    assert answer["order"]["po"] == "P"
    assert answer["order"]["drops"][0]["site"]["source_id"] == "S1"
    assert answer["order"]["bols"] == []
    await settle(world.pool, world.broker.sent[0], BODY)
    second = await world.create(key, body, Idempotency_Key="k-1")
    assert second.json() == BODY


async def test_an_answer_is_told_only_when_its_record_was_acknowledged(
    world: World, key: str
) -> None:
    asked = asyncio.create_task(world.create(key, Prefer="wait=30"))
    await world.broker.arrived.wait()
    await world.pool.execute(
        "INSERT INTO outbox (id, shard, kind, told_before, topic, headers, value)"
        " VALUES (7, 0, 2, false, 't', '', '')"
    )
    await settle(world.pool, world.broker.sent[0], BODY, result_id=7)
    world.board.published()
    done, _ = await asyncio.wait({asked}, timeout=0.6)
    assert not done
    async with world.pool.acquire() as connection, connection.transaction():
        await connection.execute("DELETE FROM outbox")
        await connection.execute(f"NOTIFY {PUBLISHED_CHANNEL}")
    assert (await asked).json() == BODY


async def test_a_parked_answer_is_told_as_the_waiting_one_the_relay_told(
    world: World, key: str
) -> None:
    waiting = {"status": "pending", "message": "parked", "log": None, "order": None}
    told = {"outcome": "waiting", "http_status": 200, "code": "delivery.parked", "body": waiting}
    await world.pool.execute(
        "INSERT INTO outbox_parked (id, stored_at, shard, kind, told_before, topic, headers,"
        " value, told) VALUES (8, now(), 0, 2, false, 't', '', '', $1)",
        orjson.dumps(told),
    )
    asked = asyncio.create_task(world.create(key, Prefer="wait=30"))
    await world.broker.arrived.wait()
    await settle(world.pool, world.broker.sent[0], BODY, result_id=8)
    world.board.published()
    assert (await asked).json() == waiting


async def test_two_gateways_with_one_key_give_one_answer(world: World, key: str) -> None:
    async with gateway(world.dsn) as other:
        one = asyncio.create_task(world.create(key, Idempotency_Key="k-1", Prefer="wait=30"))
        two = asyncio.create_task(other.create(key, Idempotency_Key="k-1", Prefer="wait=30"))
        await world.broker.arrived.wait()
        await other.broker.arrived.wait()
        await settle(world.pool, world.broker.sent[0], BODY)
        await world.pool.execute(f"NOTIFY {PUBLISHED_CHANNEL}")
        assert (await one).content == (await two).content


async def test_a_caller_that_disconnects_takes_its_command_not_with_it(
    world: World, key: str
) -> None:
    asked = asyncio.create_task(world.create(key, Idempotency_Key="k-1", Prefer="wait=30"))
    await world.broker.arrived.wait()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await settle(world.pool, world.broker.sent[0], BODY)
    assert (await world.create(key, Idempotency_Key="k-1")).json() == BODY
    assert len(world.board) == 0


async def test_a_broker_that_is_away_is_503_with_retry_after(world: World, key: str) -> None:
    world.broker.away = True
    response = await world.create(key)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert list(response.json()) == ["detail"]


async def test_k32_a_503_names_the_id_under_which_the_command_may_have_been_written(
    world: World, key: str
) -> None:
    world.broker.away = True
    made = (await world.create(key)).headers["idempotency-key"]
    given = await world.create(key, Idempotency_Key="k-1")
    assert (given.status_code, given.headers["idempotency-key"]) == (503, "k-1")
    world.broker.away, world.broker.body = False, BODY
    assert (await world.create(key, Idempotency_Key=made)).json() == BODY
    assert world.broker.sent[0].id == made


async def test_k32_a_known_key_is_answered_though_the_caller_does_not_wait(
    world: World, key: str
) -> None:
    first = await world.create(key, Idempotency_Key="k-1", Prefer="wait=0")
    assert first.json()["status"] == "pending"
    await settle(world.pool, world.broker.sent[0], BODY)
    again = await world.create(key, Idempotency_Key="k-1", Prefer="wait=0")
    assert again.json() == BODY


async def test_every_answer_about_reference_data_names_its_key(world: World) -> None:
    made = await world.credential(scopes=["operations:write"], operator=True)
    item = {"origin": "a", "destination": "b"}
    for away, status in ((True, 503), (False, 200)):
        world.broker.away = away
        answer = await world.ask(
            made.api_key, "reference/pairs", {"items": [item]}, Prefer="wait=0"
        )
        assert answer.status_code == status
        key = answer.headers["idempotency-key"]
        wrong = await world.ask(made.api_key, "reference/pairs", {}, Idempotency_Key="r-1")
        assert (wrong.status_code, wrong.headers["idempotency-key"]) == (422, "r-1")
    assert world.broker.sent[0].id == f"{key}/0"


@pytest.mark.parametrize("given", ["key", "ключ"])
async def test_k32_what_the_edge_refuses_names_the_key_as_it_was_given(
    world: World, key: str, given: str
) -> None:
    world.broker.body = BODY
    for body, status in ((b"{", 422), (ORDER, 200)):
        answer = await world.client.post(
            "/v1/order/create",
            content=body if isinstance(body, bytes) else orjson.dumps(body),
            headers=[
                (b"X-API-Key", key.encode()),
                (b"X-Dest-Tenant-Name", b"other"),
                (b"Idempotency-Key", given.encode()),
            ],
        )
        assert answer.status_code == status
        told = [value for name, value in answer.headers.raw if name == b"idempotency-key"]
        assert told == [given.encode()]


async def test_r030_a_number_that_would_not_arrive_unchanged_makes_no_command(
    world: World, key: str
) -> None:
    raw = orjson.dumps({**ORDER, "extra_data": {"n": 7}}).replace(b"7}", b"0.1234567890123456789}")
    answer = await world.create(key, raw)
    assert answer.status_code == 422
    [entry] = answer.json()["detail"]
    assert (entry["loc"], entry["type"]) == (["body", "extra_data", "n"], "number_altered")
    assert world.broker.sent == []


async def test_k32_a_key_that_cannot_be_used_is_not_repeated(world: World, key: str) -> None:
    answer = await world.create(key, Idempotency_Key="k" * 9000)
    assert answer.status_code == 422
    assert len(answer.headers["idempotency-key"]) == 36


async def test_a_listening_session_that_was_ended_comes_back(world: World, key: str) -> None:
    await world.pool.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND query ILIKE 'listen%'"
    )
    asked = asyncio.create_task(world.create(key, Prefer="wait=30"))
    await world.broker.arrived.wait()
    await settle(world.pool, world.broker.sent[0], BODY)
    assert (await asked).json() == BODY
