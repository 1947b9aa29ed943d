"""What becomes of an order at its destination, and before: acceptance, receipts, cancels."""

from __future__ import annotations

from services.cli.demo.dealing import HTTP, KAFKA, Dealing, table
from services.cli.demo.opening import expect, plain_order
from services.cli.demo.stage import Stage
from services.cli.demo.trade import CAREFUL, LATE_SUPPLIER, NORTH, ORIGIN

_REQUESTED = "order.requested"


async def accepted_by_hand(stage: Stage) -> None:
    """X06: an order is asked for first; accepted it is sent, rejected it never is."""
    tell, careful = stage.tell, stage.name(CAREFUL)
    tell.act(f"{careful} looks at each order before taking it")
    tell.say(
        "Its pair asks for acceptance by hand: an order is sent as `requested`, and as `created`"
        " only when it is accepted."
    )
    taken = Dealing(stage, plain_order(stage, "PF-ASK-1", destination=CAREFUL))
    order = taken.order
    answer = await stage.upstream.http_order(
        order.body, stage.key, destination=CAREFUL, command_id=order.command_id
    )
    expect(stage, answer, 200, "requested", "an order for it, over HTTP")
    taken.row(ORIGIN, "sends an order", HTTP, "200 requested")
    asked = await taken.reads(CAREFUL, _REQUESTED, order.command_id)
    taken.reads_order(asked["order"], "what is asked for is the order")
    await _waits(taken, "request.manual_acceptance")
    done = await taken.says(
        CAREFUL, KAFKA, "order.request-accept", "accepts it", destination_order_number="LT-501"
    )
    receipt = (await taken.reads(ORIGIN, "order.accepted", done))["receipt"]
    await taken.created()
    create = await taken.result(ORIGIN, order.command_id)
    found = await taken.got(CAREFUL, "LT-501")
    tell.check(
        f"accepted as {receipt['destination_order_number']}: it is sent, its create is done, and"
        f" {careful} finds it by its own number",
        (create["outcome"], found["status"]) == ("done", "synced")
        and receipt["destination_order_number"] == "LT-501"
        and found["order"]["origin_order_number"] == order.number,
        f"{create} {receipt}",
    )
    left = Dealing(stage, plain_order(stage, "PF-ASK-2", destination=CAREFUL))
    await stage.upstream.order(left.order)
    left.row(ORIGIN, "sends another", KAFKA, "requested")
    await left.reads(CAREFUL, _REQUESTED, left.order.command_id)
    done = await left.says(
        CAREFUL, HTTP, "order.request-reject", "rejects it", reason_code="no-truck"
    )
    await left.reads(ORIGIN, "order.rejected", done)
    await _ends_refused(left, "order.rejected")
    table(stage, taken, left)


async def receipts(stage: Stage) -> None:
    """X07: what the destination's system makes of an order that it was sent."""
    tell = stage.tell
    tell.act(f"{stage.name(NORTH)}'s system answers what it was sent")
    tell.say(
        "A sent order is answered by a receipt: taken under a number of its own, refused, or not"
        " understood."
    )
    said = (
        ("received", KAFKA, "it is NH-88001", {"destination_order_number": "NH-88001"}, "synced"),
        ("rejected", HTTP, "no, on hold", {"reason_code": "credit", "message": "On hold."}, None),
        ("failed", KAFKA, "it cannot be read here", {"message": "No such tank."}, "error"),
    )
    dealings = []
    for at, (status, way, text, members, state) in enumerate(said, 1):
        dealing = Dealing(stage, plain_order(stage, f"PF-RECEIPT-{at}"))
        dealings.append(dealing)
        await dealing.begin()
        done = await dealing.says(
            NORTH, way, "order.receipt", f"{status}: {text}", status=status, **members
        )
        read = (await dealing.reads(ORIGIN, f"order.{status}", done))["receipt"]
        found = await dealing.got(ORIGIN)
        wanted = (state or status, "synced" if status == "failed" else None)
        tell.check(
            f"{dealing.order.number}, receipt `{status}`: {stage.name(ORIGIN)} reads it, and"
            f" order/get says {found['status']}",
            (found["status"], found["failed_at_step"]) == wanted
            and {**read, **members, "status": status} == read,
            f"{read} {found['status']} {found['failed_at_step']}",
        )
    table(stage, *dealings)
    found = await dealings[0].got(NORTH, "NH-88001")
    tell.check(
        "the number it gave finds the order, and so does the sender's",
        found == await dealings[0].got(NORTH),
    )


async def cancels(stage: Stage) -> None:
    """X08: before an order was sent nobody else hears of it; after that the other side does."""
    tell = stage.tell
    tell.act("Orders are canceled, before they were sent and after")
    early = Dealing(stage, plain_order(stage, "PF-CANCEL-1", supplier=LATE_SUPPLIER))
    await stage.upstream.order(early.order)
    early.row(ORIGIN, "sends the order", KAFKA, "waits: mapping.gap")
    await _waits(early, "mapping.gap")
    await early.says(ORIGIN, KAFKA, "order.cancel", "cancels what waits", reason_code="weather")
    for row in early.rows:
        row[-1] = "nobody"
    await _ends_refused(early, "order.canceled")
    told = [early]
    for number, who, other, way, reason in (
        ("PF-CANCEL-2", ORIGIN, NORTH, HTTP, "weather"),
        ("PF-CANCEL-3", NORTH, ORIGIN, KAFKA, "no-truck"),
    ):
        dealing = Dealing(stage, plain_order(stage, number))
        told.append(dealing)
        await dealing.begin()
        done = await dealing.says(
            who, way, "order.cancel", "cancels what was sent", reason_code=reason
        )
        read = await dealing.reads(other, "order.canceled", done)
        found = await dealing.got(other)
        tell.check(
            f"{stage.name(who)} cancels {number}, and {stage.name(other)} reads why: {reason}",
            (read["cancellation"]["reason_code"], found["status"]) == (reason, "canceled"),
            f"{read} {found['status']}",
        )
    table(stage, *told)


async def _waits(dealing: Dealing, code: str) -> None:
    """The create is answered by what it waits for."""
    stage, command_id = dealing.stage, dealing.order.command_id

    def there() -> bool:
        stage.read_on()
        return command_id in stage.answers.waiting

    await stage.watch.until(there, f"{command_id} is said to wait")
    said = stage.answers.waiting[command_id].document
    status = said["body"]["status"]
    stage.tell.check(
        f"{dealing.order.number} waits: {status} ({code})", said["code"] == code, str(said)
    )


async def _ends_refused(dealing: Dealing, code: str) -> None:
    """The create of an order that is never sent ends refused."""
    stage, order = dealing.stage, dealing.order
    stage.dealt[order.command_id] = (ORIGIN, "order.create", "refused")
    create = await dealing.result(ORIGIN, order.command_id)
    stage.tell.check(
        f"the create of {order.number} ends refused ({code}): {create['body']['detail']}",
        (create["outcome"], create["code"]) == ("refused", code) and not stage.arrived(order),
        str(create),
    )
