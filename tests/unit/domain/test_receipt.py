"""Receipts: what each does to the order, what is refused, and what is no news (X07, K33, K39)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain import status
from tests.unit.domain import fates
from tests.unit.domain.fates import RECEIPT, command, world
from tests.unit.domain.trade import ACME

NUMBER = "destination_order_number"


@pytest.mark.parametrize(
    ("said", "state", "step"),
    [
        ("received", "synced", None),
        ("rejected", "rejected", None),
        ("failed", "error", "synced"),
    ],
)
def test_x07_k39_a_receipt_is_told_to_the_origin_and_says_how_the_order_is(
    said: str, state: str, step: str | None
) -> None:
    here = world()
    effects = fates.apply(command(RECEIPT, status=said, reason_code="E1", message="Why"), here)
    [sync] = effects.syncs
    assert (sync.receiver.slug, sync.type) == ("acme", f"crossroads.order.{said}.v1")
    assert effects.answer.body["receipt"] == sync.members["receipt"]
    order = fates.found(here)
    assert (status.of(order), status.failed_at_step(order)) == (state, step)
    assert effects.answer.body["status"] == state
    assert (order.message is None) == (said == "received")


def test_the_number_stands_in_all_three_documents_and_stays() -> None:
    here = world()
    fates.apply(command(RECEIPT, destination_order_number="BH-1"), here)
    order = fates.found(here)
    documents = (order.origin_document, order.master_document, order.destination_document)
    assert [each and each[NUMBER] for each in documents] == ["BH-1"] * 3
    effects = fates.take(command(RECEIPT, destination_order_number="BH-2"), here)
    assert effects.answer.body["detail"][0]["type"] == "number_given"
    without = fates.take(command(RECEIPT, reason_code="x"), here)
    assert without.answer.body["receipt"][NUMBER] == "BH-1"


@pytest.mark.parametrize(
    ("made", "members", "code"),
    [
        ({"acceptance": "manual"}, {}, "request.order_not_sent"),
        ({"mapped": False}, {}, "request.order_not_sent"),
        ({"delivery": "failed"}, {}, "request.order_not_sent"),
        ({"receipt": "rejected"}, {}, "request.order_rejected"),
        ({"acceptance": "manual", "receipt": "rejected"}, {}, "request.order_rejected"),
        ({"progress": "complete"}, {"status": "rejected"}, "request.order_already_complete"),
        ({}, {"by": ACME}, "request.not_allowed"),
        ({}, {"status": "failed", NUMBER: "BH-1"}, "request.invalid"),
        ({}, {"status": "lost"}, "request.invalid"),
    ],
)
def test_what_a_receipt_may_not_say(
    made: dict[str, Any], members: dict[str, Any], code: str
) -> None:
    assert fates.take(command(RECEIPT, **members), world(**made)).answer.code == code


@pytest.mark.parametrize("said", ["received", "failed"])
def test_a_complete_order_may_still_be_received_or_fail_at_its_destination(said: str) -> None:
    made = command(RECEIPT, status=said)
    assert fates.take(made, world(progress="complete")).answer.outcome == "done"


def test_another_orders_number_is_taken() -> None:
    here = world()
    here.put_order(
        replace(fates.found(here), id="f" * 24, origin_number="PO-2", destination_number="BH-1")
    )
    effects = fates.take(command(RECEIPT, destination_order_number="BH-1"), here)
    assert effects.answer.code == "request.order_number_taken"


RECEIPTS = st.fixed_dictionaries(
    {"status": st.sampled_from(["received", "failed"])},
    optional={
        "reason_code": st.sampled_from([None, "", "E1", "E2"]),
        "message": st.sampled_from([None, "", "Down"]),
    },
)


@given(st.lists(RECEIPTS, min_size=1, max_size=6))
def test_k33_the_same_receipt_as_the_last_one_is_no_news_and_any_other_is(
    receipts: list[dict[str, Any]],
) -> None:
    here, last, told = world(), None, 0
    for at, said in enumerate(receipts):
        effects = fates.apply(command(RECEIPT, id_=f"r{at}", **said), here)
        plain = (said["status"], said.get("reason_code") or None, said.get("message") or None)
        assert effects.answer.outcome == "done"
        assert bool(effects.syncs) == (plain != last)
        told += len(effects.syncs)
        last = plain
    assert told >= 1
