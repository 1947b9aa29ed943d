"""Golden examples: none orphaned, every document has one, each reads and fits its schema."""

import json
from pathlib import Path

import jsonschema
import pytest

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
