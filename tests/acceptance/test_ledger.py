"""The ledger sees what it is there to see: each fault of a hub, made by hand."""

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.acceptance.ledger import Expected, Ledger
from tests.acceptance.wire import Seen
from tests.acceptance.words import Companies

Records = list[Seen]


def result(ledger: Ledger, offset: int, outcome: str, n: str, code: str | None = None) -> Seen:
    (expected,) = ledger.expected.values()
    value = {"command_id": expected.id, "outcome": outcome, "http_status": 200, "code": code,
             "body": {"n": 1}}  # fmt: skip
    return seen(ledger.results[0], offset, n, value, key=b"key")


def seen(topic: str, offset: int, n: str, value: Any, *, key: bytes, more: Any = ()) -> Seen:
    headers = (
        ("ce_id", str(uuid.uuid5(uuid.NAMESPACE_URL, n)).encode()),
        ("ce_desttenant", topic.rpartition(".")[2].encode()),
        *more,
    )
    return Seen(topic, 0, offset, key, json.dumps(value).encode(), headers, 0.0)


def whole() -> tuple[Ledger, Records]:
    """One order and one broken record, and everything a hub must have done with them."""
    ledger = Ledger(Companies(1))
    order = ledger.companies.order()
    ledger.expect(Expected(order.command_id, "done", None, 0.0, order, late=True))
    broken = f"{ledger.companies.tag}-broken-0".encode()
    ledger.broken[broken] = "not-json"
    command = Seen(ledger.inputs[1], 0, 0, b"key", order.body,
                   (("ce_id", order.command_id.encode()),), 0.0)  # fmt: skip
    bad = Seen(ledger.inputs[1], 0, 1, broken, b"{", (), 0.0)
    drops = [
        {
            "site": {"source_id": each["site"][0], "tank_id": each["site"][1]},
            "product": each["product"] and {"source_id": each["product"]},
            "volume": each["volume"],
            "loads": [
                {
                    "terminal": {"source_id": terminal},
                    "supplier": supplier and {"source_id": supplier},
                }
                for terminal, supplier in each["loads"]
            ],
        }
        for each in order.wanted
    ]
    value = {"order_id": "f" * 24, "sequence": 1,
             "order": {"origin_order_number": order.number, "drops": drops}}  # fmt: skip
    sync = seen(ledger.sync, 0, "sync", value, key=b"f" * 24, more=(
        ("ce_type", b"crossroads.order.created.v1"),
        ("ce_causationid", order.command_id.encode()),
        ("ce_sequence", b"1"),
        ("ce_subject", b"f" * 24),
    ))  # fmt: skip
    letter = Seen("crossroads.dead-letter", 0, 0, broken, b"{", (
        ("x-dead-letter-reason", b"not-json"),
        ("x-dead-letter-topic", bad.topic.encode()),
        ("x-dead-letter-partition", b"0"),
        ("x-dead-letter-offset", b"1"),
    ), 0.0)  # fmt: skip
    waiting = result(ledger, 0, "waiting", "w", "mapping.gap")
    return ledger, [command, bad, sync, letter, waiting, result(ledger, 1, "done", "d")]


def judged(ledger: Ledger, records: Records) -> None:
    for record in records:
        ledger.take(record)
    ledger.check()


def test_what_a_hub_must_do_is_found_right_and_repeats_of_the_same_bytes_too() -> None:
    ledger, records = whole()
    judged(ledger, [*records, *(replace(each, offset=9) for each in records[2:])])
    assert ledger.repeats == 3


COMMAND, BAD, SYNC, LETTER, WAITING, DONE = range(6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda at, _: at.pop(DONE), "no final result"),
        (lambda at, led: at.append(result(led, 2, "done", "other")), "2 final results"),
        (lambda at, led: at.append(result(led, 2, "waiting", "x", "mapping.gap")), "was told"),
        (lambda at, led: at.append(result(led, 2, "duplicate", "x")), "0 further copies"),
        (lambda at, _: at.append(replace(at[COMMAND], offset=5)), "2 copies"),
        (lambda at, _: at.append(replace(at[DONE], value=at[WAITING].value)), "other bytes"),
        (lambda at, _: at.pop(SYNC), "was synced as []"),
        (lambda at, _: at.append(changed(at[SYNC], "ce_id", str(uuid.uuid5(uuid.NAMESPACE_URL,
            "2")))), "was synced as"),
        (lambda at, _: at.insert(SYNC, changed(at.pop(SYNC), "ce_sequence", "2")), "sequence 2"),
        (lambda at, _: at.insert(SYNC, changed(at.pop(SYNC), "ce_desttenant", "x")), "is for x"),
        (lambda at, _: at.insert(SYNC, replace(it := at.pop(SYNC), value=it.value.replace(
            b'"T', b'"U'))), "became"),
        (lambda at, _: at.insert(SYNC, replace(at.pop(SYNC), timestamp=7)), "7 ms after"),
        (lambda at, _: at.pop(LETTER), "no dead letter"),
        (lambda at, _: at.append(replace(at[LETTER], value=b"[")), "differ"),
        (lambda at, _: at.append(changed(at[LETTER], "x-dead-letter-offset", "0")),
         "is a dead letter"),
    ],
)  # fmt: skip
def test_each_fault_of_a_hub_is_seen(
    change: Callable[[Records, Ledger], object], words: str
) -> None:
    ledger, records = whole()
    change(records, ledger)
    with pytest.raises(AssertionError, match=words.replace("[", r"\[")):
        judged(ledger, records)


def changed(record: Seen, name: str, value: str) -> Seen:
    headers = tuple((key, value.encode() if key == name else old) for key, old in record.headers)
    return replace(record, headers=headers)


def on_its_way() -> tuple[Ledger, Records]:
    """The first three steps of an order, and everything a hub must have done with them."""
    ledger = Ledger(Companies(2))
    order = ledger.companies.order()
    records = []
    for at, step in enumerate(ledger.companies.steps(order)[:3]):
        ledger.expect_step(order.number, step, 0.0)
        place, by, terminal = step.wanted
        said = {"progress_status": place, "assigned_to": by, "location": {"source_id": terminal}}
        id_ = step.command_id
        value = {"order_id": "f" * 24, "sequence": at + 1, "status_update": said}
        more = (("ce_causationid", id_.encode()), ("ce_sequence", str(at + 1).encode()))
        done = {"command_id": id_, "outcome": "done", "http_status": 200, "code": None, "body": {}}
        key = order.number.encode()
        source = (("ce_id", id_.encode()),)
        records += [
            Seen(ledger.inputs[2], 0, at, key, step.body, source, 0.0),
            seen(ledger.steps_told, at, f"s{at}", value, key=b"f" * 24, more=more),
            seen(ledger.results[1], at, f"r{at}", done, key=key),
        ]
    return ledger, records


def test_the_way_of_an_order_is_found_right() -> None:
    ledger, records = on_its_way()
    judged(ledger, records)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda at: at.insert(1, at.pop(4)), "was told"),
        (lambda at: at.pop(4), "was told"),
        (lambda at: at.append(changed(at[4], "ce_id", str(uuid.uuid5(uuid.NAMESPACE_URL, "2")))),
         "was told"),
        (lambda at: at.insert(4, changed(at.pop(4), "ce_sequence", "4")), "has sequence 4"),
        (lambda at: at.insert(4, replace(it := at.pop(4), value=it.value.replace(
            b"driver", b"pilot"))), "became"),
        (lambda at: at.insert(4, replace(at.pop(4), timestamp=7)), "after its final"),
        (lambda at: at.pop(5), "no final result"),
    ],
)  # fmt: skip
def test_each_fault_on_the_way_of_an_order_is_seen(
    change: Callable[[Records], object], words: str
) -> None:
    ledger, records = on_its_way()
    change(records)
    with pytest.raises(AssertionError, match=words):
        judged(ledger, records)
