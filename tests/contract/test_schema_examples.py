"""Golden examples: none orphaned, every document has one, each reads and fits its schema."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.documents import DOCUMENTS
from schemas.dump import to_json
from schemas.generate import json_schema
from schemas.reading import read

FOLDER = Path(__file__).parents[2] / "schemas" / "examples"
EXAMPLES = sorted(FOLDER.rglob("*.json"))
BY_NAME = {document.name: document for document in DOCUMENTS}


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def test_no_example_is_orphaned_and_no_document_is_without_one() -> None:
    assert {path.parent.name for path in EXAMPLES} == set(BY_NAME)
    assert all(path.parent.parent == FOLDER for path in EXAMPLES)
    assert not [path for path in FOLDER.rglob("*") if path.is_file() and path.suffix != ".json"]


@pytest.mark.parametrize("path", EXAMPLES, ids=_name)
def test_an_example_reads_without_error_or_unknown_member(path: Path) -> None:
    reading = read(BY_NAME[path.parent.name].adapter, json.loads(path.read_text("utf-8")))
    assert (reading.errors, reading.unknown) == ([], [])


@pytest.mark.parametrize("path", EXAMPLES, ids=_name)
def test_an_example_fits_its_json_schema(path: Path) -> None:
    schema = json_schema(BY_NAME[path.parent.name])
    jsonschema.Draft202012Validator(schema).validate(json.loads(path.read_text("utf-8")))


@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if BY_NAME[path.parent.name].direction == "given"], ids=_name
)
def test_what_the_hub_says_is_the_same_after_reading_and_writing(path: Path) -> None:
    raw = json.loads(path.read_text("utf-8"))
    adapter = BY_NAME[path.parent.name].adapter
    written = to_json(adapter.validate_python(raw))
    assert adapter.validate_python(json.loads(written)) == adapter.validate_python(raw)
    assert b"+00:00" not in written


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    members: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    for part, member in members:
        yield from _places(member, (*path, part))


# 5.0 is left out: JSON Schema calls it an integer, the hub does not.
ODD: list[Any] = [None, True, -1, 0, 49, 2.5, "", "x" * 301, "acme", [], {}, [None], {"x": 1}]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_published_schema_and_the_hub_agree_on_what_is_taken(data: st.DataObject) -> None:
    path = data.draw(
        st.sampled_from([one for one in EXAMPLES if BY_NAME[one.parent.name].direction == "taken"])
    )
    document = BY_NAME[path.parent.name]
    raw = json.loads(path.read_text("utf-8"))
    *parents, last = data.draw(st.sampled_from([place for place in _places(raw) if place]))
    here = raw
    for part in parents:
        here = here[part]
    if data.draw(st.booleans()):
        here[last] = data.draw(st.sampled_from(ODD))
    else:
        del here[last]
    fits = jsonschema.Draft202012Validator(json_schema(document)).is_valid(raw)
    assert fits == (not read(document.adapter, raw, strict=True).errors)
