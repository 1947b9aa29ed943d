"""What the driver's side takes on the wire (R055-R063, R075-R083, K12, K16, X09)."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.dump import to_json
from schemas.operations import operation
from schemas.progress import SAVE_BOL, SAVE_BOL_IMAGE, SAVE_DROP, UPDATE_STATUS
from schemas.reading import Reading, read

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"


def example(document: str, case: str) -> Any:
    return json.loads((EXAMPLES / document / f"{case}.json").read_text("utf-8"))


def types(reading: Reading) -> list[tuple[str, str]]:
    return [(".".join(map(str, e["loc"][1:])), e["type"]) for e in reading.errors]


@pytest.mark.parametrize(
    ("name", "adapter", "adds"),
    [
        ("order.update-status", UPDATE_STATUS, "status_update"),
        ("order.save-bol", SAVE_BOL, "bol"),
        ("order.save-drop", SAVE_DROP, "executed_drop"),
        ("order.save-bol-image", SAVE_BOL_IMAGE, "bol_photo"),
    ],
)
def test_the_operations_take_their_documents_on_the_progress_topic(
    name: str, adapter: Any, adds: str
) -> None:
    taken = operation(name)
    assert taken.document is adapter
    assert (taken.base, taken.adds) == ("crossroads.progress", (adds,))


def test_every_missing_member_is_named_at_once_k28() -> None:
    assert types(read(UPDATE_STATUS, {})) == [("order", "missing"), ("progress_status", "missing")]
    assert types(read(SAVE_BOL, {"details": [{}]})) == [
        ("details.0.supplier", "missing"),
        ("details.0.product", "missing"),
        ("details.0.net_volume", "missing"),
        ("details.0.gross_volume", "missing"),
        ("order", "missing"),
        ("bol_number", "missing"),
        ("terminal", "missing"),
        ("bol_date", "missing"),
    ]


@pytest.mark.parametrize(
    "member", ["location", "site", "eta", "delivery_eta", "actual", "assigned_to", "hauled_by"]
)
def test_whatever_of_a_status_is_optional_may_be_null(member: str) -> None:
    body = example("order.update-status.v1", "every-member")
    body[member] = None
    assert read(UPDATE_STATUS, body).errors == []


@pytest.mark.parametrize(
    "member",
    ["pre_drop_volume", "pre_drop_inches", "pre_drop_time", "post_drop_volume", "tank"],
)
def test_whatever_of_a_measurement_is_optional_may_be_null(member: str) -> None:
    body = example("order.save-drop.v1", "replace")
    body["details"][0][member] = None
    assert read(SAVE_DROP, body).errors == []


def test_k16_a_volume_of_many_places_is_a_decimal_and_never_refused() -> None:
    body = example("order.save-bol.v1", "every-member")
    value = read(SAVE_BOL, body).value
    assert value is not None
    assert value["details"][0]["net_volume"] == Decimal("7488.123456789012")
    assert json.loads(to_json(value["details"][0]["net_volume"])) == 7488.123456789012


@pytest.mark.parametrize(
    ("volume", "kind"),
    [
        ("1", "float_type"),
        (True, "float_type"),
        (1e9 + 1, "less_than_equal"),
        (-1e9 - 1, "greater_than_equal"),
        (1e308, "less_than_equal"),
    ],
)
def test_a_volume_that_cannot_be_is_one_error_at_its_place(volume: Any, kind: str) -> None:
    body = example("order.save-drop.v1", "replace")
    body["details"][0]["quantity"] = volume
    assert types(read(SAVE_DROP, body)) == [("details.0.quantity", kind)]


def test_what_is_said_of_a_photo_in_an_order_may_leave_its_reference_out_r060() -> None:
    order = example("order.v1", "delivered")
    assert set(order["bol_photos"][0]) == {"bol_number", "file_name", "uploaded_at", "note"}
