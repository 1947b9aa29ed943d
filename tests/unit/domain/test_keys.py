"""What a mapping key may hold (R031-R038, K37)."""

from typing import Any

import pytest

from services.domain import keys

PATH = ("drops", 0, "site")


def types(entity: str, key: dict[str, Any], **options: Any) -> list[str]:
    return [entry["type"] for entry in keys.problems(entity, key, PATH, **options)]


@pytest.mark.parametrize(
    "key", [{}, {"source_id": None}, {"source_id": "", "source_name": None}, {"tank_id": "1"}]
)
def test_r031_a_key_needs_one_of_its_fields(key: dict[str, Any]) -> None:
    assert types("site", key) == ["key_required"]


@pytest.mark.parametrize("field", ["source_id", "source_name", "mapping_id"])
def test_r031_each_field_alone_is_enough(field: str) -> None:
    assert types("product", {field: "x"}) == []


def test_a_key_whose_members_did_not_read_is_not_called_empty() -> None:
    assert types("product", {}, spoiled=True) == []


@pytest.mark.parametrize("field", ["source_id", "source_name", "mapping_id"])
def test_r036_a_goid_stands_alone(field: str) -> None:
    assert types("product", {"goid": "product_ABCDEF", field: "x"}) == ["goid_alone"]


def test_r037_a_sites_goid_may_have_a_tank_goid_only() -> None:
    key = {"goid": "site_ABCDEF", "tank_goid": "tank_ABCDEF"}
    assert types("site", key) == []
    assert types("site", {**key, "tank_id": "1"}) == ["goid_alone"]
    assert types("site", {**key, "product_source_id": "1"}) == ["goid_alone"]


@pytest.mark.parametrize("entity", ["company", "site", "product", "terminal"])
def test_r038_k37_a_goid_has_its_entitys_prefix_and_six_or_more_characters(entity: str) -> None:
    assert types(entity, {"goid": f"{entity}_ABC123"}) == []
    assert types(entity, {"goid": f"{entity}_ABC123XYZ9"}) == []
    for wrong in (f"{entity}_ABC12", f"{entity}_abc123", "tank_ABC123", f"{entity}_ABC123 "):
        assert types(entity, {"goid": wrong}) == ["goid_format"]


def test_r038_a_tank_goid_has_its_own_prefix() -> None:
    assert types("site", {"source_id": "x", "tank_goid": "site_ABCDEF"}) == ["goid_format"]
