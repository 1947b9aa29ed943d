"""One delivery as it is seen afterwards: step by step, by both companies, and on its timeline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.cli.demo.checks import differences, told
from services.cli.demo.stage import Stage
from services.cli.demo.trade import NORTH, ORIGIN
from services.cli.demo.trips import Step, Trip

# What order/get answers, as the document lists it (R089), and the caller's own view (K08).
_MEMBERS = frozenset(
    {
        *("_id", "status", "failed_at_step", "progression_state", "trip_status", "eta"),
        *("delivery_eta", "assigned_to", "hauled_by", "hauled_by_id", "hauled_for"),
        *("hauled_for_id", "units", "routing", "origin_order", "master_order"),
        *("destination_order", "created_at", "updated_at", "order"),
    }
)
_PAPERS = (("bols", "bol"), ("executed_drops", "executed_drop"), ("bol_photos", "bol_photo"))

Document = Mapping[str, Any]


def table_of_the_way(stage: Stage, trip: Trip, ways: list[str]) -> None:
    """Each step as it was said and as it was read."""
    rows = []
    for step, way in zip(trip.steps, ways, strict=True):
        read = stage.ways.told[step.command_id].document
        said, found = _said(step), _read(step.member, read[step.member])
        rows.append((str(read["sequence"]), way, said, found))
    columns = ("", "told by", f"{stage.name(NORTH)} says", f"{stage.name(ORIGIN)} reads")
    stage.tell.table(columns, rows)


async def both_read_it(stage: Stage, trip: Trip) -> str:
    """order/get by both sides, in full; the order's id."""
    tell, number = stage.tell, trip.order.number
    found = {slug: await _get(stage, slug, number) for slug in (NORTH, ORIGIN)}
    theirs, ours = found[NORTH], found[ORIGIN]
    tell.check(
        f"order/get answers both with all {len(_MEMBERS)} members",
        all(document.keys() == _MEMBERS for document in found.values()),
        str([sorted(document.keys() ^ _MEMBERS) for document in found.values()]),
    )
    apart = [name for name in _MEMBERS - {"order"} if theirs[name] != ours[name]]
    tell.check(
        "they differ in `order`, which speaks to each in its own ids, and in nothing else",
        not apart and theirs["order"] != ours["order"],
        str(apart),
    )
    tell.table(
        (f"order/get of {number}", stage.name(NORTH), stage.name(ORIGIN)),
        [
            *((name, _plain(theirs[name]), _plain(ours[name])) for name in _SHOWN),
            *(
                (f"order.{name}", *(_paper(d["order"][name], member) for d in (theirs, ours)))
                for name, member in _PAPERS
            ),
        ],
    )
    wrong = _unlike(trip, ours)
    tell.check("every paper is in it, as it was told", not wrong, "; ".join(wrong))
    state = (ours["progression_state"], ours["trip_status"])
    tell.check("the order is complete", state == ("Complete", "complete"), str(state))
    return str(ours["_id"])


async def what_happened(stage: Stage, order_id: str, trip: Trip) -> None:
    """The timeline as the sender of the order sees it: its own commands, and what it was sent."""
    tell = stage.tell
    answer = await stage.upstream.client.get(
        f"/v1/order/{order_id}/timeline", headers={"X-API-Key": stage.key}
    )
    items = answer.json()["items"]
    tell.say(f"Its timeline, as {stage.name(ORIGIN)} sees it (GET /v1/order/{order_id}/timeline):")
    tell.table(
        ("at", "by", "what", ""),
        [
            (_clock(item["at"]), item["by"], item["kind"], _happened(item))
            for item in items
            if item["kind"] != "log"
        ],
    )
    records = [item["detail"] for item in items if item["kind"] == "record"]
    mine = [each["sequence"] for each in records if each["to"] == stage.name(ORIGIN)]
    tell.check(
        f"the timeline has its {len(mine)} records in sequence, each acknowledged by the broker",
        mine == list(range(1, len(trip.steps) + 1))
        and {each["state"] for each in records} == {"acknowledged"},
        str(records),
    )


_SHOWN = ("status", "progression_state", "trip_status", "eta", "assigned_to", "hauled_by")


async def _get(stage: Stage, slug: str, number: str) -> dict[str, Any]:
    answer = await stage.upstream.client.post(
        "/v1/order/get",
        json={"order": {"order_number": number}},
        headers={"X-API-Key": stage.keys[slug]},
    )
    if answer.status_code != 200:
        stage.tell.check(f"{slug} gets {number}", False, answer.text[:500])
    found: dict[str, Any] = answer.json()
    return found


def _unlike(trip: Trip, document: Document) -> list[str]:
    """Where the papers of the order are not what was told of them."""
    wrong = []
    for name, member in _PAPERS:
        wanted = [step.wanted for step in trip.steps if step.member == member]
        read = [told(member, paper) for paper in document["order"][name]]
        wrong += differences(wanted, read, name)
    return wrong


def _said(step: Step) -> str:
    """A step in few words, from its body."""
    body = step.body
    if step.member == "status_update":
        places = [body[name]["source_id"] for name in ("location", "site") if body.get(name)]
        return _at(body["progress_status"], places)
    if step.member == "bol_photo":
        return str(body["file_name"])
    [line] = body["details"]
    product = line["product"]["source_id"]
    if step.member == "bol":
        return f"{body['bol_number']}: {line['net_volume']} of {product}"
    return f"{line['quantity']} of {product} into {line['tank']['tank_id']}"


def _read(member: str, said: Document) -> str:
    """The same from what was read."""
    if member == "status_update":
        given = [said[name] for name in ("location", "site") if said[name]]
        places = [f"{key['source_id']} ({key['source_name']})" for key in given]
        return _at(said["progress_status"], places)
    if member == "bol_photo":
        return f"{said['file_name']} ({said['size']:,} bytes)"
    return _paper_line(said)


def _at(word: str, places: list[str]) -> str:
    return f"{word} at {', '.join(places)}" if places else word


def _paper(papers: list[Document], member: str) -> str:
    if member == "bol_photo":
        return ", ".join(str(paper["file_name"]) for paper in papers)
    return ", ".join(_paper_line(paper) for paper in papers)


def _paper_line(paper: Document) -> str:
    [line] = paper["details"]
    product = line["product"]["source_id"]
    if "bol_number" in paper:
        return f"{paper['bol_number']}: {line['net_volume']} of {product}"
    return f"{line['quantity']} of {product} into {line['tank']['tank_id']}"


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


def _clock(moment: str) -> str:
    return datetime.fromisoformat(moment).strftime("%H:%M:%S.%f")[:-3]


def _happened(item: Document) -> str:
    """A line of the timeline in few words."""
    detail = item["detail"]
    if item["kind"] == "record":
        kind = detail["type"].removeprefix("crossroads.order.").removesuffix(".v1")
        return f"{kind}, number {detail['sequence']} to {detail['to']}: {detail['state']}"
    words = (detail.get(name) for name in ("operation", "outcome", "message"))
    return " ".join(str(word) for word in words if word)
