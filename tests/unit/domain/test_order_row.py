"""An order in three rows (R050, R095, K14, K20, K26, K43, K44)."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from schemas.changes import ORDER_ROW, OrderSide
from services.domain import order_row
from services.domain.world import Component, Failure, MasterData, MasterRecord, OrderState, World
from tests.unit.domain import driver, trade
from tests.unit.domain.dealing import amend, found, proposal, world
from tests.unit.domain.driver import LOADED, sent
from tests.unit.domain.trade import (
    ACME,
    BETA,
    DESTINATION_WORDS,
    NOON,
    ORIGIN_WORDS,
    PAIR,
    RECORDS,
    mapping,
)

# The members of one side in the order in which 001:463-821 lists them.
MEMBERS = [
    "id", "internal_order_number", "partner_order_number", "po", "status", "order_status",
    "trip_status", "eta", "assigned_to", "hauled_by", "hauled_for", "units", "integration",
    "delivery_window_start", "delivery_window_end", "product_ratios", "drops", "suppliers",
    "origins", "destinations", "created_date", "updated_date", "updated_by", "created_by",
    "routing", "failed_log_id", "integration_error_title", "integration_error_message",
    "pending_change_id", "pending_change_types",
]  # fmt: skip


def rows(here: World, caller: Any = ACME, order: OrderState | None = None) -> dict[str, Any]:
    made = order_row.rows(order or found(here), caller, PAIR, here, by=caller)
    ORDER_ROW.validate_python(made)
    return made


def test_r095_every_side_has_all_the_members() -> None:
    assert list(OrderSide.__annotations__) == MEMBERS
    made = rows(world())
    assert list(made) == ["internal_order", "partner_order", "gravitate_order"]
    assert all(set(side) == set(MEMBERS) for side in made.values())


def test_k44_each_row_is_in_that_sides_words() -> None:
    here = world(sent(destination_number="D-1", po=None))
    made = rows(here, BETA)
    mine, theirs, hub = made.values()
    assert [
        (side["internal_order_number"], side["partner_order_number"]) for side in made.values()
    ] == [("D-1", "PO-1"), ("PO-1", "D-1"), ("PO-1", "D-1")]
    assert [side["integration"] for side in made.values()] == ["TMS", "ERP", "Crossroads"]
    assert (mine["suppliers"], theirs["suppliers"], hub["suppliers"]) == (
        ["d-sup name"],
        ["o-sup name"],
        ["Supply Co"],
    )
    assert [side["origins"] for side in made.values()] == [
        ["d-north name"],
        ["o-north name"],
        ["North Terminal"],
    ]
    assert hub["destinations"] == ["Main Street"]
    assert [side["drops"] for side in made.values()] == [
        (found(here).destination_document or {})["drops"],
        found(here).origin_document["drops"],
        (found(here).master_document or {})["drops"],
    ]


def test_k43_k44_what_all_three_say_alike() -> None:
    here = world(sent(destination_number="D-1"))
    driver.say(here, driver.status(eta="2026-05-01T15:00:00Z", assigned_to="Dana"))
    alike: dict[str, Any] = {
        "id": found(here).id,
        "status": "synced",
        "order_status": "In Progress",
        "trip_status": "arrived_at_load",
        "eta": "2026-05-01T15:00:00Z",
        "assigned_to": "Dana",
        "hauled_by": "Beta Haulage",
        "hauled_for": "ACME Fuels",
        "units": "gallons",
        "delivery_window_start": "2026-05-01T13:00:00Z",
        "delivery_window_end": "2026-05-01T23:00:00Z",
        "created_by": "ACME Fuels",
        "updated_by": "Beta Haulage",
        "pending_change_id": None,
        "pending_change_types": [],
    }
    for side in rows(here, BETA).values():
        assert {name: side[name] for name in alike} == alike
        assert side["routing"]["origin_tenant_name"] == "ACME Fuels"
        assert side["routing"]["destination_tenant_name"] == "Beta Haulage"


def test_k44_a_change_that_is_pending_is_named() -> None:
    here = world()
    change = proposal(here, amend(note="N", po="P"))
    for side in rows(here).values():
        assert (side["pending_change_id"], side["pending_change_types"]) == (
            change.id,
            ["note_change", "po_change"],
        )


def test_r050_a_blends_components_are_shares_of_it_with_their_volumes() -> None:
    blend = MasterRecord(
        "product_BLEND1",
        "product",
        "Blend",
        components=(
            Component("product_REGULAR", Decimal("0.9")),
            Component("product_DIESEL", Decimal("0.1")),
        ),
    )
    both = [
        mapping(ACME, "ERP", "product", "o-mix", blend.goid),
        mapping(BETA, "TMS", "product", "d-mix", blend.goid),
    ]
    data = MasterData([*RECORDS, blend], [*ORIGIN_WORDS, *DESTINATION_WORDS, *both])
    mixed = {**LOADED, "product": {"source_id": "o-mix"}, "volume": 1001}
    plain = {**LOADED, "product": {"source_id": "o-reg"}}
    asked = trade.body({**plain, "volume": 5}, mixed, {**plain, "volume": 7})
    order = trade.order_of(trade.decide(asked, trade.world(data)))
    made = rows(world(order, data=data))
    assert made["internal_order"]["product_ratios"] == [
        {"name": "o-reg name", "amount": Decimal(1), "volume": Decimal(12)},
        {"name": "o-reg name", "amount": Decimal("0.9"), "volume": Decimal("900.9")},
        {"name": "o-dsl name", "amount": Decimal("0.1"), "volume": Decimal("100.1")},
    ]
    assert [each["name"] for each in made["gravitate_order"]["product_ratios"]] == [
        "Regular",
        "Regular",
        "Diesel",
    ]


def test_a_drop_without_a_product_delivers_its_tanks() -> None:
    drop = {name: value for name, value in LOADED.items() if name != "product"}
    [ratio] = rows(world(sent(drop)))["internal_order"]["product_ratios"]
    assert (ratio["name"], ratio["amount"]) == ("o-reg name", 1)


def test_k44_the_last_failure_is_told_on_its_side_and_in_the_hubs_row() -> None:
    here = world()
    order = found(here)
    early, late = NOON, NOON.replace(hour=13)
    here.failures[order.id, ACME.id] = Failure(early, "1" * 24, "Update order", "System Error")
    made = rows(here)
    assert made["internal_order"]["failed_log_id"] == "1" * 24
    assert made["internal_order"]["integration_error_title"] == "Update order"
    assert made["gravitate_order"]["integration_error_message"] == "System Error"
    assert made["partner_order"]["failed_log_id"] is None
    receipt = {"status": "failed", "message": "no room", "at": late.isoformat()}
    failed = replace(order, last_receipt=receipt)
    made = rows(here, order=failed)
    assert made["partner_order"]["integration_error_message"] == "no room"
    assert made["gravitate_order"]["integration_error_message"] == "no room"
    assert made["internal_order"]["integration_error_message"] == "System Error"


def test_what_must_be_loaded_is_what_is_delivered_in_both_sides_words() -> None:
    here = world()
    [need] = order_row.needs([found(here)], [], here.directory)
    assert (need.scope, need.towards, need.goids) == (trade.ERP, trade.TMS, {"product_REGULAR"})
    strange = replace(found(here), destination_id="9" * 24)
    unmapped = replace(found(here), master_document=None)
    assert order_row.needs([strange, unmapped], [], here.directory) == []
    diesel = {"site": {"source_id": "o-main", "tank_id": "2"}, "volume": 1}
    change = proposal(here, amend(drops=[diesel]))
    [need] = order_row.needs([found(here)], [change], here.directory)
    assert need.goids == {"product_REGULAR", "site_MAIN01"}
