"""Loads and blends (R047-R054, K06, K07)."""

from typing import Any

import pytest

from services.domain import loads

PATH = ("drops", 0, "loads")
KEY = {"source_id": "x"}


def problems(*given: dict[str, Any] | None) -> list[tuple[list[Any], str]]:
    found = loads.problems(given, PATH, lambda *_: False)
    return [(entry["loc"][4:], entry["type"]) for entry in found]


@pytest.mark.parametrize(
    ("load", "listed"),
    [
        ({"terminal": KEY}, [KEY]),
        ({"terminals": [KEY, KEY]}, [KEY, KEY]),
        ({"terminal": KEY, "terminals": []}, [KEY]),
        ({"terminals": []}, []),
        ({}, []),
        ({"terminal": None, "terminals": None}, []),
    ],
)
def test_k06_singular_and_plural_come_to_one_list(load: Any, listed: list[Any]) -> None:
    assert loads.listed(load, "terminal", "terminals") == listed


def test_r047_k07_a_load_may_name_nothing_at_all() -> None:
    assert problems({}) == []


def test_k06_singular_and_plural_of_one_parameter_are_refused() -> None:
    assert problems({"supplier": KEY, "suppliers": [KEY]}) == [
        ([0, "suppliers"], "singular_and_plural")
    ]


@pytest.mark.parametrize(
    "load",
    [
        {"contract": "C1", "price_type": "contract"},
        {"contracts": ["C1"], "price_types": ["rack", "contract"]},
    ],
)
def test_r053_k06_a_contract_with_its_price_type_is_taken(load: dict[str, Any]) -> None:
    assert problems(load) == []


@pytest.mark.parametrize(
    ("load", "member"),
    [
        ({"contract": "C1", "price_type": "rack"}, "contract"),
        ({"contract": "C1"}, "contract"),
        ({"contracts": ["C1"], "price_types": ["rack"]}, "contracts"),
    ],
)
def test_r053_a_contract_without_its_price_type_is_refused(
    load: dict[str, Any], member: str
) -> None:
    assert problems(load) == [([0, member], "contract_without_price_type")]


def test_r049_every_load_of_a_blend_names_the_same_parameters() -> None:
    one = {"product": KEY, "supplier": KEY}
    assert problems(one, {"products": [KEY], "suppliers": [KEY]}) == []
    assert problems(one, {"product": KEY}, {"product": KEY, "supplier": KEY, "terminals": []}) == [
        ([1], "blend_parameters")
    ]


def test_k06_products_may_be_given_without_a_blend() -> None:
    assert problems({"products": [KEY]}) == []


def test_r054_a_load_is_fully_qualified_with_four_parameters() -> None:
    load = {"terminal": KEY, "products": [KEY], "supplier": KEY, "price_type": "rack"}
    assert loads.fully_qualified(load)
    assert not loads.fully_qualified({**load, "price_type": None})
