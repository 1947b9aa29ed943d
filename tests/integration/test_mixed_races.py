"""Two commands at the same moment, on two connections or over two gateways: one result each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson
import psutil
import pytest

from schemas.topics import ORDERS
from services.kit.cloudevents import Record
from services.kit.settings import Settings
from tests.integration.gateway_world import gateway
from tests.integration.gateway_world import trading as over_http
from tests.integration.hub import (
    BY_HAUL,
    LATE_PRODUCT,
    Hub,
    all_well,
    held_open,
    late_drops,
    mapping,
    order,
    results,
    started,
    syncs,
    trading,
    waits_for_a_lock,
)
from tests.integration.test_gateway_process import key, ready, running
from tests.integration.test_gateway_whole import records

CHANGES = "crossroads.changes"
# More than a lane gives to one turn.
FULL = 250
VANISHING = 30


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[Hub]:
    async with trading(fresh_database) as opened:
        yield opened


def propose(world: Hub, command_id: str, by: Mapping[str, Any] = BY_HAUL) -> Record:
    body = {"order": {"order_number": "A1"}, "note": command_id}
    return world.record("change.propose", body, command_id=command_id, topic=CHANGES, **by)


def told(out: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str | None]]:
    """How each command ended; none of them twice."""
    finals = [each for each in results(out) if each["outcome"] in ("done", "refused", "failed")]
    assert max(Counter(each["command_id"] for each in finals).values(), default=1) == 1, finals
    return {each["command_id"]: (each["outcome"], each["code"]) for each in finals}


def sent(out: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """(receiver, type, sequence) of the sync records."""
    return [
        (
            each["headers"]["ce_desttenant"],
            each["headers"]["ce_type"].removeprefix("crossroads.").removesuffix(".v1"),
            each["headers"]["ce_sequence"],
        )
        for each in syncs(out)
    ]


async def at_once(world: Hub, first: Record, second: Record) -> list[dict[str, Any]]:
    """What both cause; the second is processed while the first is not committed yet."""
    before = await world.pool.fetchval("SELECT coalesce(max(id), 0) FROM outbox")
    async with held_open(world, first) as commit:
        task = started(world.process(second))
        await waits_for_a_lock(world, task)
        commit()
        await task
    return await world.outgoing(before)


DONE = ("done", None)


async def test_both_sides_cancel_a_sent_order_at_once_and_the_other_is_told_once(
    world: Hub,
) -> None:
    """X08: with another reason it is no repeat; the first counts."""
    await world.process(world.create("A1", "create"))
    theirs = world.cancel("A1", "two", reason_code="haul", **BY_HAUL)
    out = await at_once(world, world.cancel("A1", "one", reason_code="acme"), theirs)
    assert told(out) == {"one": DONE, "two": ("refused", "request.order_canceled")}
    assert sent(out) == [("haul", "order.canceled", "2")]
    await all_well(world)


@pytest.mark.parametrize("first", ["complete", "propose"])
async def test_x01_of_a_proposal_and_a_complete_at_once_nothing_stays_pending(
    world: Hub, first: str
) -> None:
    await world.process(world.create("A1", "create"))
    complete = world.status("A1", "complete", progress_status="complete", location=...)
    records = [complete, propose(world, "propose")]
    if first == "propose":
        records.reverse()
    out = await at_once(world, *records)
    late = ("refused", "request.order_already_complete")
    assert told(out) == {"complete": DONE, "propose": DONE if first == "propose" else late}
    pending = "SELECT count(*) FROM order_changes WHERE status = 'requested'"
    assert await world.pool.fetchval(pending) == 0
    await all_well(world)


@pytest.mark.parametrize("first", ["receipt", "status"])
async def test_race_a_a_receipts_number_and_who_waits_for_it_see_each_other(
    world: Hub, first: str
) -> None:
    """K42: a number assigned by the destination wakes what waited for it."""
    await world.process(world.create("A1", "create"))
    receipt = world.receipt("A1", "receipt", "received", destination_order_number="H-1")
    records = [receipt, world.status("H-1", "status")]
    if first == "status":
        records.reverse()
    await at_once(world, *records)
    await world.drain()
    found = told(await world.outgoing())
    assert (found["receipt"], found["status"]) == (DONE, DONE)
    await all_well(world)


@pytest.mark.parametrize("first", ["receipt", "accept"])
async def test_a_receipt_and_an_acceptance_do_not_give_one_number_at_once(
    world: Hub, first: str
) -> None:
    """X06, X07: numbers are the pair's, whichever way they are given."""
    await world.process(world.create("A1", "sent"))
    await world.reference("pair", {"origin": "acme", "destination": "haul", "acceptance": "manual"})
    await world.process(world.create("A2", "requested"))
    records = {
        "receipt": world.receipt("A1", "receipt", "received", destination_order_number="H-1"),
        "accept": world.accept("A2", "accept", "H-1"),
    }
    [second] = set(records) - {first}
    out = await at_once(world, records[first], records[second])
    found = told(out)
    assert (found[first], found[second]) == (DONE, ("refused", "request.order_number_taken"))
    assert ("requested" in found) == (first == "accept"), "a refused acceptance sends nothing"
    found = told(await world.process(world.accept("A2", "again", "H-2")))
    again = DONE if first == "receipt" else ("refused", "request.order_not_requested")
    assert found["again"] == again
    await all_well(world)


async def test_a_full_lane_behind_a_gap_ends_with_its_order_and_nothing_is_sent(
    world: Hub,
) -> None:
    """X08: the create and every command of the lane are refused once, over several turns."""
    statuses = [world.status("A1", f"status {at}") for at in range(FULL)]
    await world.process(world.create("A1", "create", drops=late_drops()), *statuses)
    await world.process(world.cancel("A1", "cancel"))
    # The mapping comes all the same, and must wake nobody.
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    await world.drain()
    out = await world.outgoing()
    found = told(out)
    assert (found.pop("cancel"), found.pop("create")) == (DONE, ("refused", "order.canceled"))
    ends = [found[f"status {at}"] for at in range(FULL)]
    assert set(ends) == {("refused", "order.canceled")}
    assert sent(out) == []
    await all_well(world)


async def test_a_cancel_between_two_turns_of_a_full_lane_lets_nothing_follow(world: Hub) -> None:
    """X05, X08: what had its turn is told before the cancel, the rest is refused."""
    statuses = [world.status("A1", f"status {at}") for at in range(FULL)]
    await world.process(world.create("A1", "create", drops=late_drops()), *statuses)
    await world.reference("mapping", mapping(*LATE_PRODUCT, prefix="o"))
    assert await world.lanes._step()
    early = await world.process(world.cancel("A1", "cancel", **BY_HAUL))
    assert sent(early)[-1][:2] == ("acme", "order.canceled")
    await world.drain()
    out = await world.outgoing()
    found, to_acme = told(out), [each for each in sent(out) if each[0] == "acme"]
    done = [at for at in range(FULL) if found[f"status {at}"] == DONE]
    assert (found["create"], found["cancel"], done) == (DONE, DONE, list(range(len(done))))
    assert 0 < len(done) < FULL
    assert {found[f"status {at}"] for at in range(len(done), FULL)} == {
        ("refused", "order.canceled")
    }
    assert [int(each[2]) for each in to_acme] == list(range(1, len(done) + 2))
    assert to_acme[-1][1] == "order.canceled"
    await all_well(world)


async def test_over_two_gateways_one_key_at_once_is_one_order_and_one_answer(
    fresh_database: str,
) -> None:
    """K32: byte for byte, whichever of the two was quicker."""
    async with (
        over_http(fresh_database) as trade,
        gateway(fresh_database, pipe=trade.pipe) as other,
    ):
        other.broker.offsets = trade.world.broker.offsets  # type: ignore[attr-defined]

        async def ask(number: int) -> tuple[bytes, bytes]:
            said = {"partner": "haul", "Idempotency_Key": f"k-{number}", "Prefer": "wait=30"}
            found = await asyncio.gather(
                *(
                    each.ask(trade.acme, "order/create", order(f"A{number}"), **said)
                    for each in (trade.world, other)
                )
            )
            assert [each.status_code for each in found] == [200, 200], found[0].text
            return found[0].content, found[1].content

        answers = await asyncio.gather(*(ask(number) for number in range(8)))
        assert all(one == two for one, two in answers)
        assert len({one for one, _ in answers}) == 8
        assert await trade.pipe.pool.fetchval("SELECT count(*) FROM orders") == 8
        await all_well(trade.pipe)


async def test_over_two_gateways_one_key_for_two_requests_at_once_is_one_order(
    fresh_database: str,
) -> None:
    """K32: the other one is told that the key is another request's."""
    async with (
        over_http(fresh_database) as trade,
        gateway(fresh_database, pipe=trade.pipe) as other,
    ):
        other.broker.offsets = trade.world.broker.offsets  # type: ignore[attr-defined]
        found = await asyncio.gather(
            *(
                each.ask(
                    trade.acme,
                    "order/create",
                    order(number),
                    partner="haul",
                    Idempotency_Key="one key",
                    Prefer="wait=30",
                )
                for each, number in ((trade.world, "A1"), (other, "A2"))
            )
        )
        refused, done = sorted(found, key=lambda each: -each.status_code)
        assert (done.status_code, refused.status_code) == (200, 422), refused.text
        assert refused.json()["code"] == "request.idempotency_key_reused"
        numbers = await trade.pipe.pool.fetch("SELECT origin_number FROM orders")
        assert [row[0] for row in numbers] == [done.json()["order"]["origin_order_number"]]
        await all_well(trade.pipe)


async def test_a_caller_that_left_has_its_command_done_and_nothing_waits_for_it(
    fresh_database: str,
) -> None:
    """X11: the answer is there for whoever asks with the key again."""
    async with over_http(fresh_database) as trade:
        broker, board = trade.world.broker, trade.world.board
        broker.keep = True  # type: ignore[attr-defined]
        said = {"partner": "haul", "Idempotency_Key": "k-1", "Prefer": "wait=60"}
        asked = started(trade.world.ask(trade.acme, "order/create", order("A1"), **said))
        await broker.arrived.wait()
        async with asyncio.timeout(10):
            while not len(board):
                await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert len(board) == 0
        broker.keep = False  # type: ignore[attr-defined]
        await broker.publish()  # type: ignore[attr-defined]
        again = await trade.world.ask(trade.acme, "order/create", order("A1"), **said)
        assert (again.status_code, again.json()["status"]) == (200, "synced")
        assert await trade.pipe.pool.fetchval("SELECT count(*) FROM orders") == 1
        await all_well(trade.pipe)


async def test_callers_that_vanish_leave_their_commands_and_no_connection(
    fresh_database: str, kafka: str
) -> None:
    """Of the real process: every command is on the topic, and nothing is held for the callers."""
    settings = Settings(database_url=fresh_database, kafka_bootstrap_servers=kafka)
    headers = {**await key(fresh_database), "Prefer": "wait=60"}
    async with (
        records(settings, ORDERS) as topic,
        running(fresh_database, kafka) as process,
        process.client() as client,
    ):
        await ready(client)
        found = psutil.Process(process.process.pid)

        def callers() -> int:
            held = found.net_connections("tcp4")
            return sum(
                each.laddr.port == process.port and each.status != psutil.CONN_LISTEN
                for each in held
            )

        before = callers()
        writers = []
        for at in range(VANISHING):
            _, writer = await asyncio.open_connection("127.0.0.1", process.port)
            writer.write(_request(headers, orjson.dumps(order(f"A{at}"))))
            writers.append(writer)
        async with asyncio.timeout(20):
            there = {(await topic.getone()).key for _ in range(VANISHING)}
        assert there == {f"A{at}".encode() for at in range(VANISHING)}
        assert callers() == before + VANISHING
        for writer in writers:
            writer.transport.abort()
        async with asyncio.timeout(20):
            while callers() > before:
                await asyncio.sleep(0.01)
        assert (await client.get("/readyz")).status_code == 200


def _request(headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [
        "POST /v1/order/create HTTP/1.1",
        "Host: gateway",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
