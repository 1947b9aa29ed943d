"""Commands that look at the broker: topics, dead letters, lag, doctor and its one decision."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from typer.testing import Result

from schemas.topics import DEAD_LETTER, tenant_topics
from services.cli import letters
from services.cli.logs_of_topics import Logs, logs_of
from services.kit.kafka import cluster_id
from services.kit.placement import LogEnds
from services.kit.settings import load_settings
from tests.integration.conftest import Invoke
from tests.integration.hub import hub


@pytest.fixture
def invoke(invoke: Invoke, kafka: str, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """With the broker."""
    monkeypatch.setenv("CROSSROADS_KAFKA_BOOTSTRAP_SERVERS", kafka)
    return invoke


def said(done: Result, code: int = 0) -> Any:
    assert done.exit_code == code, done.stderr
    return orjson.loads(done.stdout)


async def produce(
    kafka: str, topic: str, values: Sequence[bytes], headers: Sequence[tuple[str, bytes]] = ()
) -> None:
    """Records on partition 0 of `topic`, all in one batch."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=50)
    await producer.start()
    try:
        sent = [
            await producer.send(topic, value, partition=0, headers=list(headers))
            for value in values
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def add_tenant(dsn: str, slug: str, partitions: int) -> None:
    body = {
        "slug": slug,
        "name": f"{slug} Fuels",
        "partitions": partitions,
        "systems": [{"name": "tms"}],
    }
    async with hub(dsn) as opened:
        command_id = f"{slug}-{partitions}"
        await opened.process(opened.record("reference.upsert-tenant", body, command_id=command_id))


async def test_topics_of_the_catalogue_and_of_every_tenant_are_made_once(
    fresh_database: str, slug: str, invoke: Invoke
) -> None:
    await add_tenant(fresh_database, slug, 2)
    wanted = {topic.name for topic in tenant_topics(slug)}
    lacking = said(await invoke("topics", "diff", "--json"), 1)["differences"]
    assert wanted <= {each["topic"] for each in lacking}
    made = said(await invoke("topics", "apply", "--json"))
    assert wanted <= set(made["created"])
    assert made["refused"] == {}
    assert said(await invoke("topics", "apply", "--json")) == {"created": [], "refused": {}}
    settings = load_settings()
    ends = (await logs_of(settings, ["crossroads.orders"])).ends
    assert len([each for each in ends if each.topic == f"crossroads.orders.{slug}"]) == 2
    lacking = said(await invoke("topics", "diff", "--json"), 0)["differences"]
    assert lacking == []


async def test_a_partition_count_that_differs_is_told_and_left_as_it_is(
    fresh_database: str, slug: str, invoke: Invoke
) -> None:
    await add_tenant(fresh_database, slug, 2)
    await invoke("topics", "apply")
    # As if the topics had been made by hand, with another count than the upsert says.
    connection = await asyncpg.connect(fresh_database)
    await connection.execute("UPDATE tenants SET partitions = 5")
    await connection.close()
    assert said(await invoke("topics", "apply", "--json"))["created"] == []
    found = said(await invoke("topics", "diff", "--json"), 1)["differences"]
    mine = [each for each in found if each["topic"].endswith(slug)]
    assert {(each["setting"], each["wanted"], each["found"]) for each in mine} == {
        ("partitions", "5", "2")
    }
    assert len(mine) == len(tenant_topics(slug))


async def test_an_empty_dead_letter_topic_is_an_empty_list(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = {TopicPartition(DEAD_LETTER, 0): LogEnds(0, 0)}

    async def nothing(*_: object) -> Logs:
        return Logs("cluster", empty)

    monkeypatch.setattr(letters, "logs_of", nothing)
    assert said(await invoke("dead-letters", "list", "--json")) == {"items": []}
    assert (await invoke("dead-letters", "list")).exit_code == 0


async def test_dead_letters_are_listed_newest_first_and_shown_as_they_are(
    kafka: str, slug: str, invoke: Invoke
) -> None:
    await invoke("topics", "apply")
    about = [("x-dead-letter-reason", slug.encode()), ("ce_id", b"one")]
    await produce(kafka, DEAD_LETTER, [b"\x1b[2Jfirst", b"\xff\xfe", b"third"], about)
    other = [("x-dead-letter-reason", b"other")]
    await produce(kafka, DEAD_LETTER, [b"another"], other)
    found = said(await invoke("dead-letters", "list", "--reason", slug, "--json"))["items"]
    assert [each["bytes"] for each in found] == [5, 2, 9]
    assert {each["command_id"] for each in found} == {"one"}
    listed = said(await invoke("dead-letters", "list", "--limit", "1", "--json"))["items"]
    assert [each["reason"] for each in listed] == ["other"]
    first = said(await invoke("dead-letters", "show", found[2]["id"], "--json"))
    assert (first["value"], first["value_base64"]) == ("\x1b[2Jfirst", None)
    second = said(await invoke("dead-letters", "show", found[1]["id"], "--json"))
    assert (second["value"], second["value_base64"]) == (None, "//4=")
    shown = await invoke("dead-letters", "show", found[2]["id"])
    assert "\\x1b[2Jfirst" in shown.stdout
    assert "\x1b" not in shown.stdout
    later = await invoke(
        "dead-letters", "list", "--reason", slug, "--since", "2100-01-01", "--json"
    )
    assert said(later)["items"] == []
    assert (await invoke("dead-letters", "show", "0/999999")).exit_code == 1
    assert (await invoke("dead-letters", "show", "99/0")).exit_code == 1


async def test_the_lag_counts_every_record_of_a_batch_that_nobody_has_read(
    kafka: str, slug: str, fresh_database: str, invoke: Invoke
) -> None:
    """The embedded broker lists less than it holds when a batch has several records."""
    await add_tenant(fresh_database, slug, 1)
    await invoke("topics", "apply")
    before = said(await invoke("status", "--json"))
    assert set(before) == {"processes", "lag", "gaps", "outbox"}
    assert before["processes"] == {}
    assert before["outbox"] > 0, "the tenant's result"
    await produce(kafka, f"crossroads.progress.{slug}", [b"1", b"2", b"3", b"4"])
    assert said(await invoke("status", "--json"))["lag"] == before["lag"] + 4


async def marked(dsn: str, cluster: str, topic: str, offset: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "INSERT INTO stream_positions VALUES ($1, 'crossroads.order-intake', $2, 0, $3)",
            cluster,
            topic,
            offset,
        )
    finally:
        await connection.close()


async def test_doctor_finds_what_is_wrong_and_says_what_to_do(
    kafka: str, slug: str, fresh_database: str, invoke: Invoke
) -> None:
    await add_tenant(fresh_database, slug, 1)
    found = said(await invoke("doctor", "--json"), 1)
    assert found["healthy"] is False
    by_check = {each["check"]: each for each in found["findings"]}
    assert by_check["topics"]["remedy"] == "crossroads topics apply"
    assert {"schema", "clock", "books", "parked", "lanes", "faults"} <= set(by_check)
    await invoke("topics", "apply")
    assert said(await invoke("doctor", "--json"))["healthy"] is True
    topic = f"crossroads.orders.{slug}"
    await produce(kafka, topic, [b"1", b"2", b"3"])
    cluster = await cluster_id(load_settings())
    await marked(fresh_database, cluster, topic, 3)
    assert said(await invoke("doctor", "--json"))["healthy"] is True, "a batch of three ends at 3"
    await marked(fresh_database, "an-earlier-broker", topic, 77)
    connection = await asyncpg.connect(fresh_database)
    await connection.execute("UPDATE stream_positions SET next_offset = 4 WHERE next_offset = 3")
    await connection.execute("INSERT INTO lane_repairs (order_id) VALUES ('x')")
    await connection.close()
    found = said(await invoke("doctor", "--json"), 1)["findings"]
    wrong = {each["check"] for each in found if each["state"] == "problem"}
    assert wrong == {"positions", "lanes", "books"}
    assert "an-earlier-broker" in str(found)


async def test_a_loss_is_accepted_by_an_operator_alone_and_written_down(
    kafka: str, slug: str, fresh_database: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_tenant(fresh_database, slug, 1)
    await invoke("topics", "apply")
    topic = f"crossroads.orders.{slug}"
    await produce(kafka, topic, [b"1", b"2"])
    decide = ("doctor", "accept-loss", topic, "0", "--reason", "retention was too short", "--json")
    done = await invoke(*decide)
    assert done.exit_code == 1
    assert "No group" in done.stderr
    await marked(fresh_database, await cluster_id(load_settings()), topic, 0)
    done = await invoke(*decide)
    assert done.exit_code == 1
    assert "Nothing is lost" in done.stderr
    # A log that begins later is what retention leaves; the brokers here keep everything.
    await _pretend_log_start(monkeypatch, TopicPartition(topic, 0), 1)
    told = said(await invoke(*decide))
    assert (told["from"], told["to"], told["lost"]) == (0, 1, 1)
    connection = await asyncpg.connect(fresh_database)
    entry = await connection.fetchval("SELECT entry FROM log_entries WHERE tenant_id = 'operator'")
    mark = await connection.fetchval("SELECT next_offset FROM stream_positions")
    await connection.close()
    assert mark == 1
    assert "retention was too short" in entry
    assert (await invoke(*decide)).exit_code == 1


async def _pretend_log_start(
    monkeypatch: pytest.MonkeyPatch, partition: TopicPartition, start: int
) -> None:
    from services.cli import logs_of_topics  # noqa: PLC0415
    from services.kit.placement import LogEnds  # noqa: PLC0415

    real = await logs_of_topics.input_logs(load_settings())
    ends = {**real.ends, partition: LogEnds(start, real.ends[partition].end)}

    async def shorter(_: Any) -> logs_of_topics.Logs:
        return logs_of_topics.Logs(real.cluster_id, ends)

    monkeypatch.setattr(logs_of_topics, "input_logs", shorter)


async def test_a_broker_that_is_away_is_told_in_a_line(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSROADS_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    started = time.monotonic()
    for arguments in (["topics", "apply"], ["status"], ["dead-letters", "list"]):
        done = await invoke(*arguments)
        assert done.exit_code == 1, arguments
        assert "The broker does not answer" in done.stderr
        assert "Traceback" not in done.stderr
    assert time.monotonic() - started < 60
    found = said(await invoke("doctor", "--json"), 1)["findings"]
    away = {each["check"] for each in found if each["state"] == "problem"}
    assert away == {"topics", "positions"}
