"""A status that is taken: what is said, echoed and told (R079-R085, K11, K12, K25, K43, K45)."""

from typing import Any

import pytest

from services.domain.world import MasterData
from tests.unit.domain import driver, trade
from tests.unit.domain.driver import (
    DROPPING,
    STATUS,
    by_acme,
    command,
    errors,
    found,
    say,
    sent,
    status,
    take,
    told,
)
from tests.unit.domain.trade import ACME, BETA, NOON, RECORDS


def test_r081_r084_r085_k25_a_status_is_taken_echoed_and_sent_in_the_receivers_words() -> None:
    here = driver.world()
    effects = say(here, status(actual="2026-05-01T15:00:00Z", assigned_to="Dana"))
    assert told(effects) == ("done", 200, None)
    body = effects.answer.body
    assert (body["status"], body["message"], body["log"]) == ("synced", None, effects.logs[0])
    said = body["status_update"]
    assert (said["location"]["source_id"], said["site"]) == ("d-north", None)
    assert (said["actual"], said["assigned_to"]) == ("2026-05-01T15:00:00Z", "Dana")
    [sync] = effects.syncs
    assert (sync.receiver, sync.type) == (ACME, "crossroads.order.status-updated.v1")
    assert sync.members["status_update"] == {
        **said,
        "location": sync.members["status_update"]["location"],
    }
    assert sync.members["status_update"]["location"]["source_id"] == "o-north"
    assert (sync.routing["origin_tenant_name"], sync.routing["destination_source_system"]) == (
        "Beta Haulage",
        "ERP",
    )
    assert (found(here).progress, found(here).updated_at) == ("arrived_at_load", NOON)


def test_a_status_leaves_the_documents_the_objects_they_were() -> None:
    here = driver.world()
    before = found(here)
    order = say(here, status()).order
    assert order is not None
    assert order.origin_document is before.origin_document
    assert order.master_document is before.master_document
    assert order.destination_document is before.destination_document


def test_k26_the_origin_may_send_one_and_it_goes_to_the_destination() -> None:
    here = driver.world()
    effects = say(here, status(location={"source_id": "o-north"}), **by_acme())
    [sync] = effects.syncs
    assert sync.receiver == BETA
    assert sync.members["status_update"]["location"]["source_id"] == "d-north"
    assert sync.routing["destination_instance_name"] == "main"


@pytest.mark.parametrize(
    ("given_", "eta", "delivery_eta"),
    [
        ({"eta": "2026-05-01T15:00:00Z"}, "2026-05-01T15:00:00Z", "2026-05-01T15:00:00Z"),
        ({"delivery_eta": "2026-05-01T16:00:00Z"}, "2026-05-01T16:00:00Z", "2026-05-01T16:00:00Z"),
        (
            {"eta": "2026-05-01T15:00:00Z", "delivery_eta": "2026-05-01T16:00:00Z"},
            "2026-05-01T15:00:00Z",
            "2026-05-01T16:00:00Z",
        ),
        ({"eta": None}, None, None),
    ],
)
def test_r079_r080_k11_either_eta_stands_for_the_other(
    given_: dict[str, Any], eta: str | None, delivery_eta: str | None
) -> None:
    said = say(driver.world(), status(**given_)).answer.body["status_update"]
    assert (said["eta"], said["delivery_eta"]) == (eta, delivery_eta)


def test_r083_hauled_by_is_the_caller_unless_it_is_said() -> None:
    said = say(driver.world(), status()).answer.body["status_update"]
    assert said["hauled_by"] == "Beta Haulage"
    for tenant in (ACME, BETA):
        [sync] = say(driver.world(), status(hauled_by=tenant.slug)).syncs
        assert sync.members["status_update"]["hauled_by"] == tenant.name, "K30: never by slug"
    effects = say(driver.world(), status(hauled_by="Second Haulage"))
    assert effects.syncs[0].members["status_update"]["hauled_by"] == "Second Haulage"


def test_k27_a_time_without_offset_is_local_time_of_the_orders_zone() -> None:
    window = trade.window(timezone="America/Chicago")
    order = trade.order_of(trade.decide(trade.body(driver.LOADED, delivery_window=window)))
    here = driver.world(order)
    said = say(here, status(actual="2026-05-01T08:00:00")).answer.body["status_update"]
    assert said["actual"] == "2026-05-01T13:00:00Z"
    wrong = take(command(STATUS, status(actual="2026-03-08T02:30:00")), here)
    assert errors(wrong) == [(["body", "actual"], "local_time_skipped")]


@pytest.mark.parametrize("progress", ["assigned", *DROPPING])
@pytest.mark.parametrize("location", [..., None])
def test_k12_a_site_may_stand_for_the_location(progress: str, location: Any) -> None:
    request = status(progress, location=location, site={"source_id": "d-main"})
    effects = take(command(STATUS, request), driver.world())
    said = effects.syncs[0].members["status_update"]
    assert (said["location"], said["site"]["source_id"]) == (None, "o-main")


@pytest.mark.parametrize("progress", [*DROPPING, "complete"])
def test_k12_where_the_driver_drops_a_location_may_be_a_site(progress: str) -> None:
    for key in ({"source_id": "d-main"}, {"goid": "site_MAIN01"}):
        effects = take(command(STATUS, status(progress, location=key)), driver.world())
        said = effects.syncs[0].members["status_update"]
        assert (said["location"]["source_id"], said["site"]) == ("o-main", None)


def test_k12_a_terminal_goes_before_a_site_of_the_same_id() -> None:
    both = trade.mapping(BETA, "TMS", "terminal", "d-main", "terminal_NORTH1", age=9)
    here = driver.world(data=trade.master(both))
    effects = take(command(STATUS, status("dropping", location={"source_id": "d-main"})), here)
    assert effects.answer.body["status_update"]["location"]["goid"] == "terminal_NORTH1"


def test_what_was_sent_keeps_its_ids_whatever_the_mappings_say_by_now() -> None:
    here = driver.world(data=MasterData(RECORDS, []))
    effects = take(command(STATUS, status()), here)
    assert effects.syncs[0].members["status_update"]["location"]["source_id"] == "o-north"


def test_k45_the_log_names_the_callers_number_and_the_way_of_the_message() -> None:
    here = driver.world(sent(destination_number="BH-9"))
    log = say(here, status()).logs[0]
    assert (log["title"], log["saga_type"]) == ("Update status BH-9", "progress_status")
    assert (log["metadata"]["group_id"], log["metadata"]["origin_order_number"]) == ("BH-9", "PO-1")
    assert log["routing"]["origin_tenant_name"] == "Beta Haulage"
    assert log["detail"]["message"] == "Sent to ACME Fuels."


def test_k43_a_message_comes_from_the_orders_own_system_unless_one_is_named() -> None:
    here = driver.world(sent(origin_system="Old ERP"))
    request = status("complete", location=None)
    for named, system, instance in (
        ({}, "Old ERP", None),
        ({"system_name": "ERP"}, "ERP", None),
        ({"instance_name": "prod"}, "ERP", "prod"),
    ):
        routing = take(command(STATUS, request, **by_acme(**named)), here).syncs[0].routing
        assert routing["origin_source_system"] == system
        assert routing["origin_instance_name"] == instance
    routing = take(command(STATUS, request), here).syncs[0].routing
    assert routing["destination_source_system"] == "Old ERP"


def test_the_timeline_keeps_every_update_in_the_hubs_words() -> None:
    [event] = say(driver.world(), status()).events
    assert event.kind == "status"
    assert event.detail["location"]["goid"] == "terminal_NORTH1"
    assert (event.detail["by"], event.detail["late"]) == ("Beta Haulage", False)
