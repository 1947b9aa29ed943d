"""What order/create and order/get take, and what the answers hold."""

from datetime import datetime
from typing import Any

import pytest

from schemas.orders import CREATE_ORDER, GET_ORDER, Order, OrderDocument
from schemas.reading import Reading, read


def _types(reading: Reading) -> list[tuple[str, str]]:
    return [(".".join(map(str, e["loc"][1:])), e["type"]) for e in reading.errors]


def test_the_shortest_order_reads_r018_r021_r024(body: dict[str, Any]) -> None:
    del body["delivery_window"]["timezone"]
    assert read(CREATE_ORDER, body).errors == []


def test_a_window_without_offset_stays_naive_for_the_domain_to_place_k27(
    body: dict[str, Any],
) -> None:
    value = CREATE_ORDER.validate_python(body)
    assert value["delivery_window"]["start"] == datetime(2026, 5, 11, 19, 25, 51)  # noqa: DTZ001
    assert value["delivery_window"]["end"].tzinfo is not None


def test_every_missing_member_is_named_at_once_k28() -> None:
    reading = read(CREATE_ORDER, {"drops": [{}]})
    assert _types(reading) == [
        ("drops.0.site", "missing"),
        ("drops.0.volume", "missing"),
        ("origin_order_number", "missing"),
        ("delivery_window", "missing"),
    ]


@pytest.mark.parametrize(
    ("path", "value", "kind"),
    [
        (("origin_order_number",), 1001, "string_type"),
        (("origin_order_number",), "", "string_too_short"),
        (("origin_order_number",), "x" * 256, "string_too_long"),
        (("note",), "x" * 301, "string_too_long"),
        (("drops",), [], "too_short"),
        (("units",), "litres", "literal_error"),
        (("created_by_hauler",), "true", "bool_type"),
        (("extra_data",), [], "dict_type"),
        (("drops", 0, "volume"), 5.0, "int_type"),
        (("drops", 0, "volume"), True, "int_type"),
        (("drops", 0, "volume"), 0, "greater_than"),
        (("drops", 0, "site", "source_id"), 5, "string_type"),
        (("drops", 0, "site", "tank_id"), "x" * 11, "string_too_long"),
        (("drops", 0, "site", "tank_goid"), "x" * 51, "string_too_long"),
        (("drops", 0, "site", "mapping_id"), "5eb7", "string_pattern_mismatch"),
        (("drops", 1, "loads", 0, "price_types", 1), "cheap", "literal_error"),
        (("drops", 1, "loads", 0, "contract"), "x" * 101, "string_too_long"),
        (("delivery_window", "start"), 1747000000, "datetime_parsing"),
    ],
)
def test_one_wrong_member_is_one_error_at_its_place(
    body: dict[str, Any], path: Any, value: Any, kind: Any
) -> None:
    here = body
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    reading = read(CREATE_ORDER, body)
    assert _types(reading) == [(".".join(map(str, path)), kind)]
    assert reading.spoiled(*path)
    assert reading.spoiled(*path[:-1])


@pytest.mark.parametrize("member", ["po", "supply_owner", "note", "extra_data", "units"])
def test_an_optional_member_may_be_null(body: dict[str, Any], member: str) -> None:
    body[member] = None
    assert read(CREATE_ORDER, body).errors == []


def test_text_is_not_stripped(body: dict[str, Any]) -> None:
    body["origin_order_number"] = " A 1 "
    assert CREATE_ORDER.validate_python(body)["origin_order_number"] == " A 1 "


def test_extra_data_comes_back_as_it_was_r029_r030(body: dict[str, Any]) -> None:
    body["extra_data"] = {"z": {"deep": [1.5, "x", None, {"y": False}]}, "a": 1}
    extra_data = CREATE_ORDER.validate_python(body)["extra_data"]
    assert extra_data == body["extra_data"]
    assert list(extra_data or ()) == ["z", "a"]


@pytest.mark.parametrize(
    "body",
    [
        {"order": {"order_number": "A-1"}},
        {"order": {"order_id": None, "order_number": "A-1"}},
        {"order_number": "A-1"},
        {"order_id": "665f1a2b3c4d5e6f7a8b0001"},
    ],
)
def test_get_takes_the_nested_and_the_flat_body_k08(body: dict[str, Any]) -> None:
    assert read(GET_ORDER, body).errors == []


def test_the_documented_members_of_an_order_are_all_there_and_required_r055_r089() -> None:
    assert Order.__required_keys__ == {
        "origin_order_number", "destination_order_number", "po", "supply_owner",
        "delivery_window", "note", "drops", "bols", "bol_photos", "executed_drops", "extra_data",
    }  # fmt: skip
    assert OrderDocument.__required_keys__ == {
        "_id", "status", "failed_at_step", "progression_state", "trip_status", "eta",
        "delivery_eta", "assigned_to", "hauled_by", "hauled_by_id", "hauled_for",
        "hauled_for_id", "units", "routing", "origin_order", "master_order",
        "destination_order", "created_at", "updated_at", "order",
    }  # fmt: skip
    assert not Order.__optional_keys__ | OrderDocument.__optional_keys__
