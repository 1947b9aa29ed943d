"""How companies deal with one order: who says what, what it is answered, and who reads of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.cli.demo.checks import differences, received
from services.cli.demo.day import DayOrder
from services.cli.demo.opening import delivered
from services.cli.demo.reading import Seen
from services.cli.demo.sending import Command, path_of
from services.cli.demo.stage import Stage
from services.cli.demo.trade import ORIGIN

KAFKA, HTTP = "Kafka", "HTTP"

Body = dict[str, Any]


@dataclass(slots=True)
class Dealing:
    """What is said of one order between its two companies; `rows` is how it is told."""

    stage: Stage
    order: DayOrder
    rows: list[list[str]] = field(default_factory=list)

    async def begin(self) -> None:
        """The order is sent on its sender's own topic, and read by its destination."""
        await self.stage.upstream.order(self.order)
        self.row(ORIGIN, "sends the order", KAFKA, "done")
        await self.created()

    async def created(self) -> None:
        """The destination has the order, as it was meant, and it counts as delivered."""
        stage, order = self.stage, self.order
        stage.orders[order.command_id] = order
        await delivered(stage, order)
        seen = stage.deliveries.orders[order.destination, order.number]
        self._is_read(order.destination, "order.created", seen)

    def row(self, who: str, text: str, way: str, answered: str) -> None:
        """A line of the table: what was said, and what it was answered."""
        self.rows.append([self.stage.name(who), f"{text} ({way})", answered, ""])

    def _is_read(self, who: str, kind: str, seen: Seen) -> None:
        """The last line's record, beside others of it."""
        told = f"{self.stage.name(who)}: {kind}, number {seen.document['sequence']}"
        self.rows[-1][-1] = "; ".join(filter(None, (self.rows[-1][-1], told)))

    async def says(
        self,
        who: str,
        way: str,
        operation: str,
        text: str,
        *,
        code: str | None = None,
        **members: Any,
    ) -> Body:
        """One command of `who`, by either way; its result, which must be done, or have this code.

        Without members that name an order or a change it is about the order by its sender's number.
        Over HTTP the answer must be what stands on the results topic.
        """
        stage, order = self.stage, self.order
        if "order" not in members and "id" not in members:
            members["order"] = {"order_number": order.number}
        partner = order.destination if who == ORIGIN else ORIGIN
        command = Command(
            who,
            partner,
            operation,
            f"{order.command_id}-{len(self.rows):02}",
            order.number,
            members,
        )
        wanted = "done" if code is None else "refused"
        stage.dealt[command.id] = (who, operation, wanted)
        if way == HTTP:
            answer = await stage.upstream.request(command, stage.keys[who])
            result = await self.result(who, command.id)
            same = (answer.status_code, answer.json()) == (result["http_status"], result["body"])
            if not same:
                stage.tell.check(f"{operation} is answered as its result is", False, answer.text)
        else:
            await stage.upstream.record(command)
            result = await self.result(who, command.id)
        answered = "done" if code is None else f"{result['http_status']} {code}"
        if (result["outcome"], result["code"]) != (wanted, code):
            stage.tell.check(f"{text}: {answered}", False, str(result))
        self.row(who, text, way, answered)
        return result

    async def result(self, who: str, command_id: str) -> Body:
        """The final result of a command, when it is there."""
        book = self.stage.answers_of(who)

        def there() -> bool:
            book.read_on()
            return command_id in book.final

        await self.stage.watch.until(there, f"{command_id} is answered")
        found: Body = book.final[command_id].document
        return found

    async def reads(self, who: str, kind: str, result: Body | str) -> Body:
        """What `who` reads of a command, given its result or id, as this type."""
        stage = self.stage
        cause = result if isinstance(result, str) else str(result["command_id"])
        key = (who, cause, f"crossroads.{kind}.v1")

        def there() -> bool:
            stage.read_on()
            return key in stage.told_to(who)

        await stage.watch.until(there, f"{stage.name(who)} reads {kind} of {cause}")
        stage.heard.add(key)
        seen: Seen = stage.told_to(who)[key]
        self._is_read(who, kind, seen)
        document: Body = seen.document
        return document

    async def got(self, who: str, number: str | None = None) -> Body:
        """order/get by one side."""
        answer = await self.stage.upstream.client.post(
            "/v1/order/get",
            json={"order": {"order_number": number or self.order.number}},
            headers={"X-API-Key": self.stage.keys[who]},
        )
        if answer.status_code != 200:
            self.stage.tell.check(f"{who} gets {number}", False, answer.text[:500])
        found: Body = answer.json()
        return found

    def reads_order(self, order: Mapping[str, Any], what: str) -> None:
        """Check that this is the order as it must be read by now, in its destination's ids."""
        wrong = differences(self.order.wanted, received(order))
        if wrong:
            self.stage.tell.check(what, False, "; ".join(wrong))


def table(stage: Stage, *dealings: Dealing) -> None:
    """What was said and read, a line each; of several orders each line names its own."""
    columns = ["", "says", "is answered", "and it is read by"]
    if len(dealings) == 1:
        stage.tell.table(columns, dealings[0].rows)
        return
    named = [[each.order.number, *row] for each in dealings for row in each.rows]
    stage.tell.table(["order", *columns], named)


def quote(stage: Stage, operation: str, body: Body) -> None:
    """A command as curl sends it."""
    said = json.dumps(body, ensure_ascii=False)
    stage.tell.quote(f"curl {stage.line['http']}{path_of(operation)} … \\\n  --json '{said}'")
