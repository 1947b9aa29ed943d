"""Which tank: the first key given decides, the lowest id wins (R040-R046, K04, K05)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain import tanks
from services.domain.mapping import Found
from services.domain.tanks import Chosen, NoTank
from services.domain.world import MappedTank
from tests.unit.domain.trade import DIESEL, ORIGIN_WORDS, REGULAR, SITE

MAPPED = ORIGIN_WORDS[-1]
HERE = Found(SITE, MAPPED)
BY_GOID = Found(SITE, None)
PETROL = Found(REGULAR, ORIGIN_WORDS[0])


def goid(result: Chosen | NoTank) -> str:
    assert isinstance(result, Chosen)
    return result.tank.goid


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (
            {"tank_goid": "tank_MAIN0C", "tank_id": "1", "product_source_id": "o-dsl"},
            "tank_MAIN0C",
        ),
        ({"tank_id": "10", "product_source_id": "o-dsl"}, "tank_MAIN0C"),
        ({"product_source_id": "o-dsl"}, "tank_MAIN0B"),
        ({}, "tank_MAIN0A"),
    ],
)
def test_k04_the_first_of_four_keys_decides(key: dict[str, Any], expected: str) -> None:
    assert goid(tanks.choose(HERE, key, PETROL)) == expected


def test_r045_on_a_tie_the_lowest_id_wins_by_number_where_all_are_numbers() -> None:
    assert goid(tanks.choose(HERE, {"product_source_id": "o-reg"}, None)) == "tank_MAIN0A"
    renamed = tuple(
        replace(tank, tank_id="9") if tank.tank_id == "1" else tank for tank in MAPPED.tanks
    )
    site = Found(SITE, replace(MAPPED, tanks=renamed))
    assert goid(tanks.choose(site, {"product_source_id": "o-reg"}, None)) == "tank_MAIN0A"
    lettered = tuple(
        replace(tank, tank_id="9a") if tank.tank_id == "9" else tank for tank in renamed
    )
    site = Found(SITE, replace(MAPPED, tanks=lettered))
    assert goid(tanks.choose(site, {"product_source_id": "o-reg"}, None)) == "tank_MAIN0C"


def test_r044_a_product_source_id_chooses_only_among_tanks_that_carry_one() -> None:
    bare = tuple(replace(tank, product_source_id=None) for tank in MAPPED.tanks)
    site = Found(SITE, replace(MAPPED, tanks=bare))
    expected = NoTank("product_source_id", "o-reg")
    assert tanks.choose(site, {"product_source_id": "o-reg"}, PETROL) == expected


def test_k04_a_product_chooses_among_the_callers_own_tanks_where_it_lists_any() -> None:
    only = tuple(tank for tank in MAPPED.tanks if tank.tank_id == "10")
    site = Found(SITE, replace(MAPPED, tanks=only))
    assert goid(tanks.choose(site, {}, PETROL)) == "tank_MAIN0C"
    assert tanks.choose(site, {}, Found(DIESEL, None)) == NoTank("product", "product_DIESEL")


def test_k04_without_own_tanks_a_product_chooses_the_lowest_number_of_the_master_site() -> None:
    assert tanks.choose(BY_GOID, {}, PETROL) == Chosen(SITE.tanks[0], None)
    assert goid(tanks.choose(Found(SITE, replace(MAPPED, tanks=())), {}, PETROL)) == "tank_MAIN0A"


@pytest.mark.parametrize(
    ("key", "missing"),
    [
        ({"tank_goid": "tank_NOWHERE"}, NoTank("tank_goid", "tank_NOWHERE")),
        ({"tank_id": "99"}, NoTank("tank_id", "99")),
        ({"product_source_id": "o-kero"}, NoTank("product_source_id", "o-kero")),
    ],
)
def test_k05_no_tank_fits_says_which_key_decided(key: dict[str, Any], missing: NoTank) -> None:
    assert tanks.choose(HERE, key, PETROL) == missing


def test_a_mapped_tank_the_master_site_lacks_does_not_fit() -> None:
    site = Found(replace(SITE, tanks=SITE.tanks[1:]), MAPPED)
    assert tanks.choose(site, {"tank_id": "1"}, None) == NoTank("tank_id", "1")


def test_a_side_calls_a_tank_by_its_lowest_id() -> None:
    both = replace(
        MAPPED, tanks=(MappedTank("7", None, "tank_MAIN0A"), MappedTank("3", None, "tank_MAIN0A"))
    )
    assert tanks.called(both, "tank_MAIN0A") == MappedTank("3", None, "tank_MAIN0A")
    assert tanks.called(both, "tank_MAIN0B") is None
    assert tanks.called(None, "tank_MAIN0A") is None


def test_k05_the_key_of_a_gap_is_the_site_and_the_tank() -> None:
    assert tanks.gap_key(MAPPED, SITE, "9") == "o-main/9"
    assert tanks.gap_key(None, SITE, "9") == "site_MAIN01/9"


numbers = st.integers(0, 10_000).map(str)
texts = st.text(alphabet="0123456789ab", min_size=1, max_size=4)


@given(st.lists(numbers, min_size=1), st.randoms())
def test_k04_numeric_ids_compare_as_numbers_in_any_order(entries: list[str], random: Any) -> None:
    listed = [MappedTank(tank_id, None, "tank_MAIN0A") for tank_id in entries]
    random.shuffle(listed)
    lowest = tanks.lowest(listed)
    assert lowest is not None
    assert int(lowest.tank_id) == min(map(int, entries))


@given(st.lists(texts, min_size=1), st.randoms())
def test_k04_one_id_that_is_no_number_makes_all_compare_as_text(
    entries: list[str], random: Any
) -> None:
    listed = [MappedTank(tank_id, None, "tank_MAIN0A") for tank_id in [*entries, "x"]]
    random.shuffle(listed)
    lowest = tanks.lowest(listed)
    assert lowest is not None
    assert lowest.tank_id == min([*entries, "x"])
