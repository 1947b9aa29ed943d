"""Twelve members from where to where (R098, K43)."""

from dataclasses import replace

from schemas.log import ROUTING
from services.domain import routing
from services.domain.tenants import Instance, Pair, System
from tests.unit.domain.trade import ACME, BETA, PAIR


def test_r098_the_routing_of_an_order_names_both_sides() -> None:
    found = routing.of_order(PAIR, "ERP", None)
    ROUTING.validate_python(found)
    assert len(found) == 12
    assert found == {
        "origin_tenant_id": ACME.id,
        "origin_tenant_name": "ACME Fuels",
        "origin_source_system": "ERP",
        "origin_source_system_id": "a-erp",
        "origin_instance_id": None,
        "origin_instance_name": None,
        "destination_tenant_id": BETA.id,
        "destination_tenant_name": "Beta Haulage",
        "destination_source_system": "TMS",
        "destination_source_system_id": "b-tms",
        "destination_instance_id": "b-i1",
        "destination_instance_name": "main",
    }


def test_k43_the_origins_instance_is_told_when_it_was_named() -> None:
    found = routing.of_order(PAIR, "ERP", "prod")
    assert (found["origin_instance_id"], found["origin_instance_name"]) == ("a-i1", "prod")


def test_k43_the_pairs_system_and_instance_go_before_the_first() -> None:
    other = System(
        "b-2", "Second", primary=False, instances=(Instance("x", "x"), Instance("y", "y"))
    )
    beta = replace(BETA, systems=(*BETA.systems, other))
    pair = Pair("p", ACME, beta, destination_system="Second", destination_instance="y")
    found = routing.of_order(pair, None, None)
    assert found["destination_source_system"] == "Second"
    assert found["destination_instance_name"] == "y"


def test_k43_a_message_of_the_destination_goes_the_other_way() -> None:
    found = routing.between(BETA, BETA.system(None), None, PAIR)
    assert (found["origin_tenant_name"], found["destination_tenant_name"]) == (
        "Beta Haulage",
        "ACME Fuels",
    )
    assert found["destination_source_system"] == "ERP"
    assert found["destination_instance_id"] is None


def test_a_message_to_the_origin_goes_to_the_system_its_order_came_from() -> None:
    for system, told in (("Old ERP", "Old ERP"), (None, "ERP"), ("gone", "ERP")):
        found = routing.between(BETA, None, None, PAIR, system)
        assert found["destination_source_system"] == told


def test_without_a_pair_nothing_is_said_of_the_other_side() -> None:
    found = routing.between(ACME, None, None, None)
    assert {value for name, value in found.items() if name.startswith("destination")} == {None}
