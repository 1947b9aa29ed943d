"""The files of schemas/ that others read are those the code makes."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas.documents import DOCUMENTS, Document
from schemas.gate import PUBLISHED, judge, main
from schemas.generate import FOLDER, generated, load, text_of, write


def test_the_generated_json_schemas_are_not_stale() -> None:
    kept = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    made = {f"{name}.json": text_of(schema) for name, schema in generated().items()}
    assert kept == made, "run `python -m schemas.generate`"


@pytest.mark.parametrize("name", [document.name for document in DOCUMENTS])
def test_a_generated_schema_is_valid_draft_2020_12(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(generated()[name])


def test_writing_twice_changes_nothing_and_a_dropped_document_loses_its_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "order.old.v1.json").write_text("{}")
    assert "order.old.v1" in write(tmp_path)
    assert not (tmp_path / "order.old.v1.json").exists()
    assert write(tmp_path) == []


def test_nothing_breaks_what_is_published() -> None:
    broken = [
        (verdict.document, change)
        for verdict in judge(load(PUBLISHED), generated())
        for change in verdict.changes
        if change.breaks(verdict.direction)
    ]
    assert broken == []
    assert main([]) == 0


def test_every_document_name_is_used_once_and_ends_in_its_version() -> None:
    names = [document.name for document in DOCUMENTS]
    assert len(set(names)) == len(names)
    assert all(name.rpartition(".")[2] == "v1" for name in names)


@pytest.mark.parametrize(
    "document", [one for one in DOCUMENTS if one.direction == "taken"], ids=lambda one: one.name
)
def test_what_the_hub_takes_has_no_union_whose_branch_would_show_in_a_loc(
    document: Document,
) -> None:
    document.adapter.rebuild()
    assert not _kinds(document.adapter.core_schema) & {"union", "tagged-union"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.name)
def test_no_document_runs_python_while_it_is_validated(document: Document) -> None:
    document.adapter.rebuild()
    assert not [kind for kind in _kinds(document.adapter.core_schema) if "function" in kind]


def _kinds(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["type"]} if isinstance(node.get("type"), str) else set()
        return own.union(*(_kinds(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(_kinds(item) for item in node))
    return set()
