"""Which order a command names, and what follows when there is none (R012-R014, K34, K42)."""

from dataclasses import replace

import pytest

from services.domain import addressing
from services.domain.effects import UnknownNumber
from services.domain.tenants import Pair, System
from services.domain.world import OrderState, Scope
from tests.unit.domain import driver
from tests.unit.domain.driver import STATUS, by_acme, command, sent, status, take, told
from tests.unit.domain.trade import ACME, BETA, ERP, GAMMA, TMS

HERE = driver.world()
ORDER = driver.found(HERE)
NUMBERED = replace(ORDER, destination_number="BH-9")


def named(**order: str) -> dict[str, object]:
    return status(order=order)


@pytest.mark.parametrize(
    ("caller", "number"), [(ACME, "PO-1"), (ACME, "BH-9"), (BETA, "PO-1"), (BETA, "BH-9")]
)
def test_r014_k34_either_side_finds_the_order_by_its_own_number_and_by_the_partners(
    caller: object, number: str
) -> None:
    changes = by_acme() if caller is ACME else {}
    asked = command(
        STATUS, status("complete", order={"order_number": number}, location=None), **changes
    )
    assert take(asked, driver.world(NUMBERED)).order is not None


def test_r013_the_hubs_id_finds_it_too_with_a_number_that_agrees() -> None:
    here = driver.world(NUMBERED)
    for order in ({"order_id": ORDER.id}, {"order_id": ORDER.id, "order_number": "BH-9"}):
        assert take(command(STATUS, named(**order)), here).order is not None


def test_k34_an_id_and_a_number_that_disagree_are_404() -> None:
    effects = take(command(STATUS, named(order_id=ORDER.id, order_number="PO-2")), HERE)
    assert told(effects) == ("refused", 404, "request.order_not_found")
    assert effects.answer.body == {"detail": "Order not found for number: PO-2"}


def test_k34_an_id_that_does_not_exist_is_404_at_once() -> None:
    effects = take(command(STATUS, named(order_id="f" * 24)), HERE)
    assert effects.answer.body == {"detail": f"Order not found for id: {'f' * 24}"}


def other_pair(number: str = "PO-7") -> OrderState:
    """An order between ACME and Gamma."""
    return replace(
        ORDER, id="e" * 24, destination_id=GAMMA.id, origin_number=number, command_id="other"
    )


def test_g6_an_order_of_another_pair_is_the_miss_of_one_that_does_not_exist() -> None:
    with_it, without = driver.world(ORDER, other_pair()), driver.world(ORDER)
    for request in (named(order_id="e" * 24), named(order_number="PO-7")):
        asked = command(STATUS, request)
        assert take(asked, with_it) == take(asked, without)
        late = replace(asked, overdue=True)
        assert take(late, with_it) == take(late, without)
    assert take(command(STATUS, named(order_id="e" * 24)), with_it).about is None


def test_k09_an_order_of_the_caller_with_another_partner_than_the_named_one_is_not_found() -> None:
    here = driver.world(ORDER, other_pair())
    effects = take(command(STATUS, named(order_id="e" * 24), **by_acme()), here)
    assert told(effects) == ("refused", 404, "request.order_not_found")
    effects = take(command(STATUS, named(order_number="PO-7"), **by_acme()), here)
    assert effects.answer.code == "lane.order_unknown"


def test_k34_the_same_number_of_two_pairs_is_decided_by_the_other_tenant_named() -> None:
    here = driver.world(ORDER, other_pair("PO-1"))
    effects = take(command(STATUS, status(location={"source_id": "o-north"}), **by_acme()), here)
    assert effects.order_id == ORDER.id


def back(**changes: object) -> OrderState:
    """An order that Beta sent to ACME."""
    turned = {"id": "9" * 24, "origin_id": BETA.id, "destination_id": ACME.id, "command_id": "b"}
    return replace(ORDER, **{**turned, **changes})  # type: ignore[arg-type]


def test_k34_the_callers_own_number_goes_before_the_partners() -> None:
    here = driver.world(ORDER, back())
    assert addressing.find(command(STATUS, status()), ACME, here) == here.orders["9" * 24]
    assert addressing.find(command(STATUS, status(), **by_acme()), BETA, here) == ORDER


def test_k34_a_number_that_is_the_callers_own_twice_is_ambiguous() -> None:
    here = driver.world(NUMBERED, back(origin_number="BH-9"))
    effects = take(command(STATUS, named(order_number="BH-9")), here)
    assert told(effects) == ("refused", 422, "request.order_ambiguous")
    assert effects.answer.body["log"]["detail"]["error"] == "request.order_ambiguous"


def test_k42_a_number_nobody_gave_waits_and_says_what_for() -> None:
    effects = take(command(STATUS, named(order_number="PO-2")), HERE)
    assert told(effects) == ("waiting", 200, "lane.order_unknown")
    assert effects.number == UnknownNumber(BETA.id, ACME.id, "PO-2")
    assert (effects.answer.body["status"], effects.answer.body["status_update"]) == (
        "pending",
        None,
    )
    assert "PO-2" in effects.answer.body["message"]


def test_k42_a_wait_that_is_over_ends_with_the_fixed_text_unless_the_order_came() -> None:
    late = command(STATUS, named(order_number="PO-2"), overdue=True)
    effects = take(late, HERE)
    assert told(effects) == ("refused", 404, "request.order_not_found")
    assert effects.answer.body == {"detail": "Order not found for number: PO-2"}
    assert take(late, driver.world(sent(origin_number="PO-2"))).answer.outcome == "done"


def test_a_command_in_an_orders_lane_means_that_order_whatever_came_since() -> None:
    here = driver.world(ORDER, back())
    asked = command(STATUS, status(), lane=ORDER.id)
    assert addressing.find(asked, ACME, here) == ORDER
    assert addressing.needs(asked, here.directory, ()).order_ids == {(asked.caller.id, ORDER.id)}


@pytest.mark.parametrize(
    "order", [{}, {"order_id": None, "order_number": None}, {"order_number": ""}]
)
def test_r012_at_least_one_of_id_and_number_is_needed(order: dict[str, None]) -> None:
    effects = take(command(STATUS, status(order=order)), HERE)
    assert driver.errors(effects) == [(["body", "order"], "key_required")]


def test_an_order_that_does_not_read_is_told_once() -> None:
    effects = take(command(STATUS, status(order={"order_number": 7})), HERE)
    assert driver.errors(effects) == [(["body", "order", "order_number"], "string_type")]
    effects = take(command(STATUS, status(order=...)), HERE)
    assert driver.errors(effects) == [(["body", "order"], "missing")]


def test_no_pair_in_either_direction_is_403() -> None:
    asked = command(STATUS, status(), partner=GAMMA, partner_name="Gamma Oil")
    assert told(take(asked, HERE)) == ("refused", 403, "request.no_such_pair")


def test_k01_a_partner_nobody_knows_is_403_and_one_not_named_an_error_of_the_header() -> None:
    asked = command(STATUS, status(), partner=None, partner_name="Nobody")
    without = command(STATUS, status(), partner=GAMMA, partner_name="Gamma Oil")
    assert told(take(asked, HERE)) == ("refused", 403, "request.no_such_pair")
    assert take(asked, HERE).answer == take(without, HERE).answer
    asked = command(STATUS, status(), partner=None, partner_name=None)
    assert driver.errors(take(asked, HERE)) == [(["header", "x-dest-tenant-name"], "missing")]


def test_a_deactivated_tenant_is_refused_but_what_it_sent_before_goes_on() -> None:
    inactive = replace(BETA, active=False)
    asked = command(STATUS, status(), caller=inactive)
    assert told(take(asked, HERE)) == ("refused", 403, "request.not_allowed")
    assert take(replace(asked, lane=ORDER.id), HERE).answer.outcome == "done"


def test_needs_name_the_number_as_the_caller_may_mean_it_and_its_keys() -> None:
    acme = replace(ACME, systems=ACME.systems[:1])
    asked = command(STATUS, status(), partner=acme)
    needs = addressing.needs(asked, HERE.directory, [("terminal", {"source_id": "d-north"})])
    assert (needs.addresses, needs.order_ids, needs.numbers) == ({(BETA.id, "PO-1")}, set(), set())
    assert (needs.scope, needs.towards, needs.further) == (TMS, ERP, ())
    assert needs.keys == [("terminal", {"source_id": "d-north"})]


def test_needs_of_a_tenant_with_several_systems_are_those_of_each() -> None:
    key = ("terminal", {"source_id": "o-north"})
    needs = addressing.needs(command(STATUS, status(), **by_acme()), HERE.directory, [key])
    ways = [(need.scope, need.towards) for need in (needs, *needs.further)]
    assert ways == [(ERP, TMS), (Scope(ACME.id, "Old ERP"), TMS)]
    assert all(need.keys == [key] for need in needs.further)
    beta = replace(BETA, systems=(*BETA.systems, System("n", "New", primary=False)))
    asked = command(STATUS, status(), **by_acme(system_name="ERP", partner=beta))
    needs = addressing.needs(asked, HERE.directory, [key])
    assert [each.towards for each in (needs, *needs.further)] == [TMS, Scope(BETA.id, "New")]


def test_an_order_is_called_by_the_number_its_destination_gives_it_later() -> None:
    here = driver.world(ORDER)
    assert here.orders_called(BETA.id, "BH-9") == []
    here.put_order(NUMBERED)
    assert here.orders_called(BETA.id, "BH-9") == here.orders_called(ACME.id, "BH-9") == [NUMBERED]
    assert here.orders_called(BETA.id, "PO-1") == [NUMBERED]
    assert here.orders_called(GAMMA.id, "PO-1") == []


def test_pairs_in_either_direction_let_progress_be_told() -> None:
    here = driver.world(ORDER)
    here.directory.pairs = {(BETA.id, ACME.id): Pair("x", BETA, ACME)}
    assert take(command(STATUS, status()), here).order is not None, "the order is of the older pair"
