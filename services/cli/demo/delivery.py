"""One delivery as its driver tells it: before its order, on the way, its papers, and the end."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from services.cli.demo.checks import differences, told
from services.cli.demo.delivery_seen import both_read_it, table_of_the_way, what_happened
from services.cli.demo.opening import delivered, expect, plain_order
from services.cli.demo.picture import drawn_picture
from services.cli.demo.sending import path_of
from services.cli.demo.stage import Stage
from services.cli.demo.trade import NORTH, ORIGIN, SOUTH
from services.cli.demo.trips import Pen, Step, Trip, picture_read

_NUMBER = "PF-HELLO-3"
_BILL = "BOL-4711"
_NOTE = "both pages, smudged by rain"


@dataclass(slots=True)
class Delivery:
    """The one delivery; `ways` says how each step was told."""

    stage: Stage
    trip: Trip
    pen: Pen
    ways: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The hauler's credential."""
        return self.stage.keys[NORTH]

    async def by_topic(self) -> None:
        """Tell the step that was written last on the hauler's own topic, and await its end."""
        step = self.written("Kafka")
        await self.stage.upstream.steps(NORTH, _NUMBER, [step])
        await self.read(step)

    async def by_http(self) -> None:
        """The same over HTTP."""
        step = self.written("HTTP")
        answer = await self.stage.upstream.http_step(step, self.key)
        if answer.status_code != 200 or answer.json()["status"] != "synced":
            expect(self.stage, answer, 200, "synced", step.body.get("progress_status", step.member))
        await self.read(step)

    async def read(self, step: Step) -> dict[str, Any]:
        """Wait until the orders' sender has read a step; it must be what was meant."""
        stage = self.stage

        def there() -> bool:
            stage.read_on()
            final = stage.haulers[NORTH].final
            return step.command_id in stage.ways.told and step.command_id in final

        await stage.watch.until(there, f"{step.command_id} is told")
        found: dict[str, Any] = stage.ways.told[step.command_id].document
        wrong = differences(step.wanted, told(step.member, found[step.member]))
        if wrong:
            stage.tell.check(f"{step.command_id} is what was said", False, "; ".join(wrong))
        return found

    async def final(self, command_id: str) -> Mapping[str, Any]:
        """The final result of a command of the hauler's."""
        answers = self.stage.haulers[NORTH]

        def there() -> bool:
            answers.read_on()
            return command_id in answers.final

        await self.stage.watch.until(there, f"{command_id} is answered")
        result: Mapping[str, Any] = answers.final[command_id].document
        return result

    def written(self, way: str) -> Step:
        """The step that was written last, which is told this way."""
        self.ways.append(way)
        return self.trip.steps[-1]


async def a_delivery(stage: Stage) -> None:
    """Statuses and papers by both ways, an early status, a picture, the end, and what both read."""
    stage.tell.act("A delivery, as its driver tells it")
    order = plain_order(stage, _NUMBER)
    rng = random.Random(_NUMBER)  # noqa: S311 - a story, not a secret
    pen = Pen(stage.trade, rng, order, decimals=(9,))
    delivery = Delivery(stage, Trip(order, pen.steps, 1, False, "complete"), pen)
    await _before_its_order(delivery)
    await _on_the_way(delivery)
    await _the_picture(delivery)
    await _the_end(delivery)
    stage.trips.append(delivery.trip)
    table_of_the_way(stage, delivery.trip, delivery.ways)
    stage.tell.check(
        f"{stage.name(ORIGIN)} has read all {len(delivery.trip.steps)} in its own ids, in sequence",
        [stage.ways.told[s.command_id].document["sequence"] for s in delivery.trip.steps]
        == list(range(1, len(delivery.trip.steps) + 1)),
    )
    order_id = await both_read_it(stage, delivery.trip)
    await what_happened(stage, order_id, delivery.trip)


async def _before_its_order(delivery: Delivery) -> None:
    """K42: a number that nobody has given yet is waited for."""
    stage, tell, order = delivery.stage, delivery.stage.tell, delivery.trip.order
    delivery.pen.status("assigned")
    step = delivery.written("Kafka, before its order")
    await stage.upstream.steps(NORTH, _NUMBER, [step])
    answers = stage.haulers[NORTH]

    def waits() -> bool:
        answers.read_on()
        return step.command_id in answers.waiting

    await stage.watch.until(waits, "the early status waits")
    waiting = answers.waiting[step.command_id].document
    tell.say(f"{stage.name(NORTH)} has assigned a driver to {_NUMBER}; the order itself is late:")
    tell.quote(f"{waiting['body']['status']}: {waiting['body']['message']}")
    tell.check(
        f"a status before its order is no error; it waits ({waiting['code']})",
        waiting["code"] == "lane.order_unknown",
        str(waiting),
    )
    stage.orders[order.command_id] = order
    await stage.upstream.order(order)
    await delivered(stage, order)
    found = await delivery.read(step)
    tell.check(
        f"{stage.name(ORIGIN)} sends the order, and the status follows it by itself, as record"
        f" {found['sequence']} of the order on crossroads.sync.{ORIGIN}",
        found["sequence"] == 1,
    )


async def _on_the_way(delivery: Delivery) -> None:
    """Either way is the same operation: an order's way may be told by both in turn."""
    pen = delivery.pen
    pen.status("arrived_at_load")
    tell, step = delivery.stage.tell, delivery.trip.steps[-1]
    tell.say("From here on by HTTP and by Kafka in turn; what is said is the same:")
    tell.quote(_curl(delivery.stage, step))
    await delivery.by_http()
    pen.status("completed_load")
    await delivery.by_topic()
    pen.bill(_BILL)
    await delivery.by_http()
    pen.status("arrived_at_drop")
    await delivery.by_topic()


async def _the_picture(delivery: Delivery) -> None:
    """X09: a form, bytes that come back as they were, and nobody else sees them."""
    stage, tell = delivery.stage, delivery.stage.tell
    content = drawn_picture(_NUMBER.encode())
    names = {"bol_number": _BILL, "file_name": "lieferschein-größe-A5.png", "note": _NOTE}
    command_id = f"{delivery.trip.order.command_id}-picture"
    step = Step(
        command_id, "order.save-bol-image", "bol_photo", names, picture_read(content, names)
    )
    delivery.trip.steps.append(step)
    delivery.ways.append("HTTP, a form")
    answer = await stage.upstream.http_picture(_NUMBER, step, content, delivery.key)
    tell.quote(
        f"curl {stage.line['http']}{path_of(step.operation)} … \\\n"
        f"  -F order_number={_NUMBER} -F bol_number={_BILL} -F 'note={_NOTE}' \\\n"
        f"  -F file=@{names['file_name']}"
    )
    expect(stage, answer, 200, "synced", "the driver's picture of the bill")
    blob_id = (await delivery.read(step))["bol_photo"]["blob_id"]
    read = await _blob(stage, blob_id, ORIGIN)
    tell.check(
        f"{stage.name(ORIGIN)} reads it back: {len(read.content):,} bytes, each as it was sent",
        (read.status_code, read.content) == (200, content),
        f"It was {read.status_code}",
    )
    other = await _blob(stage, blob_id, SOUTH)
    tell.check(
        f"for {stage.name(SOUTH)}, who has no part in the order, there is no such picture: 404",
        other.status_code == 404,
        f"It was {other.status_code}",
    )


async def _the_end(delivery: Delivery) -> None:
    """K26, K33: after `complete` no status but itself, and papers still."""
    stage, tell, pen = delivery.stage, delivery.stage.tell, delivery.pen
    pen.complete()
    await delivery.by_topic()
    end = delivery.trip.steps[-1]
    again = Step(f"{end.command_id}-again", end.operation, end.member, end.body, end.wanted)
    place = delivery.trip.steps[0].body["location"]
    body = {**end.body, "progress_status": "dropping", "location": place}
    late = Step(f"{end.command_id}-late", end.operation, end.member, body, {})
    await stage.upstream.steps(NORTH, _NUMBER, [again, late])
    first, second = await delivery.final(again.command_id), await delivery.final(late.command_id)
    tell.check(
        "`complete` a second time is done, and nobody is told again",
        first["outcome"] == "done" and again.command_id not in stage.ways.told,
        str(first),
    )
    tell.check(
        f"any other status after it is refused: {second['body'].get('detail')}",
        (second["outcome"], second["code"]) == ("refused", "request.order_already_complete"),
        str(second),
    )
    stage.refused.add(late.command_id)
    stage.untold.add(again.command_id)
    pen.drop(delivery.trip.order.places[0].site)
    await delivery.by_http()
    tell.check("papers are still taken: what was dropped is told after the end", holds=True)


async def _blob(stage: Stage, blob_id: str, tenant: str) -> httpx.Response:
    headers = {"X-API-Key": stage.keys[tenant]}
    return await stage.upstream.client.get(f"/v1/blobs/{blob_id}", headers=headers)


def _curl(stage: Stage, step: Step) -> str:
    said = {name: value for name, value in step.body.items() if value is not None}
    return (
        f"curl {stage.line['http']}{path_of(step.operation)} \\\n"
        f"  -H 'X-API-Key: …' -H 'X-Dest-Tenant-Name: {ORIGIN}' \\\n"
        f"  --json '{json.dumps(said, ensure_ascii=False)}'"
    )
