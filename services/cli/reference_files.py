"""Reference data in files: YAML or JSON with four lists, and CSV with one item or part a row."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from schemas.dump import to_json
from schemas.reading import read
from schemas.reference import REFERENCE_FILE
from services.domain.reference import KEY_MEMBERS, MAPPING, PAIR, RECORD, TENANT
from services.kit.errors import CrossroadsError

UPSERTS: Mapping[str, str] = {
    "tenants": TENANT,
    "pairs": PAIR,
    "records": RECORD,
    "mappings": MAPPING,
}

# CSV: (list of the item, column prefix) and the member each column of a part becomes. Rows of one
# key are one item; each row may add one part to each of its lists.
_PARTS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "tenants": {"systems": {"system": "name", "system_primary": "primary"}},
    "pairs": {},
    "records": {
        "tanks": {
            "tank_goid": "goid",
            "tank_number": "number",
            "tank_product": "product",
            "tank_name": "name",
        },
        "components": {"component_product": "product", "component_ratio": "ratio"},
    },
    "mappings": {
        "tanks": {
            "tank_id": "tank_id",
            "product_source_id": "product_source_id",
            "tank_goid": "tank_goid",
        }
    },
}
_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "tenants": ("slug", "name", "id", "active", "partitions"),
    "pairs": (
        "origin",
        "destination",
        "acceptance",
        "origin_updates",
        "destination_updates",
        "destination_system",
        "destination_instance",
    ),
    "records": ("goid", "entity", "name", "active"),
    "mappings": ("tenant", "system", "entity", "source_id", "source_name", "goid", "primary"),
}
_BOOLEANS = {"active", "primary", "system_primary"}
_INTEGERS = {"partitions", "tank_number"}
_DECIMALS = {"component_ratio"}
# A system may stand in several rows, one for each of its instances.
_INSTANCE = "instance"


class FileInvalid(CrossroadsError):
    """A reference file that cannot be taken apart into items; nothing of it was sent."""


@dataclass(frozen=True, slots=True)
class Item:
    """One upsert of a file: its operation, its body, and where it stands."""

    operation: str
    body: dict[str, Any]
    place: str

    @property
    def label(self) -> str:
        """Its key as a reader writes it."""
        return "/".join(str(self.body.get(name, "")) for name in KEY_MEMBERS[self.operation])


def read_file(path: Path) -> list[Item]:
    """The items of a YAML or JSON file: tenants, pairs, records, mappings, each in its order.

    Raises FileInvalid for what is no such file; whether an item is right is the hub's to say.
    """
    try:
        document = _parse(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
        raise FileInvalid(f"{path} cannot be read: {error}") from error
    found = read(REFERENCE_FILE, {} if document is None else document, strict=True)
    if found.value is None:
        problems = "; ".join(
            f"{'.'.join(map(str, entry['loc'][1:])) or 'the file'}: {entry['msg']}"
            for entry in found.errors
        )
        raise FileInvalid(f"{path}: {problems}")
    return [
        Item(operation, body, f"{path.name} {name} {index}")
        for name, operation in UPSERTS.items()
        for index, body in enumerate(found.value.get(name) or ())
    ]


def read_csv(path: Path, entity: str) -> list[Item]:
    """The items of a CSV file with a header line; an empty cell is an absent member.

    Rows with the same key follow each other or not: they are one item, and each adds its parts
    (system, tank, component) to it. Raises FileInvalid, naming the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            header = list(reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileInvalid(f"{path} cannot be read: {error}") from error
    known = columns(entity)
    if unknown := [name for name in header if name not in known]:
        raise FileInvalid(
            f"{path}: unknown columns {', '.join(unknown)}; known are {', '.join(known)}"
        )
    items: dict[tuple[str, ...], Item] = {}
    for line, row in rows:
        cells = _cells(path, line, row)
        key = tuple(str(cells.get(name, "")) for name in KEY_MEMBERS[UPSERTS[entity]])
        item = items.setdefault(key, Item(UPSERTS[entity], {}, f"{path.name} line {line}"))
        _merge(path, line, entity, item.body, cells)
    return list(items.values())


def columns(entity: str) -> tuple[str, ...]:
    """The columns a CSV file of this list may have."""
    parts = tuple(column for part in _PARTS[entity].values() for column in part)
    return (*_MEMBERS[entity], *parts, *((_INSTANCE,) if entity == "tenants" else ()))


def parse_members(pairs: Sequence[str]) -> dict[str, Any]:
    """A body from `member=value` words; a value is YAML (`active=false`, `systems=[{name: x}]`).

    Raises FileInvalid for a word that is none.
    """
    body = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise FileInvalid(f"{pair!r} is not member=value")
        try:
            body[name] = _parse(value)
        except (yaml.YAMLError, TypeError) as error:
            raise FileInvalid(f"the value of {name} cannot be read: {error}") from error
    return body


class _Loader(yaml.SafeLoader):
    """YAML of JSON's kinds of values: what looks like a date stays the text it is."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in kinds if tag != "tag:yaml.org,2002:timestamp"]
    for first, kinds in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _parse(text: str) -> Any:
    """The value of a YAML or JSON text; TypeError where JSON has no such value."""
    value = yaml.load(text, Loader=_Loader)  # noqa: S506 — a SafeLoader with fewer kinds
    to_json(value)
    return value


def without_id(entity: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """A listed item as the body of its upsert: the id goes where an upsert takes none."""
    return {name: value for name, value in item.items() if name != "id" or "id" in _MEMBERS[entity]}


def _cells(path: Path, line: int, row: Mapping[str | None, Any]) -> dict[str, Any]:
    if None in row:
        raise FileInvalid(f"{path} line {line}: more cells than the header has columns")
    cells: dict[str, Any] = {}
    for name, text in row.items():
        if name is not None and text:
            cells[name] = _value(path, line, name, text.strip())
    return cells


def _value(path: Path, line: int, name: str, text: str) -> Any:
    try:
        if name in _BOOLEANS:
            return {"true": True, "false": False}[text.lower()]
        if name in _INTEGERS:
            return int(text)
        if name in _DECIMALS:
            return float(text)
    except (KeyError, ValueError):
        raise FileInvalid(f"{path} line {line}: {name} cannot be {text!r}") from None
    return text


def _merge(
    path: Path, line: int, entity: str, body: dict[str, Any], cells: Mapping[str, Any]
) -> None:
    for name in _MEMBERS[entity]:
        if name in cells and body.setdefault(name, cells[name]) != cells[name]:
            raise FileInvalid(f"{path} line {line}: {name} differs from an earlier row of this key")
    for member, part_columns in _PARTS[entity].items():
        part = {to: cells[column] for column, to in part_columns.items() if column in cells}
        if member == "systems":
            _merge_system(body.setdefault("systems", []), part, cells.get(_INSTANCE))
        elif part:
            body.setdefault(member, []).append(part)


def _merge_system(
    systems: list[dict[str, Any]], part: dict[str, Any], instance: str | None
) -> None:
    if not part:
        return
    system = next((one for one in systems if one.get("name") == part.get("name")), None)
    if system is None:
        system = part
        systems.append(system)
    system.update(part)
    if instance is not None:
        system.setdefault("instances", []).append(instance)
