"""Mappings: what a tenant's identifiers mean, and what waits for them (X05, X10, R032-R034)."""

from typing import Any

from services.domain import reference
from services.domain.operations import upsert_mapping
from services.domain.world import Scope
from tests.unit.domain.desk import Desk, mapping, product, site, tenant, upsert


def put(desk: Desk, body: dict[str, Any], **options: Any) -> Any:
    return desk.take(upsert(reference.MAPPING, body, **{"id": "m1", **options}))


def locs(answer: Any) -> list[list[Any]]:
    return [entry["loc"] for entry in answer.body["detail"]]


def prepared() -> Desk:
    desk = Desk()
    desk.take(
        upsert(reference.TENANT, tenant("acme"), id="a"),
        upsert(reference.TENANT, tenant("bolt"), id="b"),
        upsert(reference.RECORD, product(), id="d"),
        upsert(reference.RECORD, site(), id="s"),
    )
    desk.woken.clear()
    return desk


def stored(desk: Desk, source_id: str = "S-1") -> Any:
    scope = Scope(desk.world.directory.by_slug["acme"].id, "erp")
    return desk.world.master.by_source_id(scope, "site", source_id)


def test_a_mapping_is_created_and_wakes_its_source_id_its_name_and_its_goid() -> None:
    desk = prepared()
    answer = put(desk, mapping())
    made = stored(desk)
    assert answer.body == {"id": made.id, "outcome": "done", "detail": "created"}
    acme = made.tenant_id
    assert desk.woken == [
        f"id|{acme}|erp|site|S-1",
        f"name|{acme}|erp|site|Station One",
        f"of|{acme}|erp|site_STATION",
    ]


def test_an_update_keeps_id_and_age_and_wakes_the_name_it_had() -> None:
    desk = prepared()
    put(desk, mapping())
    before = stored(desk)
    desk.woken.clear()
    assert put(desk, mapping(source_name="Other"), id="m2", arrived=9).body["detail"] == "updated"
    after = stored(desk)
    assert (after.id, after.age) == (before.id, before.age)
    names = {token for token in desk.woken if token.startswith("name|")}
    assert {token.rsplit("|", 1)[1] for token in names} == {"Station One", "Other"}
    assert (
        put(desk, mapping(source_name="Other"), id="m3", arrived=10).body["detail"] == "unchanged"
    )


def test_it_waits_for_tenant_system_record_and_tank_in_turn() -> None:
    desk = Desk()
    answer = put(desk, mapping(system="new"))
    assert answer.body["detail"] == "Waits for tenant acme, record site_STATION"
    desk.take(upsert(reference.TENANT, tenant("acme"), id="a"))
    assert desk.answers["m1"].body["detail"] == (
        "Waits for system new of tenant acme, record site_STATION"
    )
    desk.take(upsert(reference.RECORD, site(tanks=[]), id="s"))
    assert "tank tank_ONE111 on record site_STATION" in desk.answers["m1"].body["detail"]
    desk.take(upsert(reference.TENANT, tenant("acme", systems=[{"name": "new"}]), id="a2"))
    assert desk.answers["m1"].body["detail"] == "Waits for tank tank_ONE111 on record site_STATION"
    desk.take(
        upsert(reference.RECORD, product(), id="d"), upsert(reference.RECORD, site(), id="s2")
    )
    assert desk.answers["m1"].outcome == "done"


def test_a_tenant_writes_its_own_mappings_and_nobody_elses() -> None:
    desk = prepared()
    acme = desk.world.directory.by_slug["acme"]
    assert put(desk, mapping(), caller=acme).outcome == "done"
    others = [put(desk, mapping(slug), id="m2", caller=acme) for slug in ("bolt", "nobody")]
    for answer in others:
        assert (answer.outcome, answer.http_status) == ("refused", 403)
        assert answer.code == "request.not_allowed"
        assert answer.body["detail"] == reference.NOT_ALLOWED


def test_a_deactivated_tenant_writes_nothing_and_the_operator_still_does() -> None:
    desk = prepared()
    desk.take(upsert(reference.TENANT, tenant("acme", active=False), id="a2"))
    acme = desk.world.directory.by_slug["acme"]
    answer = put(desk, mapping(), caller=acme)
    assert (answer.http_status, answer.code) == (403, "request.not_allowed")
    assert put(desk, mapping(), id="m2").outcome == "done"


def test_the_operator_takes_the_place_of_a_tenants_waiting_upsert() -> None:
    desk = Desk()
    desk.take(upsert(reference.TENANT, tenant("acme"), id="a"))
    put(desk, mapping(), id="theirs", caller=desk.world.directory.by_slug["acme"])
    put(desk, mapping(source_name="Ours"), id="ours")
    assert desk.answers["theirs"].body["detail"] == "superseded"
    desk.take(upsert(reference.RECORD, product(), id="d"), upsert(reference.RECORD, site(), id="s"))
    assert stored(desk).source_name == "Ours"


def test_all_errors_are_told_at_once_k28() -> None:
    tanks = [
        {"tank_id": "1", "tank_goid": "nonsense"},
        {"tank_id": "1", "tank_goid": "tank_ONE111"},
        {"tank_id": "", "tank_goid": "tank_ONE111"},
        {"tank_id": "12345678901", "tank_goid": "tank_TWO222"},
    ]
    answer = put(prepared(), mapping(goid="terminal_ABCDEF", source_id="", tanks=tanks))
    assert {tuple(loc[1:]) for loc in locs(answer)} == {
        ("source_id",),
        ("goid",),
        ("tanks", 0, "tank_goid"),
        ("tanks", 1, "tank_id"),
        ("tanks", 2, "tank_id"),
        ("tanks", 2, "tank_goid"),
        ("tanks", 3, "tank_id"),
    }


def test_only_a_site_has_tanks_and_operators_have_no_systems() -> None:
    body = mapping("operator", entity="product", goid="product_DIESEL")
    assert locs(put(prepared(), body)) == [["body", "tenant"], ["body", "tanks"]]


def test_the_primary_of_several_mappings_is_chosen_else_the_oldest() -> None:
    desk = prepared()
    scope = Scope(desk.world.directory.by_slug["acme"].id, "erp")
    put(desk, mapping(source_id="young"), id="m2", arrived=2)
    put(desk, mapping(source_id="old"), id="m1", arrived=1)
    assert desk.world.master.of_goid(scope, "site_STATION") == stored(desk, "old")
    put(desk, mapping(source_id="young", primary=True), id="m3", arrived=3)
    assert desk.world.master.of_goid(scope, "site_STATION") == stored(desk, "young")


def test_it_needs_its_row_and_its_record() -> None:
    desk = prepared()
    directory = desk.world.directory
    needs = upsert_mapping.needs(upsert(reference.MAPPING, mapping()), directory)
    assert needs.mapping_keys == {(directory.by_slug["acme"].id, "erp", "site", "S-1")}
    assert needs.goids == {"site_STATION"}
    unknown = upsert_mapping.needs(upsert(reference.MAPPING, mapping("nobody")), directory)
    assert unknown.mapping_keys == set()
