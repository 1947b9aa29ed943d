"""What differs between two states of an order (X01)."""

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.domain import differences
from services.domain.differences import apply, arranged, between, matched, told, types_of

Document = dict[str, Any]


def key(goid: str, **members: Any) -> Document:
    return {"goid": goid, "goid_name": f"{goid} name", "source_id": None, **members}


def drop(tank: str = "1", product: str | None = "reg", volume: int = 1, **members: Any) -> Document:
    return {
        "site": key("site", tank_goid=tank),
        "product": None if product is None else key(product),
        "volume": volume,
        "loads": [],
        "extra_data": {},
        **members,
    }


def load(terminal: str, *price_types: str) -> Document:
    return {
        "terminals": [key(terminal)],
        "products": [],
        "suppliers": [],
        "price_types": list(price_types),
        "contracts": [],
    }


def order(*drops: Document, **members: Any) -> Document:
    return {
        "origin_order_number": "PO-1",
        "delivery_window": {"start": "a", "end": "b", "timezone": "UTC"},
        "note": None,
        "po": None,
        "supply_owner": None,
        "drops": list(drops) or [drop()],
        "bols": [],
        **members,
    }


DROPS = st.builds(
    drop,
    tank=st.sampled_from(["1", "2", "3"]),
    product=st.sampled_from([None, "reg", "dsl"]),
    volume=st.integers(1, 3),
    loads=st.lists(st.builds(load, st.sampled_from(["n", "s"])), max_size=2),
    extra_data=st.sampled_from([{}, {"a": 1}]),
)
ORDERS = st.builds(
    lambda drops, **members: order(*drops, **members),
    st.lists(DROPS, min_size=1, max_size=6),
    note=st.sampled_from([None, "gate"]),
    po=st.sampled_from([None, "", "P-1"]),
    supply_owner=st.sampled_from([None, key("one"), key("two")]),
    delivery_window=st.builds(
        lambda end: {"start": "a", "end": end, "timezone": "UTC"}, st.sampled_from(["b", "c"])
    ),
)


@given(ORDERS, ORDERS)
def test_x01_the_differences_of_two_orders_make_the_second_of_the_first(
    before: Document, after: Document
) -> None:
    same = matched(before["drops"], after["drops"])
    order_, same = arranged(same, len(after["drops"]))
    becomes = {**after, "drops": [after["drops"][at] for at in order_]}
    untouched = deepcopy((before, becomes))
    found = between(before, becomes, same)
    assert apply(told(found, before, becomes), before) == becomes
    assert (before, becomes) == untouched


@given(ORDERS, ORDERS)
def test_x01_what_differs_is_never_without_a_difference(before: Document, after: Document) -> None:
    members = {**before, "drops": []} == {**after, "drops": []}
    if not members or len(before["drops"]) != len(after["drops"]):
        assert between(before, after)


@given(st.lists(DROPS, min_size=1, max_size=6, unique_by=repr), st.randoms())
def test_x01_another_order_of_the_drops_is_no_difference(drops: list[Document], dice: Any) -> None:
    """Of different places or products."""
    once = {(each["site"]["tank_goid"], repr(each["product"])): each for each in drops}
    shuffled = list(once.values())
    dice.shuffle(shuffled)
    assert between(order(*once.values()), order(*shuffled)) == []


@given(ORDERS)
def test_an_order_does_not_differ_from_itself(one: Document) -> None:
    assert between(one, deepcopy(one)) == []


@given(st.lists(DROPS, max_size=8), st.lists(DROPS, max_size=8))
def test_x01_a_drop_is_one_drop_at_most_and_never_one_of_another_tank_or_product(
    before: list[Document], after: list[Document]
) -> None:
    same = matched(before, after)
    assert len(set(same.values())) == len(same)
    for old, new in same.items():
        assert before[old]["site"] == after[new]["site"]
        products = [each["product"] for each in (before[old], after[new])]
        assert products[0] == products[1] or None in products


@given(ORDERS, ORDERS)
def test_every_type_told_is_one_of_the_six_each_once(before: Document, after: Document) -> None:
    types = types_of(between(before, after))
    assert list(types) == [kind for kind in differences.TYPES if kind in types]


def types(before: Document, after: Document) -> list[tuple[str, int | None, str]]:
    return [(each.type, each.drop, each.field) for each in between(before, after)]


def test_x01_each_member_has_its_type() -> None:
    before = order(drop())
    after = order(
        drop(volume=2, loads=[load("n")], extra_data={"a": 1}),
        delivery_window={"start": "a", "end": "c", "timezone": "UTC"},
        note="gate",
        po="P-1",
        supply_owner=key("one"),
    )
    assert types(before, after) == [
        ("delivery_window_change", None, "delivery_window"),
        ("note_change", None, "note"),
        ("po_change", None, "po"),
        ("supply_change", None, "supply_owner"),
        ("volume_change", 0, "volume"),
        ("supply_change", 0, "loads"),
        ("note_change", 0, "extra_data"),
    ]


def test_x01_a_drop_into_another_tank_is_another_drop() -> None:
    before, after = order(drop("1"), drop("2")), order(drop("2"), drop("3"))
    assert types(before, after) == [
        ("destination_change", 0, "drop"),
        ("destination_change", 1, "drop"),
    ]
    gone, come = told(between(before, after), before, after)
    assert (gone["from"], gone["to"]) == (before["drops"][0], None)
    assert (come["from"], come["to"]) == (None, after["drops"][1])


def test_x01_another_product_for_the_same_tank_is_a_matter_of_supply() -> None:
    before, after = order(drop(product="reg")), order(drop(product="dsl"))
    assert {kind for kind, _, _ in types(before, after)} == {"supply_change"}


def test_a_drop_that_names_no_product_is_the_drop_into_its_tank() -> None:
    before, after = order(drop(product=None)), order(drop(product="reg"))
    assert types(before, after) == [("supply_change", 0, "product")]


def test_of_two_drops_alike_the_first_is_the_first() -> None:
    before, after = order(drop(volume=1), drop(volume=2)), order(drop(volume=1), drop(volume=3))
    [only] = told(between(before, after), before, after)
    assert (only["drop"], only["from"], only["to"]) == (1, 2, 3)


def test_a_record_that_was_renamed_is_the_same_record() -> None:
    before = order(drop(loads=[load("n")]), supply_owner=key("one"))
    after = deepcopy(before)
    for echo in (after["supply_owner"], after["drops"][0]["product"]):
        echo["goid_name"] = "renamed"
    after["drops"][0]["loads"][0]["terminals"][0]["goid_name"] = "renamed"
    assert between(before, after) == []


def test_a_list_of_thousands_of_drops_is_compared_in_one_pass() -> None:
    """A mebibyte of drops must not stop a partition."""
    drops = [drop(str(at)) for at in range(8000)]
    found = between(order(*drops), order(*reversed(drops[4000:]), drop("new")))
    assert len(found) == 4001
