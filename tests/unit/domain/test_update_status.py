"""Update the status (R075-R085, K11, K12, K14, K25, K26, K33, K42)."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.dump import iso_utc
from services.domain.operations import update_status
from services.domain.world import MasterData, OrderState
from tests.unit.domain import driver, trade
from tests.unit.domain.driver import (
    STATUS,
    apply,
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
from tests.unit.domain.trade import ACME, BETA, DESTINATION_WORDS, NOON, ORIGIN_WORDS, RECORDS

LOADING = ["driving_to_load", "arrived_at_load", "loading", "completed_load"]
DROPPING = ["driving_to_drop", "arrived_at_drop", "dropping", "completed_drop"]


def test_r084_r085_a_status_is_taken_echoed_and_sent_in_the_receivers_words() -> None:
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


# -- bad input


@pytest.mark.parametrize("unknown", ["no_progress", "ARRIVED_AT_LOAD", "done", "", None, 7])
def test_k14_a_status_that_is_none_is_422(unknown: Any) -> None:
    [(loc, kind)] = errors(take(command(STATUS, status(unknown)), driver.world()))
    assert loc == ["body", "progress_status"]
    assert kind == "literal_error"


@pytest.mark.parametrize("progress", ["assigned", *LOADING, *DROPPING])
@pytest.mark.parametrize("location", [..., None])
def test_r076_without_location_and_site_a_status_is_422(progress: str, location: Any) -> None:
    effects = take(command(STATUS, status(progress, location=location)), driver.world())
    assert errors(effects) == [(["body", "location"], "location_required")]


@pytest.mark.parametrize("location", [..., None])
def test_r076_complete_needs_no_place(location: Any) -> None:
    effects = take(command(STATUS, status("complete", location=location)), driver.world())
    assert effects.answer.outcome == "done"


@pytest.mark.parametrize("progress", ["assigned", *DROPPING])
@pytest.mark.parametrize("location", [..., None])
def test_k12_a_site_may_stand_for_the_location(progress: str, location: Any) -> None:
    request = status(progress, location=location, site={"source_id": "d-main"})
    effects = take(command(STATUS, request), driver.world())
    said = effects.syncs[0].members["status_update"]
    assert (said["location"], said["site"]["source_id"]) == (None, "o-main")


@pytest.mark.parametrize("progress", LOADING)
def test_k12_a_site_alone_is_no_place_to_load(progress: str) -> None:
    request = status(progress, location=None, site={"source_id": "d-main"})
    effects = take(command(STATUS, request), driver.world())
    assert errors(effects) == [(["body", "location"], "location_required")]
    both = status(progress, site={"source_id": "d-main"})
    assert take(command(STATUS, both), driver.world()).answer.outcome == "done"


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


@pytest.mark.parametrize("progress", ["assigned", *LOADING])
def test_k12_where_the_driver_loads_a_location_is_a_terminal(progress: str) -> None:
    request = status(progress, location={"source_id": "d-main"})
    effects = take(command(STATUS, request), driver.world())
    assert told(effects) == ("waiting", 200, "mapping.gap")
    assert [(gap.entity, gap.key) for gap in effects.gaps] == [("terminal", "d-main")]
    by_goid = status(progress, location={"goid": "site_MAIN01"})
    effects = take(command(STATUS, by_goid), driver.world())
    assert errors(effects) == [(["body", "location", "goid"], "goid_format")]


@pytest.mark.parametrize("key", [{}, {"source_id": ""}, {"source_id": None}])
def test_r031_an_empty_key_is_422(key: dict[str, Any]) -> None:
    effects = take(command(STATUS, status(location=key)), driver.world())
    assert errors(effects) == [(["body", "location"], "key_required")]


def test_k28_every_error_is_told_at_once_in_document_order() -> None:
    request = status("flying", eta=5, assigned_to="x" * 51, location={}, order={})
    effects = take(command(STATUS, request), driver.world())
    assert [loc[1:] for loc, _ in errors(effects)] == [
        ["order"],
        ["location"],
        ["progress_status"],
        ["eta"],
        ["assigned_to"],
    ]


def test_r082_assigned_to_has_at_most_50_characters() -> None:
    assert told(say(driver.world(), status(assigned_to="x" * 50)))[0] == "done"
    effects = take(command(STATUS, status(assigned_to="x" * 51)), driver.world())
    assert errors(effects) == [(["body", "assigned_to"], "string_too_long")]


def test_k31_an_unknown_member_is_named_or_refused_when_strict() -> None:
    effects = say(driver.world(), status(speed=50))
    assert effects.answer.body["message"] == "Ignored unknown fields: speed"
    effects = take(command(STATUS, status(speed=50), strict=True), driver.world())
    assert errors(effects) == [(["body", "speed"], "extra_forbidden")]


def test_k03_an_unknown_mapping_id_can_never_arrive() -> None:
    request = status("dropping", location={"mapping_id": "f" * 24})
    effects = take(command(STATUS, request), driver.world())
    assert errors(effects) == [(["body", "location", "mapping_id"], "unknown_mapping")]


# -- after the end, and on orders that take nothing


def complete(**changes: Any) -> dict[str, Any]:
    return status("complete", location=None, **changes)


@pytest.mark.parametrize("progress", ["assigned", *LOADING, *DROPPING])
def test_k26_after_complete_any_other_status_is_refused(progress: str) -> None:
    here = driver.world()
    say(here, complete())
    place = {"source_id": "d-north"}
    effects = take(command(STATUS, status(progress, location=place), id="next"), here)
    assert told(effects) == ("refused", 422, "request.order_already_complete")
    assert effects.about == found(here).id
    assert effects.answer.body["log"]["detail"]["error"] == "request.order_already_complete"


def test_k33_the_same_complete_again_is_done_and_nothing_new() -> None:
    here = driver.world()
    first = say(here, complete(actual="2026-05-01T19:00:00Z", hauled_by="X"))
    again = complete(actual="2026-05-01T21:00:00+02:00", hauled_by="X")
    effects = say(here, again, id="days-later", accepted_at=NOON + timedelta(days=3))
    assert told(effects) == ("done", 200, None)
    assert effects.answer.body["status_update"] == first.answer.body["status_update"]
    assert (effects.order, effects.syncs, effects.events) == (None, [], [])
    assert effects.about == found(here).id


def test_k33_complete_as_the_other_side_says_it_too_is_nothing_new() -> None:
    here = driver.world()
    say(here, complete())
    assert say(here, complete(), **by_acme()).syncs == []


@pytest.mark.parametrize(
    "change",
    [
        {"actual": "2026-05-01T19:00:01Z"},
        {"assigned_to": "Dana"},
        {"hauled_by": "Y"},
        {"location": {"source_id": "d-north"}},
        {"location": {"source_id": "nowhere"}},
    ],
)
def test_k26_another_complete_after_complete_is_refused(change: dict[str, Any]) -> None:
    here = driver.world()
    say(here, complete(actual="2026-05-01T19:00:00Z"))
    request = {**complete(actual="2026-05-01T19:00:00Z"), **change}
    effects = take(command(STATUS, request, id="next"), here)
    assert told(effects) == ("refused", 422, "request.order_already_complete")


def test_k26_complete_is_not_refused_for_want_of_papers_but_the_log_warns() -> None:
    effects = say(driver.world(), complete())
    assert effects.answer.outcome == "done"
    assert "without bills of lading and executed drops" in effects.logs[0]["detail"]["message"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"delivery": "canceled"}, "request.order_canceled"),
        ({"receipt": "rejected"}, "request.order_rejected"),
        ({"delivery": "canceled", "progress": "complete"}, "request.order_canceled"),
        ({"delivery": "failed"}, "request.order_not_sent"),
    ],
)
def test_k26_a_closed_order_takes_nothing(changes: dict[str, Any], code: str) -> None:
    effects = take(command(STATUS, status()), driver.world(sent(**changes)))
    assert told(effects) == ("refused", 422, code)
    assert effects.answer.body["log"]["metadata"]["crossroads_order_id"] == effects.about


def test_an_order_whose_receipt_failed_still_takes_progress() -> None:
    assert say(driver.world(sent(receipt="failed")), status()).answer.outcome == "done"


# -- out of order


def trip(order: OrderState) -> dict[str, Any]:
    assert order.trip is not None
    return dict(order.trip)


def test_k26_an_older_status_is_forwarded_but_does_not_move_the_trip_back() -> None:
    here = driver.world()
    say(here, status("loading", actual="2026-05-01T15:00:00Z", eta="2026-05-01T20:00:00Z"))
    late = status(actual="2026-05-01T14:00:00Z", eta="2026-05-01T19:00:00Z", assigned_to="Dana")
    effects = say(here, late, id="late", accepted_at=NOON + timedelta(hours=1))
    assert effects.answer.body["status_update"]["progress_status"] == "arrived_at_load"
    assert len(effects.syncs) == 1
    assert effects.events[0].detail["late"] is True
    assert found(here).progress == "loading"
    assert trip(found(here))["eta"] == "2026-05-01T20:00:00Z", "the newer value stays"
    assert trip(found(here))["assigned_to"] == "Dana", "nothing newer said it"
    assert trip(found(here))["actual"] == "2026-05-01T15:00:00Z"


def test_k26_without_actual_on_both_the_arrival_decides() -> None:
    here = driver.world()
    say(here, status("loading", actual="2026-05-01T15:00:00Z"), accepted_at=NOON)
    early = NOON - timedelta(seconds=1)
    say(here, status("assigned"), id="a", accepted_at=early)
    assert found(here).progress == "loading"
    say(here, status("completed_load"), id="b", accepted_at=NOON)
    assert found(here).progress == "completed_load", "of one moment the later decided is newer"


def test_k26_a_fraction_of_a_second_is_older_or_newer() -> None:
    here = driver.world()
    say(here, status("loading", actual="2026-05-01T15:00:00.5Z"))
    say(here, status("assigned", actual="2026-05-01T15:00:00Z"), id="b")
    assert found(here).progress == "loading"


def test_k26_load_and_drop_cycles_repeat_and_steps_are_skipped() -> None:
    here = driver.world()
    for at, progress in enumerate(["completed_drop", "driving_to_load", "loading", "loading"]):
        say(here, status(progress), id=f"s{at}")
        assert found(here).progress == progress


def test_complete_is_never_late() -> None:
    here = driver.world()
    say(here, status("dropping", actual="2026-05-01T18:00:00Z"))
    say(here, complete(actual="2026-05-01T17:59:00Z"), id="end")
    assert found(here).progress == "complete"


def test_k26_eta_and_assigned_to_keep_the_last_value_given_hauled_by_the_last_explicit_one() -> (
    None
):
    here = driver.world()
    say(here, status(eta="2026-05-01T20:00:00Z", assigned_to="Dana", hauled_by="Second"))
    say(here, status("loading"), id="b")
    kept = trip(found(here))
    assert [kept[member] for member in ("eta", "delivery_eta", "assigned_to", "hauled_by")] == [
        "2026-05-01T20:00:00Z",
        "2026-05-01T20:00:00Z",
        "Dana",
        "Second",
    ]
    say(here, status("loading", delivery_eta="2026-05-01T21:00:00Z", assigned_to="Ali"), id="c")
    kept = trip(found(here))
    assert (kept["delivery_eta"], kept["assigned_to"]) == ("2026-05-01T21:00:00Z", "Ali")


def test_k42_a_status_on_an_order_that_waits_for_mappings_waits_in_its_lane() -> None:
    gap = trade.body(trade.drop(product={"source_id": "o-kero"}))
    waiting = trade.order_of(trade.decide(gap))
    effects = take(command(STATUS, status()), driver.world(waiting))
    assert told(effects) == ("waiting", 200, "lane.behind")
    assert (effects.in_lane, effects.about, effects.order) == (True, waiting.id, None)
    assert effects.answer.body["status"] == "pending"


def test_k42_a_status_behind_others_waits_until_its_turn() -> None:
    here = driver.world(sent(waiting=2))
    assert told(take(command(STATUS, status()), here)) == ("waiting", 200, "lane.behind")
    assert take(command(STATUS, status(), lane=found(here).id), here).answer.outcome == "done"


def test_progress_on_a_requested_order_waits_even_at_its_turn() -> None:
    here = driver.world(sent(delivery="requested"))
    for lane in (None, found(here).id):
        effects = take(command(STATUS, status(), lane=lane), here)
        assert told(effects) == ("waiting", 200, "lane.behind")
        assert "acceptance by Beta Haulage" in effects.answer.body["message"]


def test_x05_a_location_without_mapping_waits_in_the_lane_with_its_gap() -> None:
    here = driver.world()
    request = status(location={"source_id": "d-south"})
    effects = say(here, request)
    assert told(effects) == ("waiting", 200, "mapping.gap")
    assert effects.answer.body["status"] == "origin_mapped"
    assert effects.answer.body["status_update"]["location"]["source_id"] == "d-south"
    assert "terminal source_id 'd-south' (Beta Haulage in TMS)" in effects.answer.body["message"]
    assert told(say(here, status("loading"), id="next"))[2] == "lane.behind"
    here.master.put_mapping(trade.mapping(BETA, "TMS", "terminal", "d-south", "terminal_NORTH1"))
    assert say(here, request, lane=found(here).id).answer.outcome == "done"


def test_r084_a_location_the_receiver_has_no_word_for_waits_at_master_mapped() -> None:
    data = MasterData(
        RECORDS, [*DESTINATION_WORDS, *(each for each in ORIGIN_WORDS if each.entity != "terminal")]
    )
    here = driver.world(sent(trade.drop()), data=data)
    effects = take(command(STATUS, status()), here)
    assert effects.answer.body["status"] == "master_mapped"
    assert [gap.tenant_id for gap in effects.gaps] == [ACME.id]


def test_k12_a_place_to_drop_that_nobody_knows_waits_for_a_site_or_a_terminal() -> None:
    here = driver.world()
    request = status("dropping", location={"source_id": "d-new"})
    [gap] = take(command(STATUS, request), here).gaps
    assert (gap.entity, gap.key) == ("site", "d-new")
    for entity, goid in (("site", "site_MAIN01"), ("terminal", "terminal_NORTH1")):
        token = f"id|{BETA.id}|TMS|{entity}|d-new"
        assert token in gap.wake_on
        data = trade.master(trade.mapping(BETA, "TMS", entity, "d-new", goid))
        effects = take(command(STATUS, request), driver.world(data=data))
        assert effects.answer.body["status_update"]["location"]["goid"] == goid


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


MOMENTS = st.integers(0, 6).map(lambda hours: NOON + timedelta(hours=hours))
UPDATES = st.lists(
    st.tuples(
        st.sampled_from(["assigned", *LOADING, *DROPPING]),
        st.one_of(st.none(), MOMENTS),
        st.one_of(st.none(), st.sampled_from(["Dana", "Ali"])),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(UPDATES)
def test_k26_whatever_comes_the_trip_is_at_an_update_nothing_before_it_is_newer_than(
    updates: list[tuple[str, datetime | None, str | None]],
) -> None:
    here = driver.world()
    said: list[str | None] = []
    for at, (progress, actual, assigned_to) in enumerate(updates):
        before = found(here)
        request = status(
            progress,
            actual=None if actual is None else iso_utc(actual),
            assigned_to=assigned_to,
        )
        accepted_at = NOON + timedelta(seconds=at)
        effects = apply(command(STATUS, request, id=str(at), accepted_at=accepted_at), here)
        assert len(effects.syncs) == 1, "stored and forwarded, late or not"
        newest = None if before.trip is None else before.trip["actual"]
        late = actual is not None and newest is not None and actual < datetime.fromisoformat(newest)
        assert found(here).progress == (before.progress if late else progress)
        said.append(assigned_to)
        assert (trip(found(here))["assigned_to"] is None) == (not any(said))


@pytest.mark.parametrize("request_", [{}, [], "x", {"order": None}, {"location": 5}, None])
def test_needs_and_decision_take_whatever_was_sent(request_: Any) -> None:
    here = driver.world()
    for partner in (ACME, None):
        made = command(STATUS, request_, partner=partner)
        update_status.needs(made, here.directory)
        assert take(made, here).answer.code == "request.invalid"


def test_a_named_system_gives_the_keys_their_meaning_and_the_orders_words_none() -> None:
    beta = replace(
        BETA, systems=(*BETA.systems, replace(BETA.systems[0], id="n", name="New", primary=False))
    )
    here = driver.world()
    here.directory.by_id[BETA.id] = beta
    asked = command(STATUS, status(), caller=beta, system_name="New")
    effects = take(asked, here)
    assert [(gap.system, gap.key) for gap in effects.gaps] == [("New", "d-north")]
