"""The three documents of an order side by side, and where they differ."""

from collections.abc import Iterator, Mapping
from typing import Any

SIDES = ("origin", "master", "destination")
ABSENT = object()
"""What stands for a member that a document does not have."""


def side_by_side(documents: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A line for each member: its path, whether the documents that are there differ, the values.

    A document that is not there yet (not mapped so far) differs from nothing; a member that one
    document lacks and another has does.
    """
    flat = {side: dict(flatten(documents[side])) for side in SIDES if documents.get(side)}
    paths: dict[str, None] = {}
    for members in flat.values():
        paths.update(dict.fromkeys(members))
    lines = []
    for path in paths:
        values = {side: members.get(path, ABSENT) for side, members in flat.items()}
        first = next(iter(values.values()))
        lines.append(
            {
                "path": path,
                "differs": any(not same(value, first) for value in values.values()),
                **{side: value for side, value in values.items() if value is not ABSENT},
            }
        )
    return lines


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same in JSON, where true is not 1."""
    return one is other or (isinstance(one, bool) == isinstance(other, bool) and bool(one == other))


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a JSON value with its path, as `drops[0].site.source_id`."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from flatten(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for at, inner in enumerate(value):
            yield from flatten(inner, f"{path}[{at}]")
    else:
        yield path, value
