"""The flat document of order/get (R089, R090, K08, K20, K30, K43)."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.orders import ORDER_DOCUMENT
from services.domain import views
from tests.unit.domain import driver
from tests.unit.domain.trade import ACME, BETA, body, decide, drop, order_of, world

DIRECTORY = world().directory
SENT = order_of(decide())


def test_r089_every_member_is_there_and_reads_as_its_schema() -> None:
    document = views.order_document(SENT, {ACME.id}, DIRECTORY)
    ORDER_DOCUMENT.validate_python(document)
    assert document["_id"] == SENT.id
    assert document["status"] == "synced"
    assert document["progression_state"] == "No Progress"
    assert document["trip_status"] == "no_progress"
    assert document["created_at"] == "2026-05-01T12:00:00Z"
    assert document["routing"]["origin_tenant_name"] == "ACME Fuels"


def test_k08_order_is_the_callers_own_view() -> None:
    mine = views.order_document(SENT, {ACME.id}, DIRECTORY)
    theirs = views.order_document(SENT, {BETA.id}, DIRECTORY)
    assert mine["order"] == SENT.origin_document
    assert theirs["order"] == SENT.destination_document
    assert mine["origin_order"] == theirs["origin_order"]


def test_r090_an_order_that_waits_has_no_documents_it_is_not_mapped_to() -> None:
    waiting = order_of(decide(body(drop(product={"source_id": "x"}))))
    document = views.order_document(waiting, {BETA.id}, DIRECTORY)
    assert (document["status"], document["failed_at_step"]) == ("origin_mapped", "origin_mapped")
    assert document["master_order"] is None
    assert document["destination_order"] is None
    assert document["order"] is None


def test_k20_the_destination_hauls_for_the_origin_unless_the_hauler_created_it() -> None:
    document = views.order_document(SENT, {ACME.id}, DIRECTORY)
    assert (document["hauled_by"], document["hauled_by_id"]) == ("Beta Haulage", BETA.id)
    assert (document["hauled_for"], document["hauled_for_id"]) == ("ACME Fuels", ACME.id)
    turned = views.order_document(replace(SENT, created_by_hauler=True), {ACME.id}, DIRECTORY)
    assert (turned["hauled_by"], turned["hauled_for"]) == ("ACME Fuels", "Beta Haulage")


def moved(*requests: dict[str, Any]) -> dict[str, Any]:
    """What get shows of the order after these statuses of Beta's."""
    here = driver.world()
    for at, request in enumerate(requests):
        driver.say(here, request, id=str(at))
    document = views.order_document(driver.found(here), {BETA.id}, here.directory)
    ORDER_DOCUMENT.validate_python(document)
    return document


def test_k14_k26_the_trip_is_shown_with_the_last_values_given() -> None:
    document = moved(
        driver.status(eta="2026-05-01T20:00:00Z", assigned_to="Dana"), driver.status("loading")
    )
    assert (document["trip_status"], document["progression_state"]) == ("loading", "In Progress")
    assert (document["eta"], document["delivery_eta"]) == ("2026-05-01T20:00:00Z",) * 2
    assert document["assigned_to"] == "Dana"
    assert moved(driver.status("complete", location=None))["progression_state"] == "Complete"


@pytest.mark.parametrize(
    ("hauled_by", "shown"),
    [
        (None, ("Beta Haulage", BETA.id)),
        ("", ("Beta Haulage", BETA.id)),
        ("ACME Fuels", ("ACME Fuels", ACME.id)),
        ("beta", ("Beta Haulage", BETA.id)),
        ("Second Haulage", ("Second Haulage", None)),
    ],
)
def test_k26_hauled_by_changes_only_by_an_explicit_one(
    hauled_by: str | None, shown: tuple[str, str | None]
) -> None:
    document = moved(driver.status(hauled_by=hauled_by), driver.status("loading"))
    assert (document["hauled_by"], document["hauled_by_id"]) == shown
    assert document["hauled_for"] == "ACME Fuels"


def test_r055_r090_the_papers_stand_in_all_three_orders_and_in_the_callers_view() -> None:
    here = driver.world()
    driver.say(here, driver.bol(), driver.BOL)
    driver.say(here, driver.executed(), driver.DROP)
    driver.say(here, driver.image(), driver.IMAGE)
    for caller, own in ((ACME, "origin_order"), (BETA, "destination_order")):
        document = views.order_document(driver.found(here), {caller.id}, here.directory)
        ORDER_DOCUMENT.validate_python(document)
        assert document["order"] == document[own]
        for each in ("origin_order", "master_order", "destination_order"):
            papers = [document[each][kind] for kind in ("bols", "executed_drops", "bol_photos")]
            assert [len(kind) for kind in papers] == [1, 1, 1]


def test_k43_the_routing_of_get_is_the_orders_direction_whoever_moved_it_last() -> None:
    routing = moved(driver.status())["routing"]
    assert routing["origin_tenant_name"] == "ACME Fuels"
    assert routing["destination_instance_name"] == "main"
    assert (routing["origin_instance_id"], routing["origin_instance_name"]) == (None, None)
