"""Reading: once on the good path, everything at once on the other (K28, K31)."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ErrorEntry
from schemas.orders import CREATE_ORDER
from schemas.reading import MAX_ERRORS, in_document_order, read
from schemas.reference import UPSERT_TENANT

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "origin_order_number",
                    "delivery_window",
                    "drops",
                    "site",
                    "volume",
                    "loads",
                    "x",
                    "start",
                    "end",
                    "source_id",
                    "terminal",
                    "price_types",
                    "extra_data",
                    "product",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


class Counting:
    """Counts how often the adapter is asked."""

    def __init__(self: Any) -> None:
        self.times = 0

    def validate_python(self, raw: Any) -> Any:
        self.times += 1
        return CREATE_ORDER.validate_python(raw)


def test_a_good_document_is_validated_once_and_is_its_own_wellformed_part(
    body: dict[str, Any],
) -> None:
    adapter = Counting()
    reading = read(adapter, body)  # type: ignore[arg-type]
    assert adapter.times == 1
    assert reading.value == CREATE_ORDER.validate_python(body)
    assert reading.wellformed is reading.value
    assert (reading.errors, reading.unknown) == ([], [])


def test_unknown_members_are_dropped_and_named_in_document_order_k31(body: dict[str, Any]) -> None:
    expected = CREATE_ORDER.validate_python(copy.deepcopy(body))
    bent = {"zeta": 1, **body, "alpha": {"volume": "x"}}
    bent["drops"][0]["colour"] = "red"
    bent["drops"][1]["loads"][0]["terminal"]["goid_name"] = "T"
    reading = read(CREATE_ORDER, bent)
    assert reading.value == expected
    assert reading.errors == []
    assert reading.unknown == [
        "zeta",
        "drops.0.colour",
        "drops.1.loads.0.terminal.goid_name",
        "alpha",
    ]


def test_reading_does_not_change_what_it_was_given(body: dict[str, Any]) -> None:
    body["x"] = 1
    body["drops"][0]["volume"] = "7"
    before = copy.deepcopy(body)
    read(CREATE_ORDER, body)
    assert body == before


def test_with_strict_handling_an_unknown_member_is_an_error_k31(body: dict[str, Any]) -> None:
    body["drops"][0]["colour"] = "red"
    reading = read(CREATE_ORDER, body, strict=True)
    assert reading.value is None
    assert reading.errors == [
        {
            "loc": ["body", "drops", 0, "colour"],
            "msg": "Extra inputs are not permitted",
            "type": "extra_forbidden",
        }
    ]
    assert "colour" not in reading.wellformed["drops"][0]


def test_errors_come_in_the_order_of_the_document_not_of_the_schema_k28(
    body: dict[str, Any],
) -> None:
    bent = {"units": 1, "drops": body["drops"], "note": 5, "origin_order_number": 7}
    bent["drops"][1]["volume"] = "a"
    bent["drops"][0]["volume"] = "b"
    assert [e["loc"][1:] for e in read(CREATE_ORDER, bent).errors] == [
        ["units"],
        ["drops", 0, "volume"],
        ["drops", 1, "volume"],
        ["note"],
        ["origin_order_number"],
        ["delivery_window"],
    ]


def test_an_error_has_three_members_and_shows_nothing_the_tenant_sent_k28(
    body: dict[str, Any],
) -> None:
    body["note"] = ["the secret"]
    body["units"] = "the secret"
    body["delivery_window"]["start"] = "the secret"
    body["drops"][0]["site"]["mapping_id"] = "the secret"
    errors = read(CREATE_ORDER, body).errors
    assert len(errors) == 4
    assert all(list(error) == ["loc", "msg", "type"] for error in errors)
    assert "secret" not in str(errors)


def test_the_wellformed_part_keeps_indexes_and_converts_what_reads(body: dict[str, Any]) -> None:
    body["drops"].insert(0, "no drop")
    body["drops"][1]["volume"] = 1.5
    body["drops"][2]["loads"][0]["price_types"][0] = "cheap"
    body["delivery_window"]["start"] = "soon"
    reading = read(CREATE_ORDER, body)
    window = reading.wellformed["delivery_window"]
    assert "start" not in window
    assert window["end"].utcoffset() is not None
    assert reading.wellformed["drops"][0] is None
    assert reading.wellformed["drops"][1] == {"site": {"source_id": "S-1", "tank_id": "1"}}
    assert reading.wellformed["drops"][2]["loads"][0]["price_types"] == [None, "spot"]


def test_a_key_whose_only_member_is_wrong_is_told_from_an_empty_one(body: dict[str, Any]) -> None:
    body["drops"][0]["site"] = {"source_id": 5}
    body["drops"][1]["site"] = {}
    reading = read(CREATE_ORDER, body)
    assert reading.wellformed["drops"][0]["site"] == reading.wellformed["drops"][1]["site"] == {}
    assert reading.spoiled("drops", 0, "site")
    assert reading.spoiled("drops", 0, "site", "source_id", "deeper")
    assert not reading.spoiled("drops", 1, "site")
    assert not reading.spoiled("drops", 0, "site", "source_name")


@pytest.mark.parametrize("raw", [None, [], "text", 5, True])
def test_what_is_no_object_is_one_error_at_the_body(raw: Any) -> None:
    reading = read(CREATE_ORDER, raw)
    assert [error["loc"] for error in reading.errors] == [["body"]]
    assert reading.wellformed == {}


def test_rule_errors_join_the_schema_errors_in_document_order_with_headers_first(
    body: dict[str, Any],
) -> None:
    body["drops"][1]["volume"] = "x"
    body["note"] = 3
    schema_errors = read(CREATE_ORDER, body).errors
    rules: list[Any] = [
        {"loc": ["body", "drops", 0, "site"], "msg": "rule", "type": "rule"},
        {"loc": ["header", "x-dest-tenant-name"], "msg": "Field required", "type": "missing"},
        {"loc": ["body", "delivery_window", "end"], "msg": "rule", "type": "rule"},
    ]
    joined = in_document_order(body, [*schema_errors, *rules])
    assert [error["loc"] for error in joined] == [
        ["header", "x-dest-tenant-name"],
        ["body", "delivery_window", "end"],
        ["body", "drops", 0, "site"],
        ["body", "drops", 1, "volume"],
        ["body", "note"],
    ]


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_whatever_json_comes_every_error_lies_on_a_real_path(raw: Any) -> None:
    reading = read(CREATE_ORDER, raw)
    assert (reading.value is None) == bool(reading.errors)
    for error in reading.errors:
        here = raw
        for index, part in enumerate(error["loc"][1:]):
            if error["type"] == "missing" and index == len(error["loc"]) - 2:
                assert isinstance(here, dict)
                assert part not in here
            else:
                here = here[part]
    assert read(UPSERT_TENANT, raw).errors


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_wellformed_part_of_a_spoiled_order_is_the_order_without_what_is_wrong(
    data: st.DataObject,
) -> None:
    good: dict[str, Any] = {
        "origin_order_number": "1",
        "delivery_window": {"start": "2026-01-01T00:00Z", "end": "2026-01-02T00:00Z"},
        "drops": [{"site": {"source_id": "a"}, "volume": 5, "loads": [{"contracts": ["c"]}]}],
        "note": "n",
    }
    paths = [
        ("origin_order_number",),
        ("delivery_window", "end"),
        ("drops", 0, "volume"),
        ("drops", 0, "site", "source_id"),
        ("drops", 0, "loads", 0, "contracts"),
        ("note",),
    ]
    chosen = data.draw(st.sets(st.sampled_from(paths), min_size=1))
    expected: Any = CREATE_ORDER.validate_python(copy.deepcopy(good))
    for path in chosen:
        bent: Any = good
        kept = expected
        for part in path[:-1]:
            bent, kept = bent[part], kept[part]
        bent[path[-1]] = {"wrong": 1}
        del kept[path[-1]]
    reading = read(CREATE_ORDER, good)
    assert reading.wellformed == expected
    assert {tuple(error["loc"][1:]) for error in reading.errors} == chosen


def test_beyond_a_thousand_errors_the_rest_is_counted(body: dict[str, Any]) -> None:
    body["drops"] = [0] * 5000
    reading = read(CREATE_ORDER, body)
    assert len(reading.errors) == MAX_ERRORS + 1
    assert reading.errors[0]["loc"] == ["body", "drops", 0]
    assert reading.errors[-1] == {
        "loc": ["body"],
        "msg": "There are 4000 further errors",
        "type": "too_many_errors",
    }
    assert (reading.value, reading.wellformed) == (None, {})
    header: ErrorEntry = {"loc": ["header", "x"], "msg": "", "type": ""}
    joined = in_document_order(body, [*reading.errors, header])
    assert (joined[0], joined[-1]) == (header, reading.errors[-1])


def test_any_number_of_unknown_members_is_no_error(body: dict[str, Any]) -> None:
    expected = CREATE_ORDER.validate_python(copy.deepcopy(body))
    reading = read(CREATE_ORDER, {**{f"k{number}": 0 for number in range(3000)}, **body})
    assert reading.value == expected
    assert reading.unknown[:2] == ["k0", "k1"]
    assert len(reading.unknown) == 3000
