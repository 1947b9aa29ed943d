"""Reference data as the contract names it."""

from typing import Any

import pytest

from schemas.reading import read
from schemas.reference import UPSERT_MAPPING, UPSERT_PAIR, UPSERT_RECORD, UPSERT_TENANT

TENANT = {"slug": "acme", "name": "ACME", "systems": [{"name": "S"}]}
SITE = {"goid": "site_AAAAA1", "entity": "site", "name": "Site"}
MAPPING = {
    "tenant": "acme",
    "system": "S",
    "entity": "site",
    "source_id": "1",
    "source_name": "One",
    "goid": "site_AAAAA1",
}


def _first(adapter: Any, raw: Any) -> tuple[list[str | int], str]:
    (error,) = read(adapter, raw).errors
    return error["loc"][1:], error["type"]


@pytest.mark.parametrize("partitions", [0, 49, "3", 3.0, True])
def test_a_tenant_has_1_to_48_partitions(partitions: Any) -> None:
    loc, _ = _first(UPSERT_TENANT, {**TENANT, "partitions": partitions})
    assert loc == ["partitions"]


def test_a_slug_is_checked_where_it_stands() -> None:
    assert _first(UPSERT_TENANT, {**TENANT, "slug": "ACME"}) == (
        ["slug"],
        "string_pattern_mismatch",
    )


def test_a_pair_needs_only_its_two_tenants_x01() -> None:
    assert read(UPSERT_PAIR, {"origin": "acme", "destination": "blue"}).errors == []


def test_a_pair_knows_its_policies_only() -> None:
    pair = {"origin": "acme", "destination": "blue", "acceptance": "never"}
    assert _first(UPSERT_PAIR, pair) == (["acceptance"], "literal_error")


def test_a_tank_number_is_an_integer() -> None:
    tank = {"goid": "tank_AAAAA1", "number": "1", "product": "product_AAAAA1"}
    assert _first(UPSERT_RECORD, {**SITE, "tanks": [tank]}) == (["tanks", 0, "number"], "int_type")


def test_a_ratio_above_one_is_refused_r050() -> None:
    parts = [{"product": "product_AAAAA1", "ratio": 1.5}]
    blend = {"goid": "product_BBBBB1", "entity": "product", "name": "B", "components": parts}
    assert _first(UPSERT_RECORD, blend) == (["components", 0, "ratio"], "less_than_equal")


def test_a_mapping_names_one_of_four_entities() -> None:
    assert _first(UPSERT_MAPPING, {**MAPPING, "entity": "tank"}) == (["entity"], "literal_error")


def test_a_mapped_tank_needs_its_id_and_its_goid() -> None:
    reading = read(UPSERT_MAPPING, {**MAPPING, "tanks": [{}]})
    assert [e["loc"][-1] for e in reading.errors] == ["tank_id", "tank_goid"]
