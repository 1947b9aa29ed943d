"""The model of an order's course, and the ledger that judges by it, see what they are there for."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.acceptance.course import DONE, Course
from tests.acceptance.mixed_ledger import MixedLedger
from tests.acceptance.talk import Talk
from tests.acceptance.wire import Seen
from tests.acceptance.words import Companies

Records = list[Seen]


def seen(topic: str, n: str, value: Any, more: dict[str, str]) -> Seen:
    id_ = uuid.uuid5(uuid.NAMESPACE_URL, topic + n)
    headers = {"ce_id": str(id_), "ce_desttenant": topic.rpartition(".")[2], **more}
    encoded = tuple((name, each.encode()) for name, each in headers.items())
    return Seen(topic, 0, 0, b"key", json.dumps(value).encode(), encoded, 0.0)


def place(path: str, value: Any) -> Any:
    """A document in which this stands at that path."""
    for step in reversed(path.split(".")):
        value = [value] if step.isdigit() else {step: value}
    return value


def records_of(ledger: MixedLedger, course: Course) -> Records:
    """Everything a hub must have done with a course by its model."""
    found = []
    for side, wanted in course.wanted.items():
        for at, each in enumerate(wanted, 1):
            value = {} if each.reads is None else place(*each.reads)
            if each.type.endswith("created.v1"):
                value["order"]["drops"] = [_drop(drop) for drop in course.order.wanted]
            value["sequence"] = at
            more = {
                "ce_type": each.type,
                "ce_causationid": each.cause,
                "ce_sequence": str(at),
            }
            found.append(seen(f"crossroads.sync.{side}", f"{each.cause}-{at}", value, more))
    for said in (course.create(), *course.said):
        position = seen(ledger.inputs[0], said.id, {}, {"ce_id": said.id})
        found.append(replace(position, offset=len(found)))
        outcome, code = course.endings[said.id]
        value = {"command_id": said.id, "outcome": outcome, "http_status": 200, "code": code,
                 "body": {}}  # fmt: skip
        found.append(seen(f"crossroads.results.{said.by}", f"{said.id}-final", value, {}))
    return found


def _drop(wanted: dict[str, Any]) -> dict[str, Any]:
    site, tank = wanted["site"]
    return {
        "site": {"source_id": site, "tank_id": tank},
        "product": wanted["product"] and {"source_id": wanted["product"]},
        "volume": wanted["volume"],
        "loads": [
            {"terminal": {"source_id": one}, "supplier": other and {"source_id": other}}
            for one, other in wanted["loads"]
        ],
    }


def told_of(*, back: bool = False, at_once: bool = False) -> tuple[MixedLedger, Course, Talk]:
    """An order that is known; nothing was said of it yet."""
    talk = Talk(Companies(3, both_ways=True))
    ledger = MixedLedger(talk.companies)
    course = talk.course(back=back)
    ledger.follow(course, at_once=at_once)
    ledger.expect_create(course)
    course.created()
    return ledger, course, talk


def whole(*, at_once: bool = False) -> tuple[MixedLedger, Course, Records]:
    """A proposal that is superseded, one that is accepted, a bill, and the end."""
    ledger, course, talk = told_of(at_once=at_once)
    for operation, by in (
        ("change.propose", course.origin),
        ("change.propose", course.destination),
        ("change.accept", course.origin),
        ("order.save-bol", course.destination),
        ("order.update-status", course.destination),
        ("order.cancel", course.origin),
        ("order.save-bol", course.destination),
    ):
        said = talk.say(course, operation, by)
        ledger.expect_said(course, said, by_http=False)
        course.take(said)
    return ledger, course, records_of(ledger, course)


def judged(ledger: MixedLedger, records: Records) -> None:
    for record in records:
        ledger.take(record)
    ledger.check()


@pytest.mark.parametrize("at_once", [False, True])
def test_what_a_hub_must_do_is_found_right(at_once: bool) -> None:
    ledger, course, records = whole(at_once=at_once)
    judged(ledger, records)
    assert [each.type.split(".")[2] for each in course.wanted[course.origin]] == [
        "rejected", "proposed", "bol-saved", "status-updated",
    ]  # fmt: skip
    assert [each.type.split(".")[2] for each in course.wanted[course.destination]] == [
        "created", "proposed", "rejected", "accepted", "canceled",
    ]  # fmt: skip
    assert list(course.endings.values())[-1] == ("refused", "request.order_canceled")


def changed(record: Seen, name: str, value: str) -> Seen:
    headers = tuple((key, value.encode() if key == name else old) for key, old in record.headers)
    return replace(record, headers=headers)


def again(record: Seen) -> Seen:
    """The same, told anew."""
    return changed(record, "ce_id", str(uuid.uuid5(uuid.NAMESPACE_URL, "again")))


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda at: at.pop(2), "at place|was not told"),
        (lambda at: at.insert(3, at.pop(2)), "at place"),
        (lambda at: at.insert(2, again(at[2])), "at place"),
        (lambda at: at.insert(2, changed(at.pop(2), "ce_sequence", "7")), "7 at place 3"),
        (lambda at: at.insert(2, replace(at.pop(2), timestamp=7)), "after its final result"),
        (lambda at: at.pop(), "no final result"),
        (lambda at: at.append(again(at[-1])), "2 final results"),
        (lambda at: at.insert(4, replace(it := at.pop(4), value=it.value.replace(
            b'"volume": ', b'"volume": 1'))), "became"),
    ],
)  # fmt: skip
def test_each_fault_of_a_hub_is_seen(
    change: Callable[[Records], object], words: str, at_once: bool
) -> None:
    ledger, _, records = whole(at_once=at_once)
    change(records)
    with pytest.raises(AssertionError, match=words):
        judged(ledger, records)


def test_another_end_than_the_models_is_seen() -> None:
    ledger, _, records = whole()
    records[-1] = replace(records[-1], value=records[-1].value.replace(b"canceled", b"rejected"))
    with pytest.raises(AssertionError, match=r"not .*request\.order_canceled"):
        judged(ledger, records)


def test_what_is_told_after_the_end_of_an_order_said_all_at_once_is_seen() -> None:
    ledger, course, records = whole(at_once=True)
    syncs = [each for each in records if each.topic.endswith(f"sync.{course.destination}")]
    one, two = (records.index(each) for each in syncs[-2:])
    fourth, fifth = records[one], records[two]
    records[one] = changed(_sequence(fifth, 4), "ce_sequence", "4")
    records[two] = changed(_sequence(fourth, 5), "ce_sequence", "5")
    with pytest.raises(AssertionError, match="went on after its end"):
        judged(ledger, records)


def _sequence(record: Seen, number: int) -> Seen:
    return replace(record, value=json.dumps({**record.json, "sequence": number}).encode())


def test_x06_what_waits_for_acceptance_follows_it_and_a_rejection_refuses_it() -> None:
    for verb, end in (("accept", DONE), ("reject", ("refused", "order.rejected"))):
        _, course, talk = told_of(back=True)
        behind = talk.say(course, "order.save-bol")
        course.take(behind)
        assert course.endings == {}
        decision = talk.say(course, f"order.request-{verb}")
        course.take(decision)
        assert course.endings == {course.create_id: end, behind.id: end, decision.id: DONE}


def test_x04_an_update_makes_a_proposal_stale_and_nobody_accepts_his_own() -> None:
    _, course, talk = told_of()
    said = [
        talk.say(course, "change.propose", course.origin),
        talk.say(course, "change.accept", course.origin),
        talk.say(course, "order.update", course.origin),
        talk.say(course, "change.accept", course.destination),
    ]
    for each in said:
        course.take(each)
    codes = [course.endings[each.id][1] for each in said]
    assert codes == [None, "change.not_yours", None, "change.stale"]
