"""Master records: goids, tanks, blends (X10, R038, R050, K37)."""

from decimal import Decimal
from typing import Any

import pytest

from services.domain import reference
from services.domain.operations import upsert_record
from services.domain.tenants import Directory
from tests.unit.domain.desk import Desk, product, site, upsert


def put(desk: Desk, body: dict[str, Any], **options: Any) -> Any:
    return desk.take(upsert(reference.RECORD, body, **{"id": "r1", **options}))


def locs(answer: Any) -> list[list[Any]]:
    return [entry["loc"] for entry in answer.body["detail"]]


def blend(*ratios: float) -> dict[str, Any]:
    parts = [{"product": f"product_PART{at:02}", "ratio": ratio} for at, ratio in enumerate(ratios)]
    return product("product_BLEND1", components=parts)


def test_a_record_is_created_updated_and_unchanged() -> None:
    desk = Desk()
    assert put(desk, product()).body == {
        "id": "product_DIESEL",
        "outcome": "done",
        "detail": "created",
    }
    assert put(desk, product(), id="r2").body["detail"] == "unchanged"
    assert put(desk, product(name="Diesel"), id="r3").body["detail"] == "updated"


def test_a_site_waits_for_the_products_of_its_tanks() -> None:
    desk = Desk()
    answer = put(desk, site())
    assert (answer.outcome, answer.code) == ("waiting", "reference.parent_missing")
    assert answer.body["detail"] == "Waits for product product_DIESEL"
    put(desk, product(), id="r2")
    assert desk.answers["r1"].outcome == "done"
    assert desk.world.master.record("site_STATION") is not None


def test_a_blend_waits_for_every_component_and_is_woken_by_each() -> None:
    desk = Desk()
    put(desk, blend(0.25, 0.75))
    put(desk, product("product_PART00"), id="r2")
    assert desk.answers["r1"].body["detail"] == "Waits for product product_PART01"
    put(desk, product("product_PART01"), id="r3")
    made = desk.world.master.record("product_BLEND1")
    assert made is not None
    assert [part.ratio for part in made.components] == [Decimal("0.25"), Decimal("0.75")]


@pytest.mark.parametrize("ratios", [(1.0,), (0.1, 0.2, 0.7), (0.333333, 0.333333, 0.333333)])
def test_ratios_that_add_up_to_one_are_taken_r050(ratios: tuple[float, ...]) -> None:
    assert put(Desk(), blend(*ratios)).outcome == "waiting"


@pytest.mark.parametrize("ratios", [(0.5,), (0.5, 0.49), (0.6, 0.6), (0.3333, 0.3333, 0.3333)])
def test_ratios_that_do_not_add_up_to_one_are_refused_r050(ratios: tuple[float, ...]) -> None:
    assert locs(put(Desk(), blend(*ratios))) == [["body", "components"]]


@pytest.mark.parametrize(
    "goid", ["site_STATION", "product_ABCDE", "product_abcdef", "product-ABCDEF", "tank_ABCDEF"]
)
def test_a_goid_has_the_form_of_its_entity_k37(goid: str) -> None:
    assert locs(put(Desk(), product(goid))) == [["body", "goid"]]


def test_all_errors_of_a_site_are_told_at_once_k28() -> None:
    tanks = [
        {"goid": "tank_ONE111", "number": 1, "product": "site_STATION"},
        {"goid": "tank_ONE111", "number": 1, "product": "product_DIESEL"},
        {"goid": "bad", "number": "2", "product": "product_DIESEL"},
    ]
    answer = put(Desk(), site(tanks=tanks, components=[{"product": "product_DIESEL", "ratio": 1}]))
    assert locs(answer) == [
        ["body", "tanks", 0, "product"],
        ["body", "tanks", 1, "goid"],
        ["body", "tanks", 1, "number"],
        ["body", "tanks", 2, "goid"],
        ["body", "tanks", 2, "number"],
        ["body", "components"],
    ]


def test_only_a_site_has_tanks_and_no_blend_contains_itself() -> None:
    tanks = [{"goid": "tank_ONE111", "number": 1, "product": "product_DIESEL"}]
    assert locs(put(Desk(), product(tanks=tanks))) == [["body", "tanks"]]
    own = product(components=[{"product": "product_DIESEL", "ratio": 1}])
    assert locs(put(Desk(), own)) == [["body", "components", 0, "product"]]


def test_an_update_wakes_the_tanks_that_were_and_that_are() -> None:
    desk = Desk()
    put(desk, product(), id="r0")
    put(desk, site())
    desk.woken.clear()
    tank = {"goid": "tank_TWO222", "number": 2, "product": "product_DIESEL"}
    put(desk, site(tanks=[tank]), id="r2")
    assert set(desk.woken) == {"record|site_STATION", "record|tank_ONE111", "record|tank_TWO222"}


def test_deactivation_and_its_end_wake_the_record() -> None:
    desk = Desk()
    put(desk, product())
    for at, active in enumerate((False, True)):
        desk.woken.clear()
        put(desk, product(active=active), id=f"r{at + 2}")
        assert desk.woken == ["record|product_DIESEL"]
    put(desk, product(active=False), id="r8")
    put(desk, product(name="Still inactive"), id="r9")
    record = desk.world.master.record("product_DIESEL")
    assert record is not None
    assert not record.active


def test_it_needs_itself_and_its_products() -> None:
    command = upsert(reference.RECORD, site())
    needs = upsert_record.needs(command, Directory.of([], []))
    assert needs.goids == {"site_STATION", "product_DIESEL"}
