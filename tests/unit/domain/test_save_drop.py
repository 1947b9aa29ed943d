"""Save an executed drop (R061-R063, K16, K26, K33, X09)."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.operations import save_drop
from services.domain.world import OrderState
from tests.unit.domain import driver
from tests.unit.domain.driver import (
    DROP,
    by_acme,
    command,
    errors,
    executed,
    found,
    measured,
    say,
    sent,
    take,
    told,
)
from tests.unit.domain.test_save_bol import reread, two_sites
from tests.unit.domain.trade import ACME

TIMES = ["2026-05-01T18:00:00Z", "2026-05-01T19:00:00Z", "2026-05-01T20:00:00Z"]


def drops(order: OrderState) -> list[list[dict[str, Any]]]:
    """The executed drops in the three documents."""
    documents = (order.origin_document, order.master_document, order.destination_document)
    return [document["executed_drops"] for document in documents if document is not None]


def quantities(order: OrderState) -> list[list[Decimal]]:
    [listed] = {
        tuple(tuple(d["quantity"] for d in drop["details"]) for drop in each)
        for each in drops(order)
    }
    return [list(each) for each in listed]


def test_x09_a_drop_is_kept_in_three_wordings_and_sent_in_the_receivers() -> None:
    here = driver.world()
    request = executed(
        measured(tank={"tank_id": "1"}, pre_drop_inches=31.5, pre_drop_time="2026-05-01T17:00:00Z")
    )
    effects = say(here, request, DROP)
    assert told(effects) == ("done", 200, None)
    [origin], [master], [destination] = drops(found(here))
    assert effects.answer.body["executed_drop"] == destination
    [sync] = effects.syncs
    assert (sync.receiver, sync.type) == (ACME, "crossroads.order.drop-saved.v1")
    assert sync.members == {"executed_drop": origin}
    [detail] = origin["details"]
    assert (origin["site"]["source_id"], detail["product"]["source_id"]) == ("o-main", "o-reg")
    assert (detail["tank"]["tank_id"], detail["tank"]["source_id"]) == ("1", "o-main")
    assert detail["pre_drop_inches"] == Decimal("31.5")
    assert (detail["pre_drop_volume"], detail["post_drop_volume"]) == (None, None)
    assert master["details"][0]["tank"]["tank_goid"] == "tank_MAIN0A"


def test_r063_without_a_tank_there_is_none() -> None:
    effects = say(driver.world(), executed(measured(tank=None)), DROP)
    assert effects.answer.body["executed_drop"]["details"][0]["tank"] is None


@pytest.mark.parametrize(
    ("key", "goid"),
    [
        ({"tank_id": "2"}, "tank_MAIN0B"),
        ({"product_source_id": "d-reg"}, "tank_MAIN0A"),
        ({"tank_goid": "tank_MAIN0C"}, "tank_MAIN0C"),
        ({"source_id": "d-main", "tank_id": "10"}, "tank_MAIN0C"),
        ({"source_id": "d-main"}, "tank_MAIN0A"),
        ({}, "tank_MAIN0A"),
    ],
)
def test_k16_a_tank_without_site_keys_is_one_of_the_drops_site(key: Any, goid: str) -> None:
    effects = take(command(DROP, executed(measured(tank=key))), driver.world())
    assert effects.syncs[0].members["executed_drop"]["details"][0]["tank"]["tank_goid"] == goid


def test_a_tank_of_another_site_than_the_drop_is_422() -> None:
    request = executed(measured(tank={"source_id": "d-second", "tank_id": "7"}))
    assert errors(take(command(DROP, request), two_sites())) == [
        (["body", "details", 0, "tank"], "tank_of_another_site")
    ]


def test_a_drop_at_a_site_the_order_does_not_have_is_422() -> None:
    effects = take(command(DROP, executed(site={"source_id": "d-third"})), two_sites())
    assert errors(effects) == [(["body", "site"], "site_not_on_order")]


def test_k05_a_tank_the_site_does_not_have_is_a_gap() -> None:
    effects = take(command(DROP, executed(measured(tank={"tank_id": "77"}))), driver.world())
    assert [(gap.entity, gap.key) for gap in effects.gaps] == [("tank", "d-main/77")]
    assert effects.in_lane


def test_r062_replace_takes_the_place_of_the_sites_records_and_append_comes_after() -> None:
    here = two_sites()
    second = {"source_id": "d-second"}
    say(here, executed(measured(quantity=1)), DROP)
    say(here, executed(measured(quantity=2), site=second), DROP)
    say(here, executed(measured(quantity=3), mode="append"), DROP)
    assert quantities(found(here)) == [[1], [2], [3]]
    say(here, executed(measured(quantity=4)), DROP)
    assert quantities(found(here)) == [[4], [2]], "both records of that site went, no other"
    assert [each["mode"] for each in drops(found(here))[0]] == ["replace", "replace"]


def test_k33_the_same_drop_again_is_done_and_nothing_new() -> None:
    for mode in ("replace", "append"):
        here = driver.world()
        request = executed(measured(quantity=7488.12345678), mode=mode)
        say(here, request, DROP)
        for world in (here, driver.world(reread(found(here)))):
            effects = take(command(DROP, request, id="days-later"), world)
            assert told(effects) == ("done", 200, None)
            assert (effects.order, effects.syncs) == (None, [])


def test_k33_a_replace_that_would_take_an_appended_record_away_is_news() -> None:
    here = driver.world()
    say(here, executed(measured(quantity=1)), DROP)
    say(here, executed(measured(quantity=2), mode="append"), DROP)
    assert len(say(here, executed(measured(quantity=1)), DROP).syncs) == 1
    assert quantities(found(here)) == [[1]]


def test_k33_another_member_is_another_record() -> None:
    here = driver.world()
    say(here, executed(mode="append"), DROP)
    say(here, executed(measured(post_drop_inches=3), mode="append"), DROP)
    assert len(quantities(found(here))) == 2


def test_k26_a_drop_is_taken_after_complete_but_not_on_a_rejected_order() -> None:
    assert say(driver.world(sent(progress="complete")), executed(), DROP).answer.outcome == "done"
    effects = take(command(DROP, executed()), driver.world(sent(receipt="rejected")))
    assert told(effects) == ("refused", 422, "request.order_rejected")


def test_the_origin_may_send_one_too() -> None:
    request = executed(measured(product={"source_id": "o-reg"}), site={"source_id": "o-main"})
    effects = say(driver.world(), request, DROP, **by_acme())
    assert effects.syncs[0].members["executed_drop"]["site"]["source_id"] == "d-main"


@pytest.mark.parametrize(
    ("changes", "loc", "kind"),
    [
        ({"mode": "merge"}, ["mode"], "literal_error"),
        ({"mode": ...}, ["mode"], "missing"),
        ({"details": []}, ["details"], "too_short"),
        ({"site": {}}, ["site"], "key_required"),
        ({"details": [measured(quantity="1")]}, ["details", 0, "quantity"], "float_type"),
        (
            {"details": [measured(post_drop_time=None)]},
            ["details", 0, "post_drop_time"],
            "datetime_parsing",
        ),
        (
            {"details": [measured(tank={"tank_id": "x" * 11})]},
            ["details", 0, "tank", "tank_id"],
            "string_too_long",
        ),
    ],
)
def test_one_wrong_member_is_one_error(changes: Any, loc: Any, kind: str) -> None:
    request = {key: value for key, value in executed(**changes).items() if value is not ...}
    assert errors(take(command(DROP, request), driver.world())) == [(["body", *loc], kind)]


@pytest.mark.parametrize("request_", [{}, [], "x", {"details": [None, {}, 4]}, {"site": 4}])
def test_needs_and_decision_take_whatever_was_sent(request_: Any) -> None:
    here = driver.world()
    made = command(DROP, request_)
    save_drop.needs(made, here.directory)
    assert take(made, here).answer.code == "request.invalid"


RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["d-main", "d-second"]),
        st.sampled_from(["replace", "append"]),
        st.sampled_from(TIMES),
    ),
    max_size=8,
)


@settings(max_examples=50, deadline=None)
@given(RECORDS)
def test_r062_what_is_kept_of_a_site_is_its_last_replace_and_what_was_appended_since(
    records: list[tuple[str, str, str]],
) -> None:
    here = two_sites()
    kept: dict[str, list[tuple[str, str]]] = {}
    for at, (site, mode, time) in enumerate(records):
        request = executed(measured(post_drop_time=time), site={"source_id": site}, mode=mode)
        effects = say(here, request, DROP, id=str(at))
        before = list(kept.get(site, []))
        if mode == "replace":
            kept[site] = [(mode, time)]
        elif (mode, time) not in before:
            kept[site] = [*before, (mode, time)]
        assert bool(effects.syncs) == (kept[site] != before)
    for each in drops(found(here)):
        assert {len(each)} == {sum(len(of_site) for of_site in kept.values())}
    _, _, destination = drops(found(here))
    for site, of_site in kept.items():
        listed = [
            (drop["mode"], drop["details"][0]["post_drop_time"])
            for drop in destination
            if drop["site"]["source_id"] == site
        ]
        assert listed == of_site
