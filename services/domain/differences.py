"""What differs between two states of an order, and the second from the first and that (X01).

Drops are one and the same where site, tank and product are; of two alike the first is the first.
The rest was added or removed. What is the same is the master data's to say: both are compared in
its words, and told in each reader's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Mapping as Members
from dataclasses import dataclass
from typing import Any, NamedTuple

Document = dict[str, Any]

DELIVERY_WINDOW = "delivery_window_change"
DESTINATION = "destination_change"
SUPPLY = "supply_change"
VOLUME = "volume_change"
NOTE = "note_change"
PO = "po_change"
TYPES = (DELIVERY_WINDOW, DESTINATION, SUPPLY, VOLUME, NOTE, PO)

DROP = "drop"
# The members of an order that may change, beside its drops.
MEMBERS = {
    "delivery_window": DELIVERY_WINDOW,
    "note": NOTE,
    "po": PO,
    "supply_owner": SUPPLY,
}
_KEYED = {"supply_owner", "product", "loads"}
_LOAD_KEYS = ("terminals", "products", "suppliers")
# Those of a drop that stays. What it carries along goes with the notes.
_OF_DROP = {"product": SUPPLY, "volume": VOLUME, "loads": SUPPLY, "extra_data": NOTE}


class Place(NamedTuple):
    """Where a drop goes: the goids of its site and tank."""

    site: str | None
    tank: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: of which type, of which member, and of which drop before and after.

    Of a member of the order itself both places are None.
    """

    type: str
    field: str
    before: int | None = None
    after: int | None = None

    @property
    def drop(self) -> int | None:
        """The place that is told: before the change, of a drop that was added after it."""
        return self.after if self.before is None else self.before


def place_of(drop: Members[str, Any]) -> Place:
    """Where this drop of a master document goes."""
    return Place(drop["site"]["goid"], drop["site"].get("tank_goid"))


def matched(
    before: Sequence[Members[str, Any]], after: Sequence[Members[str, Any]]
) -> dict[int, int]:
    """Which drops are the same: {place before: place after}, of two lists of master drops.

    A drop that names no product is any drop into its tank, once those alike have found each other.
    """
    found = _paired(enumerate(before), enumerate(after), _place_and_product)
    taken = set(found.values())
    left = [(at, drop) for at, drop in enumerate(before) if at not in found]
    free = [(at, drop) for at, drop in enumerate(after) if at not in taken]
    # Only one of the two may leave it open: two products are two drops.
    for names_none, names_one in ((left, free), (free, left)):
        open_ = [each for each in names_none if each[1]["product"] is None]
        named = [each for each in names_one if each[1]["product"] is not None]
        pairs = _paired(open_, named, place_of)
        found |= pairs if names_none is left else {new: old for old, new in pairs.items()}
    return found


def _paired(
    before: Iterable[tuple[int, Members[str, Any]]],
    after: Iterable[tuple[int, Members[str, Any]]],
    key: Callable[[Members[str, Any]], Any],
) -> dict[int, int]:
    """Drops with the same key, the first with the first."""
    free: dict[Any, deque[int]] = {}
    for at, drop in after:
        free.setdefault(key(drop), deque()).append(at)
    found = {}
    for at, drop in before:
        same = free.get(key(drop))
        if same:
            found[at] = same.popleft()
    return found


def arranged(same: Members[int, int], count: int) -> tuple[list[int], dict[int, int]]:
    """In which order `count` drops stand in the list as it becomes, and which are the same then.

    Those that stay keep the order they had, the new ones follow in theirs. Matching the lists
    again could pair drops with like ones: which are the same is said once.
    """
    kept = [same[at] for at in sorted(same)]
    stayed = set(kept)
    order = kept + [at for at in range(count) if at not in stayed]
    return order, {at: place for place, at in enumerate(sorted(same))}


def between(
    before: Document, after: Document, same: Members[int, int] | None = None
) -> list[Difference]:
    """Every difference of two master documents: the order's own, then its drops' in their order.

    `same` says which drops are the same where that is known.
    """
    found = [
        Difference(kind, member)
        for member, kind in MEMBERS.items()
        if _compared(member, before[member]) != _compared(member, after[member])
    ]
    old, new = before["drops"], after["drops"]
    same = matched(old, new) if same is None else same
    stayed = set(same.values())
    added = [at for at in range(len(new)) if at not in stayed]
    came = {place_of(new[at]) for at in added}
    went = {place_of(drop) for at, drop in enumerate(old) if at not in same}
    for at, drop in enumerate(old):
        if at not in same:
            found.append(Difference(_moved(drop, came), DROP, at, None))
            continue
        becomes = new[same[at]]
        found += [
            Difference(kind, member, at, same[at])
            for member, kind in _OF_DROP.items()
            if _compared(member, drop[member]) != _compared(member, becomes[member])
        ]
    return found + [Difference(_moved(new[at], went), DROP, None, at) for at in added]


def types_of(differences: Sequence[Difference]) -> tuple[str, ...]:
    """The types there are, each once, in the order of the catalogue."""
    there = {each.type for each in differences}
    return tuple(kind for kind in TYPES if kind in there)


def told(differences: Sequence[Difference], before: Document, after: Document) -> list[Document]:
    """The differences in one side's words: of these two documents of it."""
    return [_told(each, before, after) for each in differences]


def apply(changes: Sequence[Members[str, Any]], before: Document) -> Document:
    """What a document becomes by differences that were told in its words.

    Drops that stay keep their places, those that were added follow in the order of theirs. `before`
    is left as it is.
    """
    after = dict(before)
    drops: dict[int, Document] = {at: dict(drop) for at, drop in enumerate(before["drops"])}
    added: list[tuple[int, Document]] = []
    for change in changes:
        at, member, becomes = change["drop"], change["field"], change["to"]
        if at is None:
            after[member] = becomes
        elif member != DROP:
            drops[at][member] = becomes
        elif becomes is None:
            del drops[at]
        else:
            added.append((at, becomes))
    after["drops"] = [*drops.values(), *(drop for _, drop in sorted(added, key=lambda one: one[0]))]
    return after


def same_supply(one: Sequence[Members[str, Any]], other: Sequence[Members[str, Any]]) -> bool:
    """Whether the loads of two drops say the same."""
    return bool(_compared("loads", one) == _compared("loads", other))


def _place_and_product(drop: Members[str, Any]) -> tuple[Place, Any]:
    return place_of(drop), _compared("product", drop["product"])


def _compared(member: str, value: Any) -> Any:
    """What a member is compared by: keys by their records, which may be renamed."""
    if value is None or member not in _KEYED:
        return value
    if member != "loads":
        return value["goid"]
    return [
        (
            *([key["goid"] for key in load[each]] for each in _LOAD_KEYS),
            load["price_types"],
            load["contracts"],
        )
        for load in value
    ]


def _moved(drop: Members[str, Any], others: set[Place]) -> str:
    """A drop that came or went: another product for the same tank is a matter of supply."""
    return SUPPLY if place_of(drop) in others else DESTINATION


def _told(each: Difference, before: Document, after: Document) -> Document:
    return {
        "type": each.type,
        "drop": each.drop,
        "field": each.field,
        "from": _value(each, before, each.before),
        "to": _value(each, after, each.after),
    }


def _value(each: Difference, document: Document, at: int | None) -> Any:
    if at is None:
        return None if each.field == DROP else document[each.field]
    drop = document["drops"][at]
    return drop if each.field == DROP else drop[each.field]
