"""The demonstration's books see what would break a promise; what is logged stands in its story."""

import io
import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
import structlog

from services.cli.demo.ledger import Answers, Deliveries, Ways
from services.cli.demo.reading import Seen, Watch
from services.cli.demo.telling import Teller


class Topics:
    """What was read, as a Watch has it."""

    def __init__(self) -> None:
        self.records: list[Seen] = []

    def of(self, _: str) -> list[Seen]:
        return self.records

    def put(self, ce_id: str, document: dict[str, Any], **headers: str) -> None:
        named = {"ce_id": ce_id, **headers}
        key = str(document.get("order_id", "k")).encode()
        raw = tuple((name, value.encode()) for name, value in named.items())
        value = json.dumps(document).encode()
        self.records.append(Seen("t", 0, len(self.records), key, value, raw))


def told(
    topics: Topics,
    cause: str,
    sequence: int,
    *,
    ce_id: str = "",
    header: str = "",
    kind: str = "order.status-updated",
    **members: Any,
) -> None:
    topics.put(
        ce_id or f"e-{cause}",
        {"order_id": "o1", "sequence": sequence, **members},
        ce_causationid=cause,
        ce_sequence=header or str(sequence),
        ce_type=f"crossroads.{kind}.v1",
    )


def ways(topics: Topics) -> Ways:
    book = Ways(cast("Watch", topics), "prairie-fuels")
    book.read_on()
    return book


def test_a_way_in_sequence_is_right_and_a_record_that_comes_again_is_counted() -> None:
    topics = Topics()
    told(topics, "a", 1)
    told(topics, "b", 2)
    told(topics, "a", 1)
    book = ways(topics)
    assert (book.wrong, book.repeats, list(book.told)) == ([], 1, ["a", "b"])


def test_a_gap_in_a_sequence_is_wrong() -> None:
    """Guarantee 3."""
    topics = Topics()
    told(topics, "a", 1)
    told(topics, "b", 3)
    assert ways(topics).wrong == ["b has sequence 3, not 2"]


def test_a_header_that_says_another_sequence_than_the_value_is_wrong() -> None:
    topics = Topics()
    told(topics, "a", 1, header="2")
    assert ways(topics).wrong == ["a has sequence 1, not 1"]


def test_one_step_under_two_ids_and_one_id_with_other_bytes_are_wrong() -> None:
    """Guarantee 4."""
    topics = Topics()
    told(topics, "a", 1)
    told(topics, "a", 2, ce_id="another")
    told(topics, "a", 5)
    assert ways(topics).wrong == [
        "a was told a second time",
        "e-a on crossroads.sync.prairie-fuels came again with other bytes",
    ]


def test_what_is_agreed_between_an_orders_statuses_has_its_place_in_the_same_sequence() -> None:
    """Guarantee 3: one sequence an order and receiver, whatever the type."""
    topics = Topics()
    told(topics, "a", 1)
    told(topics, "b", 2, kind="change.proposed")
    told(topics, "c", 3)
    book = ways(topics)
    assert (book.wrong, list(book.told)) == ([], ["a", "c"])
    [(_, cause, kind)] = book.others
    assert (cause, kind) == ("b", "crossroads.change.proposed.v1")


def test_an_order_that_is_asked_for_first_is_delivered_when_it_is_created() -> None:
    """X06: requested, then created, by the same command."""
    topics = Topics()
    order = {"origin_order_number": "PF-1"}
    told(topics, "create", 1, ce_id="one", kind="order.requested", order=order)
    told(topics, "create", 2, ce_id="two", kind="order.created", order=order)
    book = Deliveries(cast("Watch", topics), ["nordhaul"])
    book.read_on()
    assert book.wrong == []
    assert [number for _, number in book.orders] == ["PF-1"]
    assert [kind for _, _, kind in book.others] == ["crossroads.order.requested.v1"]


def test_an_order_that_is_delivered_twice_or_asked_for_twice_is_wrong() -> None:
    topics = Topics()
    order = {"origin_order_number": "PF-1"}
    for sequence, kind in enumerate(("requested", "requested", "created", "created"), 1):
        told(topics, "c", sequence, ce_id=str(sequence), kind=f"order.{kind}", order=order)
    book = Deliveries(cast("Watch", topics), ["nordhaul"])
    book.read_on()
    assert [text.rpartition(" a second time")[0] for text in book.wrong] == [
        "c was told to t as crossroads.order.requested.v1",
        "order PF-1 was delivered to t",
    ]


def test_a_second_final_answer_is_wrong_and_a_duplicate_is_none() -> None:
    topics = Topics()
    for ce_id, outcome in (("1", "waiting"), ("2", "done"), ("3", "duplicate"), ("4", "refused")):
        topics.put(ce_id, {"command_id": "c", "outcome": outcome})
    book = Answers(cast("Watch", topics), "crossroads.results.x")
    book.read_on()
    assert (book.wrong, book.duplicates) == (["c was told refused a second time"], ["c"])


@pytest.fixture
def as_it_was() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("as_it_was")
def test_a_warning_stands_in_the_story_as_a_sentence_and_lesser_things_do_not() -> None:
    stream = io.StringIO()
    Teller(stream).overhear()
    log = structlog.get_logger()
    log.info("topic created", topic="x")
    log.warning("process ended", process="relay", again_in_seconds=0.1)
    assert stream.getvalue() == "     (process ended: process relay, again in seconds 0.1)\n"
