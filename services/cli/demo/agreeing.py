"""Two companies change an order: applied, proposed, accepted, rejected, listed (X01-X04)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

from services.cli.demo.dealing import HTTP, KAFKA, Body, Dealing, quote, table
from services.cli.demo.opening import SITE, plain_order
from services.cli.demo.stage import Stage
from services.cli.demo.trade import NORTH, ORIGIN, SOUTH

_NUMBER = "PF-CHANGE-1"
_ROWS = ("internal_order", "partner_order", "gravitate_order")


async def an_order_changes(stage: Stage) -> None:
    """Updates, proposals and what becomes of each, by both ways and both sides; then the list."""
    stage.tell.act("An order changes, and both companies agree on it")
    sent = plain_order(stage, _NUMBER)
    # What must be read changes with the order; what was sent stays what it was.
    dealing = Dealing(stage, sent)
    await dealing.begin()
    stage.tell.say(
        f"{stage.name(NORTH)} has {_NUMBER}. What {stage.name(ORIGIN)} changes is applied and sent"
        " at once; what the hauler wants changed is proposed, and its partner decides."
    )
    dealing.order = replace(sent, wanted=deepcopy(sent.wanted))
    await _updated(dealing)
    await _accepted(dealing)
    await _superseded(dealing)
    await _stale(dealing)
    table(stage, dealing)
    await _as_agreed(dealing)
    await _listed(dealing)


async def _updated(dealing: Dealing) -> None:
    """X01: the sender's updates are applied at once, and sent."""
    wanted = dealing.order.wanted
    drops = [{**dealing.order.body["drops"][0], "volume": 6800}]
    body = {"order": {"order_number": _NUMBER}, "note": "Gate 4", "drops": drops}
    quote(dealing.stage, "order.update", body)
    done = await dealing.says(
        ORIGIN, HTTP, "order.update", "a new note, 6,800 gallons", note="Gate 4", drops=drops
    )
    wanted["note"], wanted["drops"][0]["volume"] = "Gate 4", 6800
    _has_types(dealing, await _read_update(dealing, done), {"note_change", "volume_change"})
    window = {"start": "2026-11-01T07:30:00Z", "end": "2026-11-01T12:30:00Z"}
    zone = "America/Chicago"
    done = await dealing.says(
        ORIGIN,
        KAFKA,
        "order.update",
        "two hours later",
        delivery_window={**window, "timezone": zone},
    )
    wanted["window"] = [*window.values(), zone]
    _has_types(dealing, await _read_update(dealing, done), {"delivery_window_change"})


async def _read_update(dealing: Dealing, done: Body) -> list[Body]:
    told = await dealing.reads(NORTH, "order.updated", done)
    dealing.reads_order(told["order"], "the update is read as it was meant")
    changes: list[Body] = told["changes"]
    return changes


def _has_types(dealing: Dealing, changes: list[Body], types: set[str]) -> None:
    found = {change["type"] for change in changes}
    if found != types:
        dealing.stage.tell.check(f"the update changes {types}", False, str(found))


async def _accepted(dealing: Dealing) -> None:
    """The destination's update becomes a proposal; accepted, it is what both have."""
    stage = dealing.stage
    done = await dealing.says(
        NORTH, HTTP, "order.update", "7,000 gallons fit", drops=_their_drops(dealing, 7000)
    )
    told = await _proposed(dealing, done)
    [change] = told["changes"]
    stage.tell.check(
        f"{stage.name(NORTH)} updates, and {stage.name(ORIGIN)} is asked: {change['field']}"
        f" {change['from']:,} → {change['to']:,}",
        (change["field"], change["from"], change["to"]) == ("volume", 6800, 7000),
        str(told),
    )
    named = {"origin_order_number": _NUMBER}
    done = await dealing.says(ORIGIN, KAFKA, "change.accept", "accepts it", order=named)
    dealing.order.wanted["drops"][0]["volume"] = 7000
    read = await dealing.reads(NORTH, "change.accepted", done)
    dealing.reads_order(read["order"], "what was accepted is the order")
    row = done["body"]["order_row"]
    stage.tell.check(
        "it is accepted; the answer shows the order as a row of either system, and of the hub",
        read["change"]["status"] == "synced"
        and row.keys() == set(_ROWS)
        and {row[name]["id"] for name in _ROWS} == {read["order_id"]},
        str(row),
    )


async def _superseded(dealing: Dealing) -> None:
    """A new proposal takes the place of a pending one, visibly; its proposer may not accept it."""
    stage = dealing.stage
    done = await dealing.says(NORTH, KAFKA, "change.propose", "not before seven", note="After 7")
    first = await _proposed(dealing, done)
    done = await dealing.says(NORTH, HTTP, "change.propose", "rather: after eight", note="After 8")
    gone = [await dealing.reads(who, "change.rejected", done) for who in (ORIGIN, NORTH)]
    second = await _proposed(dealing, done)
    stage.tell.check(
        "a second proposal supersedes the first, and both companies read so",
        {(g["change"]["id"], g["change"]["reason_code"]) for g in gone}
        == {(first["id"], "superseded")},
        str(gone),
    )
    await dealing.says(
        NORTH, HTTP, "change.accept", "accepts its own", code="change.not_yours", id=second["id"]
    )
    done = await dealing.says(
        ORIGIN, HTTP, "change.reject", "rejects it", id=second["id"], reason_code="no-room"
    )
    read = (await dealing.reads(NORTH, "change.rejected", done))["change"]
    stage.tell.check(
        f"{stage.name(ORIGIN)} rejects the second, and {stage.name(NORTH)} reads why:"
        f" {read['reason_code']}",
        (read["status"], read["reason_code"]) == ("rejected", "no-room"),
        str(read),
    )


async def _stale(dealing: Dealing) -> None:
    """X04: what was proposed of an order that was updated since is accepted by nobody."""
    stage = dealing.stage
    done = await dealing.says(NORTH, KAFKA, "change.propose", "two trucks", note="Two trucks")
    change = await _proposed(dealing, done)
    done = await dealing.says(ORIGIN, HTTP, "order.update", "a purchase order", po="PO-77")
    dealing.order.wanted["po"] = "PO-77"
    await _read_update(dealing, done)
    late = await dealing.says(
        ORIGIN, HTTP, "change.accept", "accepts too late", code="change.stale", id=change["id"]
    )
    stage.tell.check(
        f"an order that was updated since is not changed by an old proposal: {late['http_status']},"
        f" {late['body']['detail']}",
        late["http_status"] == 409,
        str(late),
    )
    done = await dealing.says(
        NORTH, KAFKA, "change.reject", "withdraws it", id=change["id"], reason_code="withdrawn"
    )
    for who in (ORIGIN, NORTH):
        read = await dealing.reads(who, "change.rejected", done)
        if read["change"]["reason_code"] != "withdrawn":
            stage.tell.check("a proposal is withdrawn", False, str(read))


async def _proposed(dealing: Dealing, done: Body) -> Body:
    """The proposal as the orders' sender reads it; the answer must have been told the same one."""
    told = await dealing.reads(ORIGIN, "change.proposed", done)
    change: Body = told["change"]
    if (change["id"], change["status"]) != (done["body"]["order_change"]["id"], "requested"):
        dealing.stage.tell.check("it is a proposal", False, f"{change} {done}")
    return change


async def _as_agreed(dealing: Dealing) -> None:
    stage = dealing.stage
    theirs, ours = await dealing.got(NORTH), await dealing.got(ORIGIN)
    dealing.reads_order(theirs["order"], "order/get is as agreed")
    stage.tell.check(
        "order/get answers both with what was agreed, and with nothing that was not",
        theirs["master_order"] == ours["master_order"]
        and (ours["order"]["note"], ours["order"]["po"]) == ("Gate 4", "PO-77")
        and ours["order"]["drops"][0]["volume"] == 7000,
        str(ours["order"]),
    )


async def _listed(dealing: Dealing) -> None:
    """X02: either side lists what was proposed; nobody else does."""
    stage = dealing.stage
    asked = {"order_numbers": [_NUMBER]}
    found = {who: await _all(stage, who, asked) for who in (ORIGIN, NORTH, SOUTH)}
    shown = found[ORIGIN]
    stage.tell.table(
        ("POST /v1/order/change/all", "proposed by", "status", "reason"),
        [
            (", ".join(c["change_types"]), c["proposed_by"], c["status"], c["reason_code"] or "")
            for c in shown
        ],
    )
    became = [(change["status"], change["reason_code"]) for change in shown]
    turned_down = ("withdrawn", "no-room", "superseded")
    stage.tell.check(
        f"the list has all {len(shown)} proposals, the newest first, for both companies",
        became == [*(("rejected", why) for why in turned_down), ("synced", None)]
        and [c["id"] for c in found[NORTH]] == [c["id"] for c in shown],
        str(became),
    )
    synced = await _all(stage, NORTH, {**asked, "status": "synced"})
    stage.tell.check(
        f"by status and type it finds the one that was accepted; {stage.name(SOUTH)} finds none",
        [c["change_types"] for c in synced] == [["volume_change"]] and not found[SOUTH],
        f"{synced} {found[SOUTH]}",
    )


async def _all(stage: Stage, who: str, asked: Body) -> list[Body]:
    answer = await stage.upstream.client.post(
        "/v1/order/change/all", json=asked, headers={"X-API-Key": stage.keys[who]}
    )
    if answer.status_code != 200:
        stage.tell.check("changes are listed", False, answer.text[:500])
    found: list[Body] = answer.json()["changes"]
    return found


def _their_drops(dealing: Dealing, volume: int) -> list[dict[str, Any]]:
    """The order's drop with another volume, in the words of its destination."""
    [drop] = dealing.order.wanted["drops"]
    [load] = drop["loads"]
    keys = {"terminal": load["terminals"][0], "supplier": load["suppliers"][0]}
    named: Body = {member: {"source_id": source_id} for member, source_id in keys.items()}
    site = dealing.stage.trade.words[NORTH].main(SITE).source_id
    return [
        {
            "site": {"source_id": site, "tank_id": drop["tank"]},
            "product": {"source_id": drop["product"]},
            "volume": volume,
            "loads": [{**named, "price_type": "rack"}],
        }
    ]
