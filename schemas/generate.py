"""`python -m schemas.generate`: writes the JSON Schema (draft 2020-12) of every document."""

import json
import sys
from pathlib import Path
from typing import Any

from schemas.documents import DOCUMENTS, Document

FOLDER = Path(__file__).parent / "jsonschema"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(document: Document) -> dict[str, Any]:
    """The JSON Schema of a document.

    What the hub takes refuses unknown members, as `Prefer: handling=strict` does. What it gives
    allows them, so that a reader who validates is not broken by a member added later.
    """
    schema = document.adapter.json_schema(mode="validation")
    if document.direction == "given":
        schema = _opened(schema)
    return {"$schema": DIALECT, "$id": f"urn:crossroads:schema:{document.name}", **schema}


def generated() -> dict[str, dict[str, Any]]:
    """The JSON Schema of every document, by its name."""
    return {document.name: json_schema(document) for document in DOCUMENTS}


def text_of(schema: dict[str, Any]) -> str:
    """The text of a schema's file: the same for the same schema."""
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """The schemas kept in a folder, by document name."""
    return {
        path.name.removesuffix(".json"): json.loads(path.read_text("utf-8"))
        for path in sorted(folder.glob("*.json"))
    }


def write(folder: Path) -> list[str]:
    """Write every schema, delete those of no document; returns the names that changed."""
    wanted = {name: text_of(schema) for name, schema in generated().items()}
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for path in folder.glob("*.json"):
        if path.name.removesuffix(".json") not in wanted:
            path.unlink()
            changed.append(path.name.removesuffix(".json"))
    for name, text in wanted.items():
        path = folder / f"{name}.json"
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            changed.append(name)
    return sorted(changed)


def _opened(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _opened(value)
            for key, value in node.items()
            if not (key == "additionalProperties" and value is False)
        }
    if isinstance(node, list):
        return [_opened(item) for item in node]
    return node


def main() -> int:
    """Write the schemas and say which files changed."""
    for name in write(FOLDER):
        sys.stdout.write(f"{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
