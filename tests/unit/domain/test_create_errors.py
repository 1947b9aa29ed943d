"""All errors at once, in document order (R011, R018-R028, K09, K28, K31)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.operations import create
from services.domain.tenants import Tenant
from tests.unit.domain.trade import ACME, body, command, drop, errors, window


def where(request: Any = None, **changes: Any) -> list[str]:
    return [".".join(map(str, loc)) for loc, _ in errors(request, **changes)]


def test_a_good_request_has_no_errors() -> None:
    assert errors() == []


@pytest.mark.parametrize("member", ["origin_order_number", "delivery_window", "drops"])
def test_r018_r021_r024_required_members(member: str) -> None:
    request = body()
    del request[member]
    assert errors(request) == [(["body", member], "missing")]


def test_k28_schema_rules_and_headers_come_together_in_the_order_of_the_document() -> None:
    request = {
        "drops": [
            {"site": {"source_id": "s"}, "volume": 0, "loads": [{}, {"terminal": {}}]},
            {"volume": 5, "site": {"goid": "product_ABCDEF", "tank_goid": "t"}},
        ],
        "note": "n" * 301,
        "delivery_window": window(end="2026-05-01T13:00:00Z"),
        "origin_order_number": 7,
    }
    assert where(request, partner_name=None, partner=None, system_name="None such") == [
        "header.x-dest-tenant-name",
        "header.x-origin-system-name",
        "body.drops.0.volume",
        "body.drops.0.loads.1",
        "body.drops.0.loads.1.terminal",
        "body.drops.0.product",
        "body.drops.1.site.goid",
        "body.drops.1.site.tank_goid",
        "body.note",
        "body.delivery_window.end",
        "body.origin_order_number",
    ]


def test_r011_an_entry_has_exactly_three_members() -> None:
    for entry in create.problems(command({}, partner_name=None, instance_name="x")):
        assert set(entry) == {"loc", "msg", "type"}


def test_k09_the_other_tenant_must_be_named() -> None:
    assert errors(partner_name=None) == [(["header", "x-dest-tenant-name"], "missing")]


def test_k28_an_unknown_system_or_instance_is_an_error_that_does_not_repeat_it() -> None:
    [entry] = create.problems(command(system_name="retry"))
    assert entry["loc"] == ["header", "x-origin-system-name"]
    assert "retry" not in entry["msg"]
    assert where(instance_name="x") == ["header.x-origin-instance-name"]
    assert where(instance_name="prod") == []
    assert where(instance_name="prod", system_name="Old ERP") == ["header.x-origin-instance-name"]
    bare = Tenant(ACME.id, "acme", "ACME Fuels")
    assert where(caller=bare) == ["header.x-origin-system-name"]


def test_r026_k04_a_drop_names_a_tank_or_a_product() -> None:
    assert errors(body({"site": {"source_id": "s"}, "volume": 1})) == [
        (["body", "drops", 0, "product"], "tank_or_product_required")
    ]
    for site in ({"tank_id": "1"}, {"product_source_id": "p"}):
        assert errors(body({"site": {"source_id": "s", **site}, "volume": 1})) == []


def test_a_member_that_did_not_read_is_not_called_missing_too() -> None:
    request = body({"site": {"source_id": 5}, "product": 7, "volume": 1})
    assert where(request) == ["body.drops.0.site.source_id", "body.drops.0.product"]


def test_k27_at_least_one_drop_and_a_volume_above_zero() -> None:
    assert errors(body(drops=[])) == [(["body", "drops"], "too_short")]
    assert errors(body(drop(volume=-1))) == [(["body", "drops", 0, "volume"], "greater_than")]
    assert where(body(drop(volume=1.5))) == ["body.drops.0.volume"]
    assert where(body(drop(volume="7"))) == ["body.drops.0.volume"]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"note": "n" * 301}, "body.note"),
        ({"units": "barrels"}, "body.units"),
        ({"po": 5}, "body.po"),
        ({"supply_owner": {}}, "body.supply_owner"),
        ({"supply_owner": {"goid": "site_ABCDEF"}}, "body.supply_owner.goid"),
        ({"extra_data": []}, "body.extra_data"),
        ({"delivery_window": window(timezone="Mars")}, "body.delivery_window.timezone"),
    ],
)
def test_each_member_has_its_own_place(changes: dict[str, Any], place: str) -> None:
    assert where(body(**changes)) == [place]


@pytest.mark.parametrize(
    ("load", "place"),
    [
        ({"price_type": "barter"}, "price_type"),
        ({"price_type": "contract", "contract": "c" * 101}, "contract"),
        ({"terminals": [{"source_id": "a"}, {}]}, "terminals.1"),
        ({"supplier": {"goid": "company_abc"}}, "supplier.goid"),
    ],
)
def test_r052_r053_r031_errors_of_a_load(load: dict[str, Any], place: str) -> None:
    assert where(body(drop(loads=[load]))) == [f"body.drops.0.loads.0.{place}"]


def test_r041_lengths_of_tank_keys() -> None:
    site = {"source_id": "s", "tank_id": "1" * 11}
    assert where(body(drop(site=site))) == ["body.drops.0.site.tank_id"]
    site = {"goid": "site_ABCDEF", "tank_goid": f"tank_{'A' * 46}"}
    assert where(body(drop(site=site))) == ["body.drops.0.site.tank_goid"]


def test_k31_extra_data_takes_64_kib_and_no_byte_more() -> None:
    def data(size: int) -> dict[str, str]:
        return {"a": "x" * (size - len(json.dumps({"a": ""}, separators=(",", ":"))))}

    assert errors(body(extra_data=data(65536))) == []
    assert errors(body(extra_data=data(65537))) == [
        (["body", "extra_data"], "extra_data_too_large")
    ]
    assert where(body(drop(extra_data=data(65537)))) == ["body.drops.0.extra_data"]
    assert where(body(extra_data={"a": "ä" * 33_000})) == ["body.extra_data"]


def test_k31_strict_names_unknown_members_as_errors_among_the_others() -> None:
    request = body(drop(colour="red", volume=0), speed=1)
    assert where(request) == ["body.drops.0.volume"]
    assert errors(request, strict=True) == [
        (["body", "drops", 0, "volume"], "greater_than"),
        (["body", "drops", 0, "colour"], "extra_forbidden"),
        (["body", "speed"], "extra_forbidden"),
    ]


FAULTS: dict[str, dict[str, Any]] = {
    "body.note": {"note": "n" * 301},
    "body.po": {"po": 1},
    "body.supply_owner": {"supply_owner": {}},
    "body.units": {"units": "x"},
    "body.delivery_window.end": {"delivery_window": window(end="2026-05-01T13:00:00Z")},
    "body.origin_order_number": {"origin_order_number": ""},
}
DROP_FAULTS: dict[str, dict[str, Any]] = {
    "volume": {"volume": 0},
    "site": {"site": {"tank_id": "1"}},
    "product.goid": {"product": {"goid": "x"}},
    "loads.0.contract": {"loads": [{"contract": "C"}]},
    "extra_data": {"extra_data": 5},
}


@given(
    st.lists(st.sampled_from(sorted(FAULTS)), unique=True),
    st.lists(st.lists(st.sampled_from(sorted(DROP_FAULTS)), unique=True), min_size=1, max_size=3),
    st.booleans(),
)
def test_k28_every_fault_is_told_once_in_document_order(
    faults: list[str], drops: list[list[str]], named: bool
) -> None:
    request: dict[str, Any] = body()
    for fault in faults:
        request |= FAULTS[fault]
    request["drops"] = [drop() for _ in drops]
    expected = set(faults)
    for index, (made, drop_faults) in enumerate(zip(request["drops"], drops, strict=True)):
        for fault in drop_faults:
            made.update(DROP_FAULTS[fault])
            expected.add(f"body.drops.{index}.{fault}")
    if not named:
        expected.add("header.x-dest-tenant-name")
    changes = {} if named else {"partner_name": None, "partner": None}
    told = where(request, **changes)
    assert sorted(told) == sorted(expected)
    places = [place for place in told if place.startswith("body.")]
    assert told[: len(told) - len(places)] == [p for p in told if p.startswith("header.")]
    members = list(request)
    ranks = [members.index(place.split(".")[1]) for place in places]
    assert ranks == sorted(ranks)
