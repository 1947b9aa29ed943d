"""Tenants: one slug, one name, for ever (X10, contract "Topics")."""

from typing import Any

import pytest

from services.domain import reference
from tests.unit.domain.desk import Desk, tenant, upsert


def put(desk: Desk, body: dict[str, Any], **options: Any) -> Any:
    return desk.take(upsert(reference.TENANT, body, **options))


def locs(answer: Any) -> list[list[Any]]:
    return [entry["loc"] for entry in answer.body["detail"]]


def test_a_new_tenant_gets_derived_ids_and_three_partitions() -> None:
    desk = Desk()
    answer = put(desk, tenant(systems=[{"name": "erp", "primary": True, "instances": ["east"]}]))
    made = desk.world.directory.by_slug["acme"]
    assert (answer.outcome, answer.http_status, answer.code) == ("done", 200, None)
    assert answer.body == {"id": made.id, "outcome": "done", "detail": "created"}
    assert made.partitions == 3
    assert made.active
    ids = [made.id, made.systems[0].id, made.systems[0].instances[0].id]
    assert len(set(ids)) == 3
    assert all(len(one) == 24 for one in ids)


def test_the_same_upsert_again_changes_nothing_and_wakes_nobody() -> None:
    desk = Desk()
    put(desk, tenant())
    desk.woken.clear()
    answer = put(desk, tenant(), id="u2")
    assert answer.body["detail"] == "unchanged"
    assert desk.woken == []


def test_an_update_keeps_ids_and_what_it_leaves_out_and_wakes_who_waits_for_the_tenant() -> None:
    desk = Desk()
    put(desk, tenant(partitions=12, active=False, systems=[{"name": "erp", "instances": ["a"]}]))
    before = desk.world.directory.by_slug["acme"]
    body = tenant(name="Acme Two", systems=[{"name": "new"}, {"name": "erp", "instances": ["a"]}])
    desk.woken.clear()
    assert put(desk, body, id="u2").body == {
        "id": before.id,
        "outcome": "done",
        "detail": "updated",
    }
    after = desk.world.directory.by_slug["acme"]
    assert (after.id, after.partitions, after.active) == (before.id, 12, False)
    assert after.systems[1] == before.systems[0]
    assert desk.woken == ["tenant|acme"]
    assert desk.world.directory.find("Acme Fuels") is None


def test_a_deactivated_tenant_stays_so_until_it_is_said_to_be_active() -> None:
    desk = Desk()
    put(desk, tenant(active=False))
    put(desk, tenant(), id="u2")
    assert not desk.world.directory.by_slug["acme"].active
    put(desk, tenant(active=True), id="u3")
    assert desk.world.directory.by_slug["acme"].active


def test_a_given_id_is_taken_and_can_not_be_changed() -> None:
    desk = Desk()
    put(desk, tenant(id="a" * 24))
    assert desk.world.directory.by_slug["acme"].id == "a" * 24
    assert locs(put(desk, tenant(id="b" * 24), id="u2")) == [["body", "id"]]
    assert locs(put(desk, tenant("bolt", id="a" * 24), id="u3")) == [["body", "id"]]


def test_a_partition_count_never_changes() -> None:
    desk = Desk()
    put(desk, tenant(partitions=6))
    answer = put(desk, tenant(partitions=12), id="u2")
    assert (answer.outcome, answer.http_status, answer.code) == ("refused", 422, "request.invalid")
    assert locs(answer) == [["body", "partitions"]]
    assert desk.world.directory.by_slug["acme"].partitions == 6


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (tenant("bolt", name="Acme Fuels"), ["name"]),
        (tenant("bolt", name="acme"), ["name"]),
        (tenant("bolt", name="bolt"), ["name"]),
        (tenant("bolt", name="Operator"), ["name"]),
        (tenant("operator", name="Somebody"), ["slug"]),
        (tenant("carbon"), ["slug"]),
        (tenant("B", name="Bolt"), ["slug"]),
        (tenant("bolt", partitions=49), ["partitions"]),
        (tenant("bolt", partitions=0), ["partitions"]),
    ],
)
def test_names_are_unique_and_differ_from_every_slug(
    body: dict[str, Any], expected: list[str]
) -> None:
    desk = Desk()
    put(desk, tenant("acme"))
    put(desk, tenant("other", name="carbon"), id="u2")
    answer = put(desk, body, id="u3")
    assert answer.outcome == "refused"
    assert locs(answer) == [["body", *expected]]


def test_all_errors_are_told_at_once_in_document_order_k28() -> None:
    body = {
        "slug": "operator",
        "name": "operator",
        "systems": [
            {"name": "erp", "primary": True, "instances": ["x", "x"]},
            {"name": "erp", "primary": True},
        ],
        "partitions": 99,
    }
    answer = put(Desk(), body)
    assert locs(answer) == [
        ["body", "slug"],
        ["body", "name"],
        ["body", "systems", 0, "instances", 1],
        ["body", "systems", 1, "name"],
        ["body", "systems", 1, "primary"],
        ["body", "partitions"],
    ]


def test_a_tenant_may_not_write_tenants() -> None:
    desk = Desk()
    put(desk, tenant())
    acme = desk.world.directory.by_slug["acme"]
    for body in (tenant(), tenant("fresh"), {}):
        answer = put(desk, body, id="u2", caller=acme)
        assert (answer.http_status, answer.code) == (403, "request.not_allowed")


def test_unknown_members_are_ignored_and_named_or_refused_when_strict_k31() -> None:
    assert put(Desk(), tenant(colour="red")).body["detail"] == (
        "created; ignored unknown fields: colour"
    )
    assert locs(put(Desk(), tenant(colour="red"), strict=True)) == [["body", "colour"]]
