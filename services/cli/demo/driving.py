"""The drivers' side of the day: their statuses and papers flow while processes die."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256

import httpx

from services.cli.demo.checks import differences, told
from services.cli.demo.sending import HONEST
from services.cli.demo.stage import Stage
from services.cli.demo.trips import Step, Trip

_PATIENCE_SECONDS = 120.0
_LOOKED_AT = 12
_SHOWN = {
    "order.update-status": "statuses",
    "order.save-bol": "bills of lading",
    "order.save-drop": "executed drops",
    "order.save-bol-image": "pictures",
}
# What haulers hear of a step that cannot be told yet.
_WAITS = {"lane.order_unknown", "lane.behind"}

Calls = list[asyncio.Task[list[httpx.Response]]]


async def send_early(stage: Stage) -> None:
    """What drivers say before the dispatcher has sent their order."""
    await asyncio.gather(
        *(_by_topic(stage, trip, trip.steps[: trip.early]) for trip in stage.day_trips)
    )


async def send_ways(stage: Stage) -> Calls:
    """The rest: what goes by topic is acknowledged when this returns, the calls are under way."""
    await asyncio.gather(
        *(
            _by_topic(stage, trip, trip.steps[trip.early :])
            for trip in stage.day_trips
            if not trip.by_http
        )
    )
    return [asyncio.create_task(_by_http(stage, trip)) for trip in stage.day_trips if trip.by_http]


async def drivers_are_heard(stage: Stage, calls: Calls) -> None:
    """Every step of an order that was delivered is told, once, in sequence, as it was meant."""
    tell = stage.tell
    tell.act("The drivers of that day: statuses and papers, by Kafka and by HTTP")
    ready = [trip for trip in stage.day_trips if not trip.order.late]
    held = [trip for trip in stage.day_trips if trip.order.late]
    steps = sum(len(trip.steps) for trip in ready)
    counts = Counter(step.operation for trip in stage.day_trips for step in trip.steps)
    tell.say(
        f"{len(stage.day_trips)} drivers: "
        + ", ".join(f"{counts[name]} {word}" for name, word in _SHOWN.items())
        + f"; {sum(bool(trip.early) for trip in stage.day_trips)} of them spoke before their order"
        " was sent"
    )
    with tell.progress("told to the orders' sender", steps) as advance:
        await stage.watch.until(
            lambda: all_told(stage, ready) and _all_wait(stage, held),
            "every step of a delivered order is told, and every other one waits",
            seconds=_PATIENCE_SECONDS,
            tick=lambda: advance(sum(stage.told(trip) for trip in ready)),
        )
    check_told(stage, ready, f"all {steps} of delivered orders were told")
    await _check_calls(stage, calls)
    await _check_pictures(stage, ready)
    await _check_trips(stage, ready)
    _check_held(stage, held)


def check_told(stage: Stage, trips: Sequence[Trip], what: str) -> None:
    """Check that the steps of these ways were read in sequence and as they were meant."""
    wrong = [each for trip in trips for each in _misread(stage, trip)]
    stage.tell.check(
        f"{what}: in sequence, once, each as it was meant, in its reader's own ids",
        not wrong,
        _few(wrong),
    )


def all_told(stage: Stage, trips: Iterable[Trip]) -> bool:
    """Whether every step of these ways was answered to its hauler and read by the other side."""
    stage.read_on()
    return all(stage.told(trip) == len(trip.steps) for trip in trips)


def _all_wait(stage: Stage, trips: Iterable[Trip]) -> bool:
    return all(
        step.command_id in stage.haulers[trip.order.destination].waiting
        for trip in trips
        for step in trip.steps
    )


def _misread(stage: Stage, trip: Trip) -> list[str]:
    wrong = []
    for at, step in enumerate(trip.steps, 1):
        found = stage.ways.told[step.command_id].document
        if found["sequence"] != at:
            wrong.append(f"{step.command_id} is number {found['sequence']}, not {at}")
        unlike = differences(step.wanted, told(step.member, found[step.member]))
        wrong += [f"{step.command_id}: {each}" for each in unlike]
    return wrong


def _check_held(stage: Stage, held: Sequence[Trip]) -> None:
    """K42: a way waits behind its order's gap; nothing of it is told before the order."""
    steps = [(trip.order.destination, step) for trip in held for step in trip.steps]
    gone = [step.command_id for _, step in steps if step.command_id in stage.ways.told]
    waiting = [stage.haulers[slug].waiting.get(step.command_id) for slug, step in steps]
    codes = {None if each is None else each.document["code"] for each in waiting}
    stage.tell.check(
        f"{len(steps)} more are of {len(held)} orders that need a missing mapping: they wait"
        " in line behind their order, and nobody was told",
        not gone and codes <= _WAITS,
        f"told: {gone[:5]}; codes: {codes}",
    )


async def _check_calls(stage: Stage, calls: Calls) -> None:
    answers = [answer for of_trip in await asyncio.gather(*calls) for answer in of_trip]
    wrong = [
        f"{a.status_code} {a.text[:300]}"
        for a in answers
        if a.status_code != 200 or a.json()["status"] not in HONEST
    ]
    stage.tell.check(f"all {len(answers)} HTTP requests were accepted", not wrong, _few(wrong))


async def _check_pictures(stage: Stage, trips: Sequence[Trip]) -> None:
    """The bytes as the orders' sender fetches them are the ones whose digest it was told."""
    photos = [
        stage.ways.told[step.command_id].document["bol_photo"]
        for trip in trips
        for step in trip.steps
        if step.member == "bol_photo"
    ]
    headers = {"X-API-Key": stage.key}
    wrong = []
    for photo in photos:
        answer = await stage.upstream.client.get(f"/v1/blobs/{photo['blob_id']}", headers=headers)
        if sha256(answer.content).hexdigest() != photo["sha256"]:
            wrong.append(f"{photo['file_name']}: {answer.status_code}")
    stage.tell.check(f"the orders' sender has fetched all {len(photos)} pictures", not wrong)


async def _check_trips(stage: Stage, trips: Sequence[Trip]) -> None:
    """K26: an order stands at its newest status, also where an older one came after it."""
    wrong = []
    looked_at = sorted(trips, key=_ends_newest)[:_LOOKED_AT]
    for trip in looked_at:
        answer = await stage.upstream.client.post(
            "/v1/order/get",
            json={"order_number": trip.order.number},
            headers={"X-API-Key": stage.keys[trip.order.destination]},
        )
        if (found := answer.json().get("trip_status")) != trip.newest:
            wrong.append(f"{trip.order.number}: {found}, not {trip.newest}")
    late = sum(not _ends_newest(trip) for trip in looked_at)
    stage.tell.check(
        f"order/get shows {len(looked_at)} of the trips where they are, {late} of them although an"
        " older status came last",
        not wrong,
        _few(wrong),
    )


def _ends_newest(trip: Trip) -> bool:
    """Whether the status that was told last is also the newest."""
    said = [step for step in trip.steps if step.member == "status_update"]
    return bool(said[-1].body["progress_status"] == trip.newest)


async def _by_topic(stage: Stage, trip: Trip, steps: Sequence[Step]) -> None:
    await stage.upstream.steps(trip.order.destination, trip.order.number, steps)


async def _by_http(stage: Stage, trip: Trip) -> list[httpx.Response]:
    """One after the other: what is acknowledged first comes first."""
    key = stage.keys[trip.order.destination]
    return [await stage.upstream.http_step(step, key, patient=False) for step in trip.steps]


def _few(wrong: Sequence[str]) -> str:
    return "; ".join(wrong[:3])
