"""`python -m schemas.gate`: what changed since the published schemas, and whether it breaks.

The published schemas (schemas/published) are those of the last release. A document the hub
takes must go on taking what it took. A document it gives must go on saying what it said, and
its topics keep records for days, so there both directions count. Exit code 1 when anything
breaks; `--publish` makes the generated schemas the published ones when nothing does.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from schemas.documents import DOCUMENTS
from schemas.generate import generated, load, write

PUBLISHED = Path(__file__).parent / "published"

Schema = Mapping[str, Any]
Direction = Literal["taken", "given"]

_SILENT = {"$schema", "$id", "$defs", "title", "description", "default", "examples"}
_STRUCTURE = {"type", "anyOf", "$ref", "properties", "required", "additionalProperties", "items"}
_FIXED = ("pattern", "format")
_LOWER = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
_UPPER = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
_KNOWN = _SILENT | _STRUCTURE | {"enum", "const", *_FIXED, *_LOWER, *_UPPER}


class NotComparableError(Exception):
    """The schema uses a keyword, or a shape, that the gate cannot compare."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: where (`/drops/[]/volume`), what, and how it bends what is valid.

    `narrows`: something valid before is no longer. `widens`: something not valid before is now.
    A new optional member does neither: readers ignore what they do not know.
    """

    path: str
    what: str
    narrows: bool = False
    widens: bool = False

    def breaks(self, direction: Direction) -> bool:
        """Whether a partner of the document is broken by it."""
        return self.narrows or (self.widens and direction == "given")


def compare(old: Schema, new: Schema) -> list[Change]:
    """Every difference between two JSON Schemas of one document.

    Raises NotComparableError for keywords it has no rule for: better no verdict than a blind one.
    """
    return list(_Comparison(old, new).node(old, new, "", frozenset()))


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._old_defs: Schema = old.get("$defs", {})
        self._new_defs: Schema = new.get("$defs", {})

    def node(
        self, old: Schema, new: Schema, path: str, seen: frozenset[tuple[str, str]]
    ) -> Iterator[Change]:
        pair = (str(old.get("$ref")), str(new.get("$ref")))
        if "$ref" in old and "$ref" in new:
            if pair in seen:
                return
            seen = seen | {pair}
        before = _alternatives(old, self._old_defs)
        after = _alternatives(new, self._new_defs)
        where = path or "/"
        if "any" in before or "any" in after:
            if "any" not in after:
                yield Change(where, f"narrowed to {_names(after)}", narrows=True)
            elif "any" not in before:
                yield Change(where, "takes anything now", widens=True)
            return
        for kind in sorted(before.keys() - after.keys()):
            if kind == "integer" and "number" in after:
                yield from self._same_kind(before[kind], after["number"], path, seen)
            else:
                yield Change(where, f"no longer {kind}", narrows=True)
        for kind in sorted(after.keys() - before.keys()):
            if kind == "integer" and "number" in before:
                continue
            yield Change(where, f"may be {kind} now", widens=True)
        for kind in sorted(before.keys() & after.keys()):
            yield from self._same_kind(before[kind], after[kind], path, seen)

    def _same_kind(
        self, old: Schema, new: Schema, path: str, seen: frozenset[tuple[str, str]]
    ) -> Iterator[Change]:
        where = path or "/"
        yield from _values(old, new, where)
        yield from _limits(old, new, where)
        if "items" in old or "items" in new:
            yield from self.node(old.get("items", {}), new.get("items", {}), f"{path}/[]", seen)
        yield from self._members(old, new, path, seen)

    def _members(
        self, old: Schema, new: Schema, path: str, seen: frozenset[tuple[str, str]]
    ) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted(before.keys() - after.keys()):
            yield Change(f"{path}/{name}", "removed", narrows=True, widens=True)
        for name in sorted(needs - needed):
            text = "required now" if name in before else "new and required"
            yield Change(f"{path}/{name}", text, narrows=True)
        for name in sorted(needed - needs):
            if name in after:
                yield Change(f"{path}/{name}", "optional now", widens=True)
        for name in sorted(after.keys() - before.keys() - needs):
            yield Change(f"{path}/{name}", "new and optional")
        for name in sorted(before.keys() & after.keys()):
            yield from self.node(before[name], after[name], f"{path}/{name}", seen)
        yield from self._others(old, new, path, seen)

    def _others(
        self, old: Schema, new: Schema, path: str, seen: frozenset[tuple[str, str]]
    ) -> Iterator[Change]:
        before = old.get("additionalProperties", True)
        after = new.get("additionalProperties", True)
        if before == after:
            return
        if after is False:
            yield Change(path or "/", "refuses other members now", narrows=True)
        elif before is False:
            yield Change(path or "/", "takes other members now")
        else:
            yield from self.node(_as_schema(before), _as_schema(after), f"{path}/*", seen)


def _as_schema(value: Any) -> Schema:
    return value if isinstance(value, Mapping) else {}


def _alternatives(node: Schema, defs: Schema) -> dict[str, Schema]:
    """What a node may be, by JSON type; `any` when it may be anything."""
    unknown = node.keys() - _KNOWN
    if unknown:
        raise NotComparableError(f"The gate has no rule for {', '.join(sorted(unknown))}.")
    for lone in ("$ref", "anyOf"):
        if lone in node and node.keys() - _SILENT - {lone}:
            raise NotComparableError(f"A schema with rules beside {lone}.")
    if "$ref" in node:
        return _alternatives(defs[node["$ref"].removeprefix("#/$defs/")], defs)
    if "anyOf" in node:
        found: dict[str, Schema] = {}
        for choice in node["anyOf"]:
            for kind, schema in _alternatives(choice, defs).items():
                if kind in found and found[kind] != schema:
                    raise NotComparableError(f"Two choices of anyOf are both {kind}.")
                found[kind] = schema
        return found
    kinds = node.get("type")
    if kinds is None:
        if node.keys() - _SILENT:
            raise NotComparableError("A schema with rules but without type.")
        return {"any": node}
    return dict.fromkeys([kinds] if isinstance(kinds, str) else kinds, node)


def _names(kinds: Mapping[str, Schema]) -> str:
    return " or ".join(sorted(kinds))


def _values(old: Schema, new: Schema, where: str) -> Iterator[Change]:
    before, after = _enumerated(old), _enumerated(new)
    if before is None and after is None:
        return
    if before is None:
        yield Change(where, "only certain values now", narrows=True)
    elif after is None:
        yield Change(where, "any value now", widens=True)
    else:
        for value in before:
            if value not in after:
                yield Change(where, f"value {value!r} removed", narrows=True)
        for value in after:
            if value not in before:
                yield Change(where, f"value {value!r} added", widens=True)


def _enumerated(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema.get("enum")


def _limits(old: Schema, new: Schema, where: str) -> Iterator[Change]:
    for keyword in _FIXED:
        before, after = old.get(keyword), new.get(keyword)
        if before == after:
            continue
        text = f"{keyword} {_said(before)} became {_said(after)}"
        yield Change(where, text, narrows=after is not None, widens=before is not None)
    for keyword in (*_LOWER, *_UPPER):
        before, after = old.get(keyword), new.get(keyword)
        if before == after:
            continue
        tighter = before is None or (
            after is not None and (after > before if keyword in _LOWER else after < before)
        )
        text = f"{keyword} {_said(before)} became {_said(after)}"
        yield Change(where, text, narrows=tighter, widens=not tighter)


def _said(value: Any) -> str:
    return "none" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The changes of one document; `direction` decides which of them break."""

    document: str
    direction: Direction
    changes: Sequence[Change]


def judge(published: Mapping[str, Schema], current: Mapping[str, Schema]) -> list[Verdict]:
    """What changed in each document since it was published; a new document changes nothing."""
    directions: dict[str, Direction] = {one.name: one.direction for one in DOCUMENTS}
    verdicts = []
    for name, old in sorted(published.items()):
        direction = directions.get(name, "given")
        if name not in current:
            gone = Change("/", "document removed", narrows=True, widens=True)
            verdicts.append(Verdict(name, direction, [gone]))
        elif changes := _changes(old, current[name]):
            verdicts.append(Verdict(name, direction, changes))
    return verdicts


def _changes(old: Schema, new: Schema) -> list[Change]:
    if old == new:
        return []
    try:
        return compare(old, new)
    except NotComparableError as error:
        return [Change("/", f"cannot be compared: {error}", narrows=True, widens=True)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Name every change; 1 when one breaks, else 0."""
    parser = argparse.ArgumentParser(prog="python -m schemas.gate", description=__doc__)
    parser.add_argument("--published", type=Path, default=PUBLISHED, help="folder to compare with")
    parser.add_argument("--publish", action="store_true", help="publish what is generated")
    options = parser.parse_args(arguments)
    broken = False
    for verdict in judge(load(options.published), generated()):
        for change in verdict.changes:
            breaks = change.breaks(verdict.direction)
            broken = broken or breaks
            word = "BREAKS" if breaks else "fine"
            sys.stdout.write(f"{word}  {verdict.document} {change.path}: {change.what}\n")
    if broken:
        sys.stderr.write("A breaking change is a new version of the document beside the old.\n")
        return 1
    if options.publish:
        write(options.published)
    return 0


if __name__ == "__main__":
    sys.exit(main())
