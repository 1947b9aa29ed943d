import re
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kit.ids import (
    cause_digest,
    event_id,
    fingerprint,
    order_style_id,
    position_event_id,
)

calm = settings(deadline=None)
moments = st.integers(min_value=0, max_value=2**32 * 1000 - 1)


@calm
@given(moments, moments)
def test_order_style_ids_are_ordered_by_time_r017(first: int, second: int) -> None:
    one, other = order_style_id(first, "t", "c"), order_style_id(second, "t", "c")
    assert (one < other) == (first < second)
    assert re.fullmatch(r"[0-9a-f]{24}", one)


def test_an_order_style_id_holds_seconds_fraction_and_digest() -> None:
    made = order_style_id(1_700_000_000_500, "tenant", "command")
    assert int(made[:8], 16) == 1_700_000_000
    assert int(made[8:12], 16) == 32768
    assert made[12:] == fingerprint("tenant", "command")[:6].hex()


@pytest.mark.parametrize("moment", [-1, 2**63, 2**32 * 1000])
def test_an_impossible_time_still_gives_an_id(moment: int) -> None:
    assert re.fullmatch(r"[0-9a-f]{24}", order_style_id(moment, "t"))


@calm
@given(
    st.lists(st.text(st.characters(codec="utf-8"))), st.lists(st.text(st.characters(codec="utf-8")))
)
def test_different_parts_have_different_fingerprints(one: list[str], other: list[str]) -> None:
    assert (fingerprint(*one) == fingerprint(*other)) == (one == other)


def test_an_absent_part_differs_from_an_empty_one() -> None:
    assert len({fingerprint(None), fingerprint(""), fingerprint()}) == 3
    assert fingerprint("é", 7) == fingerprint("é".encode(), b"7")


def test_event_ids_are_uuid_version_5_and_the_same_every_time() -> None:
    cause = cause_digest("tenant", "command")
    made = event_id(cause, "crossroads.order.create.result.v1", "acme", 1)
    assert uuid.UUID(made).version == 5
    assert made == event_id(cause, "crossroads.order.create.result.v1", "acme", 1)
    assert made == "90208e02-1c49-5b07-b98b-37e6a287fbf8"


def test_event_ids_differ_in_every_part() -> None:
    made = {
        event_id(cause_digest("t", "c"), "type", "r", 0),
        event_id(cause_digest("t", "c"), "type", "r", 1),
        event_id(cause_digest("t", "c"), "type", "s", 0),
        event_id(cause_digest("t", "c"), "typer", "", 0),
        event_id(cause_digest("tc", ""), "type", "r", 0),
        position_event_id("cluster", "topic", 0, 1),
        position_event_id("cluster", "topic", 0, 2),
        position_event_id("cluster", "topic", 1, 1),
        position_event_id("replaced", "topic", 0, 1),
    }
    assert len(made) == 9


def test_a_cause_is_sixteen_bytes() -> None:
    assert len(cause_digest("tenant", "command")) == 16
    assert cause_digest("tenant", "command") != cause_digest("tenantc", "ommand")
