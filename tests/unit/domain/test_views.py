"""The flat document of order/get (R089, R090, K08, K20, K30, K43)."""

from dataclasses import replace

from schemas.orders import ORDER_DOCUMENT
from services.domain import views
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
