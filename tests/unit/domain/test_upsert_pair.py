"""Pairs: who may send orders to whom, and how (X01, X06, X10)."""

from typing import Any

import pytest

from services.domain import reference
from tests.unit.domain.desk import Desk, tenant, upsert


def put(desk: Desk, body: dict[str, Any], **options: Any) -> Any:
    return desk.take(upsert(reference.PAIR, body, **{"id": "p1", **options}))


def with_tenants() -> Desk:
    desk = Desk()
    desk.take(
        upsert(reference.TENANT, tenant("acme"), id="a"),
        upsert(reference.TENANT, tenant("bolt", systems=[{"name": "tms"}]), id="b"),
    )
    return desk


def pair_of(desk: Desk) -> Any:
    directory = desk.world.directory
    return directory.pair(directory.by_slug["acme"], directory.by_slug["bolt"])


def test_a_pair_has_the_documented_defaults_in_one_direction() -> None:
    desk = with_tenants()
    answer = put(desk, {"origin": "acme", "destination": "bolt"})
    pair = pair_of(desk)
    assert answer.body == {"id": pair.id, "outcome": "done", "detail": "created"}
    assert (pair.acceptance, pair.origin_updates, pair.destination_updates) == (
        "auto",
        "apply",
        "propose",
    )
    directory = desk.world.directory
    assert directory.pair(directory.by_slug["bolt"], directory.by_slug["acme"]) is None


def test_an_update_keeps_the_id_and_what_it_leaves_out_is_the_default() -> None:
    desk = with_tenants()
    put(desk, {"origin": "acme", "destination": "bolt", "acceptance": "manual"})
    before = pair_of(desk)
    answer = put(
        desk, {"origin": "acme", "destination": "bolt", "origin_updates": "propose"}, id="p2"
    )
    assert answer.body["detail"] == "updated"
    assert pair_of(desk).id == before.id
    assert (pair_of(desk).acceptance, pair_of(desk).origin_updates) == ("auto", "propose")


def test_it_waits_for_both_tenants_and_for_the_system_it_names() -> None:
    desk = Desk()
    body = {
        "origin": "acme",
        "destination": "bolt",
        "destination_system": "tms",
        "destination_instance": "east",
    }
    answer = put(desk, body)
    assert (answer.outcome, answer.http_status, answer.code) == (
        "waiting",
        200,
        "reference.parent_missing",
    )
    assert answer.body["detail"] == "Waits for tenant acme, tenant bolt"
    desk.take(upsert(reference.TENANT, tenant("acme"), id="a"))
    desk.take(upsert(reference.TENANT, tenant("bolt"), id="b"))
    assert desk.answers["p1"].body["detail"] == "Waits for system tms of tenant bolt"
    desk.take(upsert(reference.TENANT, tenant("bolt", systems=[{"name": "tms"}]), id="b2"))
    assert desk.answers["p1"].body["detail"] == "Waits for instance east of tenant bolt"
    systems = [{"name": "tms", "instances": ["east"]}]
    desk.take(upsert(reference.TENANT, tenant("bolt", systems=systems), id="b3"))
    assert desk.answers["p1"].outcome == "done"
    assert pair_of(desk).id == desk.answers["p1"].body["id"]


def test_a_newer_upsert_of_the_pair_ends_the_one_that_waits() -> None:
    desk = Desk()
    put(desk, {"origin": "acme", "destination": "bolt", "acceptance": "manual"}, id="old")
    put(desk, {"origin": "acme", "destination": "bolt"}, id="new")
    assert desk.answers["old"].body["detail"] == "superseded"
    assert desk.answers["old"].outcome == "done"
    assert desk.waiting() == {"new"}


def test_a_refused_upsert_leaves_the_one_that_waits_alone() -> None:
    desk = Desk()
    put(desk, {"origin": "acme", "destination": "bolt"}, id="old")
    put(desk, {"origin": "acme", "destination": "bolt", "acceptance": "sometimes"}, id="new")
    assert desk.answers["new"].outcome == "refused"
    assert desk.waiting() == {"old"}


@pytest.mark.parametrize(
    ("origin", "destination", "member"),
    [
        ("acme", "acme", "destination"),
        ("operator", "acme", "origin"),
        ("acme", "operator", "destination"),
    ],
)
def test_a_pair_is_of_two_tenants(origin: str, destination: str, member: str) -> None:
    answer = put(with_tenants(), {"origin": origin, "destination": destination})
    assert [entry["loc"] for entry in answer.body["detail"]] == [["body", member]]


def test_a_tenant_may_not_write_pairs() -> None:
    desk = with_tenants()
    acme = desk.world.directory.by_slug["acme"]
    answer = put(desk, {"origin": "acme", "destination": "bolt"}, caller=acme)
    assert (answer.http_status, answer.code) == (403, "request.not_allowed")


def test_a_renamed_tenant_is_renamed_in_its_pairs() -> None:
    desk = with_tenants()
    put(desk, {"origin": "acme", "destination": "bolt"})
    desk.take(upsert(reference.TENANT, tenant("bolt", name="Bolt Two"), id="b2"))
    assert pair_of(desk).destination.name == "Bolt Two"
