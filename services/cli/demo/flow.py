"""The dispatcher's day: orders flow, processes are killed, mappings are missing and arrive."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable, Sequence, Sized

import httpx

from services.cli.demo import driving
from services.cli.demo.broken import BrokenRecord
from services.cli.demo.day import TANK_WAYS, DayOrder
from services.cli.demo.sending import HONEST, ReferenceItem
from services.cli.demo.stage import Stage
from services.cli.demo.trade import LATE

_PATIENCE_SECONDS = 180.0
_SHOWN = {
    "several-drops": "several drops",
    **{way: f"a tank by {way}" for way in TANK_WAYS},
    "blend": "a blend",
    "named-terminal": "a named terminal",
    "unnamed-terminal": "any terminal",
    "daylight-saving": "a window across a change of clocks",
    "two-names": "a site with two names",
}

Requests = list[asyncio.Task[httpx.Response]]


async def the_day(stage: Stage) -> driving.Calls:
    """All is sent; order-intake, the relay and status-update are killed while it flows.

    The drivers' calls that are still under way.
    """
    day, tell = stage.day, stage.tell
    size = len(day.records)
    tell.act(f"A dispatcher's day: {size} records drawn from seed {day.seed}")
    tell.say(", ".join(f"{day.share(f):.0%} {text}" for f, text in _SHOWN.items()))
    late = [order for order in day.orders if order.late]
    tell.say(
        f"{len(late)} orders need a mapping that is not there, {len(day.broken)} records are"
        f" broken, {len(day.repeats)} are sent twice, {sum(o.by_http for o in day.orders)} come"
        " over HTTP"
    )
    stage.orders.update({order.command_id: order for order in day.orders})
    third = size // 3
    stage.trips += stage.day_trips
    await driving.send_early(stage)
    requests = await _send(stage, day.records[:third])
    await _kill_when(stage, "order-intake", stage.answers.final, within=third)
    requests += await _send(stage, [*day.records[third : 2 * third], *day.repeats])
    before = len(stage.answers.final)
    await stage.watch.until(
        lambda: _grown(stage, before), "order-intake decides again", seconds=_PATIENCE_SECONDS
    )
    tell.check("order-intake was started again and goes on where it was", holds=True)
    requests += await _send(stage, day.records[2 * third :])
    await _kill_when(stage, "relay", stage.deliveries.orders, within=size - 2 * third)
    tell.say(f"Meanwhile {len(stage.day_trips)} drivers tell how far they are")
    calls = await driving.send_ways(stage)
    await _kill_when(stage, "status-update", stage.ways.told, within=len(stage.day_trips))
    await _settle(stage, late)
    await _check_requests(stage, requests)
    return calls


async def _send(stage: Stage, records: Sequence[DayOrder | BrokenRecord]) -> Requests:
    """What goes by topic is acknowledged when this returns; what goes over HTTP is under way."""
    over_http = [r for r in records if isinstance(r, DayOrder) and r.by_http]
    by_topic = [r for r in records if isinstance(r, BrokenRecord) or not r.by_http]
    positions = await stage.upstream.records(by_topic)
    for record, position in zip(by_topic, positions, strict=True):
        if isinstance(record, BrokenRecord):
            stage.broken[position] = record
    return [
        asyncio.create_task(
            stage.upstream.http_order(
                order.body,
                stage.key,
                destination=order.destination,
                command_id=order.command_id,
                patient=False,
            )
        )
        for order in over_http
    ]


async def _kill_when(stage: Stage, name: str, book: Sized, *, within: int) -> None:
    """Kill -9 as soon as the book has grown by a few entries of those to come."""
    few = len(book) + max(within // 20, 1)

    def begun() -> bool:
        stage.read_on()
        return len(book) >= few

    await stage.watch.until(begun, f"{name} is at work", seconds=_PATIENCE_SECONDS)
    pid = stage.line["processes"][name][0]
    os.kill(pid, signal.SIGKILL)
    stage.tell.say(f"kill -9 {pid}: {name} dies, {len(book)} entries into its work")
    stage.summary.setdefault("killed", []).append(name)


def _grown(stage: Stage, before: int) -> bool:
    stage.read_on()
    return len(stage.answers.final) > before


async def _settle(stage: Stage, late: Sequence[DayOrder]) -> None:
    """Wait until every order has either arrived or is said to wait."""
    ready = [order for order in stage.day.orders if not order.late]

    def done() -> int:
        stage.read_on()
        return sum(
            order.command_id in stage.answers.final
            and (order.destination, order.number) in stage.deliveries.orders
            for order in ready
        )

    def settled() -> bool:
        waiting = stage.answers.waiting.keys() | stage.answers.final.keys()
        return done() == len(ready) and all(order.command_id in waiting for order in late)

    with stage.tell.progress("orders delivered", len(ready)) as advance:
        await stage.watch.until(
            settled,
            "every order arrives or waits for its mapping",
            seconds=_PATIENCE_SECONDS,
            tick=lambda: advance(done()),
        )


async def _check_requests(stage: Stage, requests: Requests) -> None:
    answers = await asyncio.gather(*requests)
    wrong = [
        f"{a.status_code} {a.text[:300]}"
        for a in answers
        if a.status_code != 200 or a.json()["status"] not in HONEST
    ]
    pending = sum(a.json()["status"] == "pending" for a in answers if a.status_code == 200)
    stage.tell.check(
        f"all {len(answers)} HTTP requests were accepted ({pending} heard `pending`, for a process"
        " was dead)",
        not wrong,
        "; ".join(wrong[:3]),
    )


async def a_mapping_is_missing(stage: Stage) -> None:
    """Exactly the orders wait that need what is missing; one mapping lets exactly its own go on."""
    tell = stage.tell
    tell.act("A missing mapping holds the orders that need it, and nobody else")
    late = [order for order in stage.day.orders if order.late]
    ready = [order for order in stage.day.orders if not order.late]
    gone = [order for order in late if stage.arrived(order)]
    codes = {stage.answers.waiting[o.command_id].document["code"] for o in late}
    tell.check(
        f"{len(ready)} orders have gone to their destinations; of the {len(late)} that need a"
        " missing mapping none has",
        not gone and codes <= {"mapping.gap"},
        f"Gone: {[order.number for order in gone][:5]}; codes: {codes}",
    )
    held = {order.command_id for order in late}
    others = {command for command in stage.answers.waiting if command not in held}
    others = {c for c in others if c not in stage.answers.final}
    tell.check("nobody else waits", not others, str(sorted(others)[:5]))
    tell.table(
        ("missing", "on the side of", "orders that wait"),
        [
            (text, stage.name(slug), sum(kind in order.late for order in late))
            for kind, (slug, text) in LATE.items()
        ],
    )
    await _show_one(stage, late[0])
    await _mapping_arrives(stage, ["supplier"], late)
    await _mapping_arrives(stage, [kind for kind in LATE if kind != "supplier"], late)


async def _show_one(stage: Stage, order: DayOrder) -> None:
    answer = await stage.upstream.client.post(
        "/v1/order/get",
        json={"order_number": order.number},
        headers={"X-API-Key": stage.key},
    )
    found = answer.json()
    stage.tell.check(
        f"order/get says of {order.number}: {found.get('status')}",
        answer.status_code == 200 and found["failed_at_step"] == found["status"],
        answer.text[:500],
    )
    message = stage.answers.waiting[order.command_id].document["body"]["message"]
    stage.tell.quote(message)


async def _mapping_arrives(stage: Stage, kinds: Sequence[str], late: Iterable[DayOrder]) -> None:
    """Each company maps its own: most by their topic, one over HTTP."""
    mappings = stage.trade.late()
    for kind in kinds:
        slug = LATE[kind][0]
        item = ReferenceItem("mappings", mappings[kind])
        if kind == "terminal":
            answer = await stage.upstream.client.post(
                "/v1/reference/mappings",
                json={"items": [item.body]},
                headers={"X-API-Key": stage.key},
            )
            stage.tell.check(
                f"{stage.name(slug)} maps {LATE[kind][1]}, over HTTP",
                answer.status_code == 200 and answer.json()["items"][0]["outcome"] == "done",
                answer.text[:500],
            )
        else:
            await stage.upstream.reference([item], f"late-{kind}", tenant=slug)
            topic = f"crossroads.reference.{slug}"
            stage.tell.say(f"{stage.name(slug)} maps {LATE[kind][1]}, on {topic}")
    late = list(late)
    freed = [o for o in late if not stage.arrived(o) and _is_mapped(stage, o, kinds)]
    numbers = {order.number for order in freed}
    ways = [trip for trip in stage.day_trips if trip.order.number in numbers]
    await stage.watch.until(
        lambda: all(stage.arrived(order) for order in freed) and driving.all_told(stage, ways),
        "the orders that waited go on, and what was said of them",
        seconds=_PATIENCE_SECONDS,
    )
    stage.summary["mapped"] = [*stage.summary.get("mapped", []), *kinds]
    held = [order for order in late if order.late - set(stage.summary["mapped"])]
    wrong = [order.number for order in held if stage.arrived(order)]
    stage.tell.check(
        f"{len(freed)} orders went on by themselves, {len(held)} still wait for something else",
        not wrong,
        f"These went too early: {wrong[:5]}",
    )
    steps = sum(len(trip.steps) for trip in ways)
    driving.check_told(stage, ways, f"{steps} statuses and papers went on behind them")


def _is_mapped(stage: Stage, order: DayOrder, kinds: Sequence[str]) -> bool:
    return order.late <= {*stage.summary.get("mapped", []), *kinds}
