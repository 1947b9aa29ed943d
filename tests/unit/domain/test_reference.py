"""Reference data in any order: whatever comes first, it ends the same (X05, X10)."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain import reference
from services.domain.command import Command
from services.domain.world import Scope
from tests.unit.domain.desk import Desk, mapping, product, site, tenant, upsert

ITEMS: list[tuple[str, dict[str, Any]]] = [
    (reference.TENANT, tenant("acme")),
    (reference.TENANT, tenant("bolt", systems=[{"name": "tms", "instances": ["east"]}])),
    (
        reference.PAIR,
        {
            "origin": "acme",
            "destination": "bolt",
            "destination_system": "tms",
            "destination_instance": "east",
        },
    ),
    (reference.RECORD, product("product_DIESEL")),
    (reference.RECORD, product("product_BIODIE")),
    (
        reference.RECORD,
        product(
            "product_BLEND7",
            components=[
                {"product": "product_DIESEL", "ratio": 0.93},
                {"product": "product_BIODIE", "ratio": 0.07},
            ],
        ),
    ),
    (
        reference.RECORD,
        site(tanks=[{"goid": "tank_ONE111", "number": 1, "product": "product_BLEND7"}]),
    ),
    (reference.MAPPING, mapping("acme")),
    (reference.MAPPING, mapping("bolt", system="tms", tanks=None)),
]
COMMANDS = [
    upsert(operation, body, id=f"u{at}", arrived=at) for at, (operation, body) in enumerate(ITEMS)
]


def state(desk: Desk) -> Any:
    directory = desk.world.directory
    scopes = [Scope(one.id, s.name) for one in directory.by_id.values() for s in one.systems]
    return (
        dict(sorted(directory.by_slug.items())),
        directory.pairs,
        dict(sorted(desk.world.master.records.items())),
        sorted(
            (
                found
                for scope in scopes
                if (found := desk.world.master.of_goid(scope, "site_STATION"))
            ),
            key=lambda one: one.id,
        ),
    )


IN_ORDER = Desk()
IN_ORDER.take(*COMMANDS)


@settings(deadline=None)
@given(st.permutations(COMMANDS))
def test_any_order_of_arrival_ends_in_the_same_state_with_nothing_waiting(
    commands: list[Command],
) -> None:
    desk = Desk()
    desk.take(*commands)
    assert desk.waiting() == set()
    assert desk.world.waiting_upserts == {}
    assert {answer.outcome for answer in desk.answers.values()} == {"done"}
    assert state(desk) == state(IN_ORDER)


@settings(deadline=None)
@given(
    st.permutations(
        [(operation, body, turn) for operation, body in ITEMS for turn in (1, 2)],
    )
)
def test_of_two_upserts_of_a_key_the_later_one_counts(
    arrivals: list[tuple[str, dict[str, Any], int]],
) -> None:
    desk = Desk()
    last: dict[str, str] = {}
    for at, (operation, body, turn) in enumerate(arrivals):
        named = dict(body)
        if operation == reference.MAPPING:
            named["source_name"] = f"name {turn}"
        elif operation != reference.PAIR:
            named["name"] = f"name {turn} of {body.get('slug') or body.get('goid')}"
        command = upsert(operation, named, id=f"u{at}", arrived=at)
        last[reference.entity_key(operation, named)] = str(
            named.get("source_name") or named.get("name")
        )
        desk.take(command)
    assert desk.waiting() == set()
    found = {
        **{f"tenant|{slug}": one.name for slug, one in desk.world.directory.by_slug.items()},
        **{f"record|{goid}": one.name for goid, one in desk.world.master.records.items()},
    }
    for key, name in last.items():
        if key.startswith(("tenant|", "record|")):
            assert found[key] == name
    acme = Scope(desk.world.directory.by_slug["acme"].id, "erp")
    mapped = desk.world.master.by_source_id(acme, "site", "S-1")
    assert mapped is not None
    assert mapped.source_name == last["mapping|acme|erp|site|S-1"]


@given(st.lists(st.text(alphabet="a|%", min_size=1, max_size=4), min_size=4, max_size=4))
def test_no_two_keys_share_a_text(parts: list[str]) -> None:
    members = reference.KEY_MEMBERS[reference.MAPPING]
    text = reference.entity_key(reference.MAPPING, dict(zip(members, parts, strict=True)))
    found = [one.replace("%7C", "|").replace("%25", "%") for one in text.split("|")]
    assert found == ["mapping", *parts]


def test_the_directory_must_know_whoever_may_hold_the_slug_the_name_or_the_id() -> None:
    body = {"slug": "acme", "name": "Acme Fuels", "id": "a" * 24}
    assert reference.names(reference.TENANT, body) == {"acme", "Acme Fuels", "a" * 24}
    assert reference.names(reference.PAIR, {"origin": "acme", "destination": 3}) == {"acme"}
    assert reference.names(reference.RECORD, {"name": "Acme"}) == set()
