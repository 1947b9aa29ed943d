"""Reading a document: its value, or every error at once with what is well-formed (K28, K31)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, SchemaValidator

from schemas.errors import ErrorEntry

Path = tuple[str | int, ...]

UNKNOWN = "extra_forbidden"

TOO_MANY = "too_many_errors"
MAX_ERRORS = 1_000
"""More are counted, not listed: a mebibyte of zeros for drops is half a million errors."""


@dataclass(slots=True)
class Reading:
    """What a document says.

    `value` is the document, or None when it has errors. `errors` are in document order, `loc`
    begins with `body`. `unknown` are the dotted paths of members no document knows; they are in
    neither value. `wellformed` is what rules can run on beside the errors: members that read,
    converted like those of `value`; a wrong list item is None there, so that the others keep
    their index. Without errors it is `value`.
    """

    value: dict[str, Any] | None
    errors: list[ErrorEntry]
    unknown: list[str]
    wellformed: dict[str, Any]
    _at: frozenset[Path] = field(init=False, repr=False, compare=False, default=frozenset())
    _above: frozenset[Path] = field(init=False, repr=False, compare=False, default=frozenset())

    def __post_init__(self) -> None:
        if self.errors:
            locs = [tuple(entry["loc"]) for entry in self.errors]
            self._at = frozenset(locs)
            self._above = frozenset(loc[:end] for loc in locs for end in range(1, len(loc)))

    def spoiled(self, *path: str | int) -> bool:
        """Whether an error lies at, above or below this path, given without `body`.

        A rule about what is missing there then has nothing to add: it was there, and wrong.
        """
        loc = ("body", *path)
        return loc in self._above or any(loc[:end] in self._at for end in range(1, len(loc) + 1))


def read(
    adapter: TypeAdapter[Any],
    raw: Any,
    *,
    strict: bool = False,
    further: Sequence[ErrorEntry] = (),
) -> Reading:
    """Read `raw`, parsed JSON, as the adapter's document; never raises for what `raw` holds.

    A good document is validated once. With `strict` (`Prefer: handling=strict`) an unknown
    member is an error like any other (K31). `further` are errors that parsing has lost: they count
    as the document's own, but for those in members it does not know.
    """
    found = _read(adapter, raw, strict=strict)
    return _joined(raw, found, further) if further else found


def _joined(raw: Any, found: Reading, further: Sequence[ErrorEntry]) -> Reading:
    ignored = {tuple(name.split(".")) for name in found.unknown}
    more = []
    for each in further:
        path = tuple(str(part) for part in each["loc"][1:])
        if not any(path[:end] in ignored for end in range(1, len(path) + 1)):
            more.append(each)
    room = max(MAX_ERRORS - len(found.errors), 0)
    if not more[:room]:
        return found
    return Reading(
        value=None,
        errors=in_document_order(raw, [*found.errors, *more[:room]]),
        unknown=found.unknown,
        wellformed=found.wellformed,
    )


def _read(adapter: TypeAdapter[Any], raw: Any, *, strict: bool) -> Reading:
    try:
        value: dict[str, Any] = adapter.validate_python(raw)
    except ValidationError as error:
        faults = _faults(error)
    else:
        return Reading(value=value, errors=[], unknown=[], wellformed=value)
    wrong = faults if strict else [fault for fault in faults if fault["type"] != UNKNOWN]
    if len(wrong) > MAX_ERRORS:
        return _hopeless(raw, wrong)
    return _explain(adapter, raw, faults, wrong)


def _hopeless(raw: Any, wrong: Sequence[ErrorDetails]) -> Reading:
    """The first errors and how many more there are; rules have nothing to add to those."""
    rest: ErrorEntry = {
        "loc": ["body"],
        "msg": f"There are {len(wrong) - MAX_ERRORS} further errors",
        "type": TOO_MANY,
    }
    told = in_document_order(raw, map(_entry, wrong[:MAX_ERRORS]))
    return Reading(value=None, errors=[*told, rest], unknown=[], wellformed={})


def in_document_order(raw: Any, errors: Iterable[ErrorEntry]) -> list[ErrorEntry]:
    """Sort errors by where they stand in `raw`, headers first; a missing member comes last.

    The entry that counts further errors comes after everything. For joining the errors of a reading
    with those of the rules (K28). Ties keep their order.
    """
    positions: dict[int, dict[str, int]] = {}

    def place(entry: ErrorEntry) -> list[int]:
        loc = entry["loc"]
        if not loc or loc[0] != "body":
            return [0]
        if entry["type"] == TOO_MANY:
            return [2]
        found = [1]
        here = raw
        for part in loc[1:]:
            if isinstance(here, dict):
                members = positions.get(id(here))
                if members is None:
                    members = {name: index for index, name in enumerate(here)}
                    positions[id(here)] = members
                found.append(members.get(str(part), len(members)))
                here = here.get(part)
            elif isinstance(here, list) and isinstance(part, int) and 0 <= part < len(here):
                found.append(part)
                here = here[part]
            else:
                break
        return found

    return sorted(errors, key=place)


def _faults(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_context=False, include_input=False)


def _explain(
    adapter: TypeAdapter[Any],
    raw: Any,
    faults: Sequence[ErrorDetails],
    wrong: Sequence[ErrorDetails],
) -> Reading:
    unknown = [fault for fault in faults if fault["type"] == UNKNOWN]
    names = [
        ".".join(str(part) for part in entry["loc"][1:])
        for entry in in_document_order(raw, map(_entry, unknown))
    ]
    if not wrong:
        value = adapter.validate_python(_without(raw, [fault["loc"] for fault in unknown]))
        return Reading(value=value, errors=[], unknown=names, wellformed=value)
    return Reading(
        value=None,
        errors=in_document_order(raw, map(_entry, wrong)),
        unknown=names,
        wellformed=_wellformed(adapter, raw, faults),
    )


def _entry(fault: ErrorDetails) -> ErrorEntry:
    return {"loc": ["body", *fault["loc"]], "msg": fault["msg"], "type": fault["type"]}


def _wellformed(
    adapter: TypeAdapter[Any], raw: Any, faults: Sequence[ErrorDetails]
) -> dict[str, Any]:
    if not isinstance(raw, dict):
        return {}
    rest = _without(raw, [fault["loc"] for fault in faults if fault["type"] != "missing"])
    value: dict[str, Any] = _partial(adapter).validate_python(rest)
    return value


@cache
def _partial(adapter: TypeAdapter[Any]) -> SchemaValidator:
    """The document's validator with every member optional and every list item nullable."""
    adapter.rebuild()
    return SchemaValidator(_loosened(adapter.core_schema))


def _loosened(node: Any) -> CoreSchema:
    if isinstance(node, Mapping):
        loose: Any = {key: _loosened(value) for key, value in node.items()}
        if node.get("type") == "typed-dict-field":
            loose["required"] = False
        elif node.get("type") == "list" and "items_schema" in loose:
            loose["items_schema"] = {"type": "nullable", "schema": loose["items_schema"]}
        return loose  # type: ignore[no-any-return]
    if isinstance(node, list):
        return [_loosened(item) for item in node]  # type: ignore[return-value]
    return node  # type: ignore[no-any-return]


_GONE: dict[str | int, Any] = {}


def _without(raw: Any, paths: Iterable[Path]) -> Any:
    """A copy of `raw` without these members; list items become None. Shares what it keeps."""
    root: dict[str | int, Any] = {}
    for path in paths:
        node = root
        for part in path[:-1]:
            node = node.setdefault(part, {})
            if node is _GONE:
                break
        else:
            if path:
                node[path[-1]] = _GONE
    return _pruned(raw, root)


def _pruned(value: Any, gone: dict[str | int, Any]) -> Any:
    if not gone:
        return value
    if isinstance(value, dict):
        return {
            key: _pruned(member, gone[key]) if key in gone else member
            for key, member in value.items()
            if gone.get(key) is not _GONE
        }
    if isinstance(value, list):
        return [
            None
            if gone.get(index) is _GONE
            else _pruned(item, gone[index])
            if index in gone
            else item
            for index, item in enumerate(value)
        ]
    return value
