"""The gate names every change and lets no breaking one through."""

import copy
import functools
import itertools
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.documents import DOCUMENTS
from schemas.gate import NotComparableError, compare, judge, main
from schemas.generate import generated, load, text_of

GENERATED = functools.cache(generated)

BASE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["a"],
    "properties": {
        "a": {"type": "string", "minLength": 2, "maxLength": 10},
        "b": {"anyOf": [{"type": "integer", "maximum": 9}, {"type": "null"}]},
        "c": {"type": "string", "enum": ["x", "y"]},
        "d": {"type": "array", "items": {"$ref": "#/$defs/D"}},
        "e": {"type": "number"},
    },
    "$defs": {"D": {"type": "object", "properties": {"t": {"type": "string", "format": "date"}}}},
}


def _bent(change: Any) -> dict[str, Any]:
    schema = copy.deepcopy(BASE)
    change(schema)
    return schema


def _set(path: str, value: Any) -> Any:
    def change(schema: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        here: Any = schema
        for part in parents:
            here = here[int(part)] if isinstance(here, list) else here[part]
        here[last] = value

    return change


def _drop(path: str) -> Any:
    def change(schema: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        here: Any = schema
        for part in parents:
            here = here[int(part)] if isinstance(here, list) else here[part]
        del here[last]

    return change


BREAKING_FOR_BOTH = [
    ("/a", _drop("properties/a")),
    ("/b", _set("required", ["a", "b"])),
    ("/f", lambda s: (s["properties"].update(f={"type": "string"}), s["required"].append("f"))),
    ("/a", _set("properties/a/type", "integer")),
    ("/a", _set("properties/a/minLength", 3)),
    ("/a", _set("properties/a/maxLength", 9)),
    ("/a", _set("properties/a/pattern", "^x")),
    ("/b", _set("properties/b", {"type": "integer", "maximum": 9})),
    ("/b", _set("properties/b", {"type": "null"})),
    ("/b", _set("properties/b/anyOf/0/maximum", 8)),
    ("/b", _set("properties/b/anyOf/0/minimum", 0)),
    ("/c", _set("properties/c/enum", ["x"])),
    ("/c", _set("properties/c", {"type": "string", "const": "x"})),
    ("/a", _set("properties/a/enum", ["xx"])),
    ("/d/[]/t", _set("$defs/D/properties/t/format", "date-time")),
    ("/d/[]/t", _set("$defs/D/properties/t/type", "boolean")),
    ("/d", _set("properties/d/maxItems", 3)),
    ("/d/[]", _set("$defs/D/additionalProperties", False)),
    ("/e", _set("properties/e/type", "integer")),
]
BREAKING_FOR_READERS = [
    ("/a", _set("required", [])),
    ("/a", _drop("properties/a/maxLength")),
    ("/c", _set("properties/c/enum", ["x", "y", "z"])),
    ("/c", _drop("properties/c/enum")),
    ("/e", _set("properties/e", {"anyOf": [{"type": "number"}, {"type": "null"}]})),
    ("/b", _set("properties/b/anyOf/0/type", "number")),
    ("/d/[]/t", _drop("$defs/D/properties/t/format")),
    ("/e", _set("properties/e", {})),
]


@pytest.mark.parametrize(("path", "change"), BREAKING_FOR_BOTH)
def test_what_narrows_a_document_breaks_whoever_writes_or_keeps_it(path: Any, change: Any) -> None:
    changes = compare(BASE, _bent(change))
    assert [c.path for c in changes if c.breaks("taken")] == [path]
    assert {c.path for c in changes if c.breaks("given")} == {path}


@pytest.mark.parametrize(("path", "change"), BREAKING_FOR_READERS)
def test_what_widens_a_document_breaks_its_readers_only(path: Any, change: Any) -> None:
    changes = compare(BASE, _bent(change))
    assert not [c for c in changes if c.breaks("taken")]
    assert path in [c.path for c in changes if c.breaks("given")]


def test_a_new_optional_member_is_named_and_breaks_nobody() -> None:
    (change,) = compare(BASE, _bent(_set("properties/f", {"type": "string"})))
    assert (change.path, change.what) == ("/f", "new and optional")
    assert not change.breaks("given")


def test_words_for_people_are_no_change() -> None:
    assert compare(BASE, _bent(_set("properties/a/description", "other"))) == []


def test_a_definition_may_move_without_a_change() -> None:
    inlined = _bent(_set("properties/d/items", BASE["$defs"]["D"]))
    assert compare(BASE, inlined) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "contentEncoding": "base64"},
        {"anyOf": [{"type": "string", "maxLength": 1}, {"type": "string", "pattern": "x"}]},
        {"anyOf": [{"type": "string"}], "maxLength": 5},
        {"maxLength": 5},
    ],
)
def test_a_schema_it_cannot_weigh_is_an_error_not_a_pass(schema: Any) -> None:
    with pytest.raises(NotComparableError):
        compare({"type": "string"}, schema)
    (verdict,) = judge({"order.create.v1": {"type": "string"}}, {"order.create.v1": schema})
    assert all(change.breaks("taken") for change in verdict.changes)


def test_a_removed_document_breaks_and_a_new_one_does_not() -> None:
    (verdict,) = judge({"order.create.v1": BASE}, {"order.other.v1": BASE})
    assert verdict.changes[0].breaks(verdict.direction)


@pytest.mark.parametrize("name", [document.name for document in DOCUMENTS])
def test_every_document_can_be_weighed_and_equals_itself(name: str) -> None:
    schema = GENERATED()[name]
    assert compare(schema, copy.deepcopy(schema)) == []


def _objects(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        own = [node] if "properties" in node else []
        return own + [found for value in node.values() for found in _objects(value)]
    if isinstance(node, list):
        return [found for item in node for found in _objects(item)]
    return []


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_member_lost_or_newly_required_anywhere_in_any_document_breaks(
    data: st.DataObject,
) -> None:
    document = data.draw(st.sampled_from(DOCUMENTS))
    schema = copy.deepcopy(GENERATED()[document.name])
    place = data.draw(st.integers(0, len(_objects(schema)) - 1))
    target = _objects(schema)[place]
    if data.draw(st.booleans()):
        del target["properties"][data.draw(st.sampled_from(sorted(target["properties"])))]
    else:
        target["properties"]["brand_new"] = {"type": "string"}
        target["required"] = [*target.get("required", []), "brand_new"]
    changes = compare(GENERATED()[document.name], schema)
    assert any(change.breaks(document.direction) for change in changes)


LEAVES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(
        lambda kind, low, high: {"type": kind} | low | high,
        st.sampled_from(["integer", "number"]),
        st.sampled_from([{}, {"minimum": 0}, {"minimum": 2}]),
        st.sampled_from([{}, {"maximum": 1}, {"maximum": 3}]),
    ),
    st.builds(
        lambda enum, longest: {"type": "string"} | enum | longest,
        st.sampled_from([{}, {"enum": ["a", "bb"]}, {"enum": ["a"]}, {"const": "bb"}]),
        st.sampled_from([{}, {"maxLength": 1}, {"maxLength": 2}]),
    ),
    st.just({"type": "null"}),
    st.just({}),
)


def _nodes(inner: Any) -> Any:
    objects = st.builds(
        lambda members, needed: {
            "type": "object",
            "additionalProperties": False,
            "properties": members,
            "required": sorted(needed & members.keys()),
        },
        st.dictionaries(st.sampled_from("pq"), inner, max_size=2),
        st.sets(st.sampled_from("pq")),
    )
    arrays = st.builds(lambda items: {"type": "array", "items": items}, inner)
    nullable = inner.filter(lambda node: "type" in node and node["type"] != "null").map(
        lambda node: {"anyOf": [node, {"type": "null"}]}
    )
    return objects | arrays | nullable


SCHEMAS = st.recursive(LEAVES, _nodes, max_leaves=4)
ATOMS: list[Any] = [None, True, 0, 1, 2, 5, 0.5, "a", "bb", "ccc"]
VALUES: list[Any] = [
    *ATOMS,
    [],
    *([atom] for atom in ATOMS),
    {},
    *({"p": atom} for atom in ATOMS),
    *({"q": atom} for atom in ATOMS),
    *({"p": one, "q": two} for one, two in itertools.product([None, 1, "a"], repeat=2)),
    [{"p": 1}],
    {"p": [1]},
    {"p": {"q": "a"}},
]


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, SCHEMAS)
def test_what_the_gate_passes_takes_whatever_was_taken_before(old: Any, new: Any) -> None:
    if any(change.breaks("taken") for change in compare(old, new)):
        return
    before, after = jsonschema.Draft202012Validator(old), jsonschema.Draft202012Validator(new)
    for value in VALUES:
        assert after.is_valid(value) or not before.is_valid(value)


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, SCHEMAS)
def test_what_the_gate_calls_unchanged_means_the_same(old: Any, new: Any) -> None:
    if compare(old, new):
        return
    before, after = jsonschema.Draft202012Validator(old), jsonschema.Draft202012Validator(new)
    assert [before.is_valid(value) for value in VALUES] == [
        after.is_valid(value) for value in VALUES
    ]


def test_the_command_lists_every_change_and_exits_1_when_one_breaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = generated()
    published["order.create.v1"]["properties"]["gone"] = {"type": "string"}
    del published["order.create.v1"]["properties"]["note"]
    for name, schema in published.items():
        (tmp_path / f"{name}.json").write_text(text_of(schema))
    assert main(["--published", str(tmp_path), "--publish"]) == 1
    said = capsys.readouterr().out
    assert "BREAKS  order.create.v1 /gone: removed" in said
    assert "fine  order.create.v1 /note: new and optional" in said
    assert "gone" in load(tmp_path)["order.create.v1"]["properties"]


def test_publishing_makes_the_generated_schemas_the_published_ones(tmp_path: Path) -> None:
    assert main(["--published", str(tmp_path), "--publish"]) == 0
    assert load(tmp_path) == generated()
