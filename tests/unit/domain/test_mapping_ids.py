"""Mapping ids in a request: where they are found, and which are none of the caller's (K03)."""

import json
from typing import Any

import pytest

from schemas.operations import OPERATIONS
from services.domain.mapping_ids import named, of, unknown
from tests.unit.domain.dealing import UPDATE, amend, command, errors, loaded, take
from tests.unit.domain.dealing import world as sent_world
from tests.unit.domain.trade import ACME, ORIGIN_WORDS, world


def key(mapping_id: str | None) -> dict[str, Any]:
    return {"mapping_id": mapping_id, "source_name": "x"}


def test_k03_every_key_of_a_request_is_found_with_what_it_may_be_of() -> None:
    body = {
        "supply_owner": key("a"),
        "location": key("b"),
        "extra_data": {"site": key("never")},
        "order": {"order_id": "x", "mapping_id": "no key"},
        "drops": [
            {
                "site": key("c"),
                "product": key(None),
                "loads": [{"terminal": key("d"), "products": [key("e"), key("f")]}, None],
            },
            None,
            5,
        ],
        "details": [{"tank": key("g"), "supplier": key("")}],
    }
    assert [(".".join(map(str, each.path)), *each[1:]) for each in named(body)] == [
        ("supply_owner.mapping_id", "a", ("company",)),
        ("location.mapping_id", "b", ("site", "terminal")),
        ("drops.0.site.mapping_id", "c", ("site",)),
        ("drops.0.loads.0.terminal.mapping_id", "d", ("terminal",)),
        ("drops.0.loads.0.products.0.mapping_id", "e", ("product",)),
        ("drops.0.loads.0.products.1.mapping_id", "f", ("product",)),
        ("details.0.tank.mapping_id", "g", ("site",)),
    ]


def holders(schema: Any) -> set[str]:
    """The members of a JSON Schema that hold a mapping key, or a list of them."""
    found = set()
    for document in (schema, *schema.get("$defs", {}).values()):
        for member, held in document.get("properties", {}).items():
            told = json.dumps(held)
            if '"#/$defs/MappingKey"' in told or '"#/$defs/SiteTankKey"' in told:
                found.add(member)
    return found


def test_k03_no_member_that_holds_a_key_is_overlooked() -> None:
    """Of any document: a key that is new in a schema is looked for, too."""
    held = {
        member
        for operation in OPERATIONS
        if operation.document is not None
        for member in holders(operation.document.json_schema())
    }
    assert {"site", "terminals", "supply_owner", "location", "tank"} <= held
    known = {member for member in held if list(named({member: key("a")}))}
    assert known == held


@pytest.mark.parametrize("mapping", ORIGIN_WORDS, ids=lambda each: str(each.source_id))
def test_k03_an_id_is_known_to_its_tenant_and_entity_alone(mapping: Any) -> None:
    members = {"site": "site", "product": "product", "terminal": "terminal", "company": "supplier"}
    body = {member: key(mapping.id) for member in members.values()}
    for tenant, known in ((ACME.id, {mapping.entity}), ("somebody-else", set())):
        told = {each["loc"][1] for each in unknown(body, of(world().master, tenant))}
        assert told == {member for entity, member in members.items() if entity not in known}


def test_k03_a_mapping_id_that_is_not_the_callers_is_422() -> None:
    request = amend(supply_owner={"mapping_id": "f" * 24})
    assert errors(take(command(UPDATE, request), sent_world())) == [
        (["body", "supply_owner", "mapping_id"], "unknown_mapping")
    ]


def test_k28_a_mapping_id_that_is_not_the_callers_is_told_beside_a_rule() -> None:
    request = amend(supply_owner={"mapping_id": "f" * 24}, drops=[loaded(0)])
    assert errors(take(command(UPDATE, request), sent_world())) == [
        (["body", "supply_owner", "mapping_id"], "unknown_mapping"),
        (["body", "drops", 0, "volume"], "greater_than"),
    ]
