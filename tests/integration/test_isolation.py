"""A tenant never reads or infers an order of a pair it does not belong to (guarantee 6, R009)."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import orjson
import pytest

from schemas.operations import Operation, operation
from services.kit.database import open_pool, transaction
from tests.integration.gateway_world import Taken
from tests.integration.hub import syncs
from tests.integration.isolation_world import (
    GIVEN_NUMBER,
    NO_NUMBER,
    NOWHERE,
    NUMBER,
    REQUESTED_NUMBER,
    SECRETS,
    Strangers,
    bodies_by_number,
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
SETTLING = [operation("change.accept"), operation("change.reject")]
# Headers of an answer that are another's in every answer.
OF_ITS_OWN = {"content-length", "x-correlation-id", "idempotency-key", "date"}
LOGS_OWN = {"_id", "date", "correlation_id", "saga_id"}


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Strangers]:
    async with strangers(fresh_database) as made:
        yield made


async def test_the_two_tenants_of_an_order_do_meet_its_words(world: Strangers) -> None:
    """Else the tests below would find nothing because there is nothing."""
    for who in ("acme", "haul"):
        seen = await world.world.ask(world.keys[who], "order/get", {"order_id": world.order_id})
        assert sorted(secrets_in(seen.text)) == sorted(SECRETS)
        assert secrets_in(await world.everything_stored_for(who))


async def told_apart(
    world: Strangers,
    asked: Operation,
    bodies: Sequence[Mapping[str, Any]],
    own: Sequence[str],
) -> tuple[int, str]:
    """Status and text of the one answer that Eve gets to both bodies.

    They differ in nothing but the words of `own`: nor do headers or the number of queries.
    """
    broker = world.world.broker
    assert isinstance(broker, Taken)
    assert broker.pipe is not None
    hub = world.world.client._transport.app.state.hub  # type: ignore[attr-defined]
    # A command's caller asks for its answer as often as it takes: only its own work is counted.
    pools = [broker.pipe.pool] if asked.base is not None else [hub.pool, hub.reading.pool]
    answers: list[tuple[int, str, list[tuple[str, str]]]] = []
    queries: list[int] = []
    for _ in range(2):  # The first round prepares statements.
        answers.clear()
        queries.clear()
        for body in bodies:
            with counted(pools) as statements:
                answer = await world.by_eve(asked, body)
            text = same_again(answer.json())
            for word in own:
                text = text.replace(word, "")
            headers = sorted((k, v) for k, v in answer.headers.items() if k not in OF_ITS_OWN)
            answers.append((answer.status_code, text, headers))
            queries.append(len(statements))
    assert answers[0] == answers[1]
    assert queries[0] == queries[1] > 0
    return answers[0][:2]


def same_again(body: dict[str, Any]) -> str:
    """An answer without what is another's in every log entry."""
    if isinstance(body.get("log"), dict):
        body["log"] = {k: v for k, v in body["log"].items() if k not in LOGS_OWN}
    return orjson.dumps(body).decode()


@pytest.mark.parametrize("asked", BY_ID, ids=lambda each: each.name)
async def test_an_order_of_others_is_the_404_of_one_that_does_not_exist(
    world: Strangers, asked: Operation
) -> None:
    """K08, K29, K34, X06-X08: text, code, headers and the number of queries, by HTTP."""
    for order_id in (world.order_id, world.requested_id):
        bodies = [body_of(asked, {"order_id": each}) for each in (order_id, NOWHERE)]
        status, _ = await told_apart(world, asked, bodies, (order_id, NOWHERE))
        assert status == 404


@pytest.mark.parametrize("asked", SETTLING, ids=lambda each: each.name)
async def test_a_change_of_others_is_the_404_of_one_that_does_not_exist(
    world: Strangers, asked: Operation
) -> None:
    """R015, X03, X04: by its id, whatever became of it, alone and beside its order's names."""
    for change_id in world.change_ids.values():
        for order in (None, {"order_id": world.order_id}, {"origin_order_number": NUMBER}):
            bodies = [{"id": each, "order": order} for each in (change_id, NOWHERE)]
            status, text = await told_apart(world, asked, bodies, ())
            assert (status, orjson.loads(text)) == (404, {"detail": "There is no such change."})


@pytest.mark.parametrize("asked", SERVED, ids=lambda each: each.name)
async def test_a_number_of_others_is_the_number_nobody_gave(
    world: Strangers, asked: Operation
) -> None:
    """K34, K42, X02: what waits for a number, what is told there is none, and what is listed."""
    for number in (NUMBER, GIVEN_NUMBER, REQUESTED_NUMBER):
        for bodies in zip(
            bodies_by_number(asked, number), bodies_by_number(asked, NO_NUMBER), strict=True
        ):
            status, text = await told_apart(world, asked, bodies, (number, NO_NUMBER))
            if asked.base is not None:
                assert (status, orjson.loads(text)["status"]) == (200, "pending")
            elif asked.name == "change.all":
                assert (status, orjson.loads(text)["changes"]) == (200, [])
            else:
                assert status == 404


async def test_a_list_of_changes_shows_a_stranger_none_whatever_it_asks_for(
    world: Strangers,
) -> None:
    """X02, K09: by each filter, and by either tenant of the pair as the partner."""
    asked = operation("change.all")
    since = "2020-01-01T00:00:00Z"
    bodies: tuple[dict[str, Any], ...] = (
        *({"status": status} for status in ("requested", "rejected", "synced")),
        {"order_numbers": [NUMBER, GIVEN_NUMBER, REQUESTED_NUMBER]},
        {"change_types": ["note_change"]},
        {"as_of": since},
        {"updated_as_of": since},
        {"between": {"start": since, "end": "2999-01-01T00:00:00Z"}},
    )
    for body in bodies:
        for partner in ("acme", "haul"):
            answer = await world.by_eve(asked, body, partner)
            assert (answer.status_code, answer.json()["changes"]) == (200, [])
            mine = await world.world.ask(world.keys["acme"], "order/change/all", body)
            shown = {each["id"] for each in mine.json()["changes"]}
            assert shown <= set(world.change_ids.values())


@pytest.mark.parametrize("asked", BY_ID, ids=lambda each: each.name)
@pytest.mark.parametrize("partner", ["acme", "haul"])
async def test_no_word_of_an_order_of_others_reaches_a_stranger(
    world: Strangers, asked: Operation, partner: str
) -> None:
    """K09, K29, K42: by ids, by the numbers of both sides, by what is wrong, for either partner."""
    before = await theirs(world)
    own = (world.order_id, world.requested_id, NUMBER, GIVEN_NUMBER)
    bodies = [body_of(asked, {"order_id": world.order_id, "order_number": NUMBER})]
    bodies += asked_in_vain(world, asked)
    for body in bodies:
        for wrong in ({}, {"order": 7}, {"details": None, "note": 9}):
            answer = await world.by_eve(asked, {**body, **wrong}, partner)
            assert answer.status_code < 500
            assert secrets_in(f"{answer.text}{answer.headers}", *own) == []
    assert secrets_in(await world.everything_stored_for("eve"), *own) == []
    assert await theirs(world) == before


async def theirs(world: Strangers) -> list[Any]:
    """The two companies' orders and changes, as they are stored."""
    pool = world.world.pool
    return [await pool.fetch(f"SELECT * FROM {table} ORDER BY id")
            for table in ("orders", "order_changes")]  # fmt: skip


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
    hub = world.world.client._transport.app.state.hub  # type: ignore[attr-defined]
    for path, other in zip(there, nowhere, strict=True):
        answers: list[tuple[int, str, int]] = []
        for each in (path, other, path, other):  # The first two prepare statements.
            with counted([hub.pool, hub.reading.pool]) as statements:
                answer = await world.world.client.get(each, headers=headers)
            text = answer.text.replace(world.order_id, "").replace(NOWHERE, "")
            answers.append((answer.status_code, text, len(statements)))
        assert answers[2] == answers[3]
        assert answers[2][0] == 404
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
        await held.execute("SELECT FROM orders FOR UPDATE")
        await held.execute("SELECT FROM order_changes FOR UPDATE")
        for asked in COMMANDS:
            for body in asked_in_vain(world, asked):
                record = world.pipe.record(
                    asked.name, body, topic=asked.base, origin="eve", partner="acme"
                )
                [answered] = await world.pipe.process(record)
                told = await world.by_eve(asked, body)
                statuses = (answered["value"]["http_status"], told.status_code)
                assert statuses == ((404, 404) if OF_A_ROW & set(_names(body)) else (200, 200))


OF_A_ROW = {"id", "order_id"}


def _names(body: Mapping[str, Any]) -> list[str]:
    return [*body, *(body["order"] or {})]


def asked_in_vain(world: Strangers, asked: Operation) -> Iterator[dict[str, Any]]:
    """A stranger's bodies that name an order, or a change of it, in each way there is."""
    for order_id in (world.order_id, world.requested_id):
        yield body_of(asked, {"order_id": order_id})
    for number in (NUMBER, GIVEN_NUMBER):
        yield from bodies_by_number(asked, number)
    if asked in SETTLING:
        for change_id in world.change_ids.values():
            yield {"id": change_id, "order": None}
