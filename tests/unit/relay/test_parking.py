"""What stands aside with a closed topic, and what is told of it."""

import orjson
import pytest

from services.kit.ids import event_id
from services.kit.outbox import RowKind, pack_headers, unpack_headers
from services.relay.parking import to_park, told_headers, told_value
from services.relay.rows import Row
from tests.unit.relay.rows_world import row

ONE, TWO = b"1" * 16, b"2" * 16


def parked(rows: list[Row], closed: set[str], joining: set[int], refused: set[int]) -> list[int]:
    found = to_park(rows, closed_topics=closed, joining=joining, refused=refused)
    return [each.id for each in found]


def test_a_closed_topic_takes_its_rows_and_the_results_of_their_commands_and_nothing_else() -> None:
    rows = [
        row(1, topic="shut", stream="a/shut", cause=ONE),
        row(2, topic="open", stream="a/open", cause=ONE),
        row(3, RowKind.FINAL, topic="results", cause=ONE),
        row(4, topic="open", stream="b/open", cause=TWO),
        row(5, RowKind.FINAL, topic="results", cause=TWO),
    ]
    assert parked(rows, {"shut"}, set(), set()) == [1, 3]


def test_a_refused_record_takes_the_later_ones_of_its_stream_only() -> None:
    rows = [
        row(1, stream="a/t"),
        row(2, stream="b/t", cause=ONE),
        row(3, stream="a/t"),
        row(4, stream="b/t"),
        row(5, RowKind.FINAL, cause=ONE),
    ]
    assert parked(rows, set(), set(), {2}) == [2, 4, 5]


def test_what_joins_parked_rows_takes_its_own_followers_along() -> None:
    rows = [row(5, stream="a/t", cause=ONE), row(6, RowKind.FINAL, cause=ONE), row(7)]
    assert parked(rows, set(), {5}, set()) == [5, 6]


def test_a_parked_waiting_answer_holds_its_final_result_but_no_sync() -> None:
    rows = [
        row(1, RowKind.WAITING, topic="shut", cause=ONE),
        row(2, stream="a/t", cause=ONE),
        row(3, RowKind.FINAL, topic="shut", cause=ONE),
    ]
    assert parked(rows, {"shut"}, set(), set()) == [1, 3]


def test_a_dead_letter_holds_nothing() -> None:
    rows = [row(1, RowKind.DEAD_LETTER, topic="shut", cause=ONE), row(2, RowKind.FINAL, cause=ONE)]
    assert parked(rows, {"shut"}, set(), set()) == [1]


def final(**given: object) -> Row:
    body = {"status": "synced", "message": "sent", "order": {"order_id": "x"}, "log": None}
    value = {
        "command_id": "c", "operation": "order.create", "outcome": "done", "http_status": 200,
        "code": None, "body": body,
    }  # fmt: skip
    members = {"value": orjson.dumps(value), "cause": ONE} | given
    return row(1, RowKind.FINAL, **members)


def test_the_waiting_answer_is_the_final_one_as_pending() -> None:
    told = told_value(final())
    assert told is not None
    answer = orjson.loads(told)
    assert answer["command_id"] == "c"
    assert answer["operation"] == "order.create"
    assert (answer["outcome"], answer["http_status"]) == ("waiting", 200)
    assert answer["code"] == "delivery.parked"
    assert answer["body"]["order"] == {"order_id": "x"}
    assert answer["body"]["status"] == "pending"
    assert list(answer) == ["command_id", "operation", "outcome", "http_status", "code", "body"]


def test_the_waiting_answer_of_a_refusal_tells_nothing_of_it() -> None:
    refusal = {"http_status": 422, "outcome": "refused", "body": {"detail": "no", "code": "x"}}
    told = told_value(final(value=orjson.dumps(refusal)))
    assert told is not None
    assert set(orjson.loads(told)["body"]) == {"status", "message", "log"}


@pytest.mark.parametrize(
    "given", [{"told_before": True}, {"cause": None}, {"told": b"{}"}, {"value": None}]
)
def test_nothing_is_told_twice_or_where_no_answer_may_be(given: dict[str, object]) -> None:
    assert told_value(final(**given)) is None


def test_only_the_id_differs_in_the_waiting_answers_headers() -> None:
    headers: list[tuple[str, bytes | None]] = [
        ("ce_id", b"f"), ("ce_type", b"t"), ("ce_desttenant", b"acme"), ("x", None),
    ]  # fmt: skip
    told = told_headers(final(headers=pack_headers(headers)))
    waiting_id = event_id(ONE, "t", "acme", 0)
    assert unpack_headers(told) == [("ce_id", waiting_id.encode()), *headers[1:]]
