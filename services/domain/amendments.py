"""What an update or a proposal would make of an order, in all three wordings (X01).

It is read and mapped at once. What cannot be mapped is an error of the request, at its place: an
update never waits for a mapping.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Members
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.errors import ErrorEntry
from services.domain import addressing, differences, drops, keys, loads, mapping, tanks, windows
from services.domain.addressing import Key
from services.domain.command import Command
from services.domain.entries import Path, entry
from services.domain.mapping import KeyEcho
from services.domain.own_words import Places, Triple, places
from services.domain.tenants import Directory
from services.domain.translate import Translator, Words, window_document
from services.domain.wording import Wording
from services.domain.world import Needs, Scope

Document = dict[str, Any]
# (the caller's, the master's, the other side's)
Three = tuple[Document, Document, Document]

MEMBERS = (*differences.MEMBERS, "drops")
NOT_IN_ITS_SYSTEM = "The caller's system that the order is in has no mapping of this"
_NOWHERE: tuple[None, None, None] = (None, None, None)


@dataclass(frozen=True, slots=True)
class Amendment:
    """The members of the order that become something else, and what differs.

    `members` are in the caller's, the master's and the other side's words, `mine` and `theirs` the
    differences as the caller and the other side are told.
    """

    members: Three
    types: tuple[str, ...]
    mine: list[Document]
    theirs: list[Document]

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.types)


def named(body: Members[str, Any]) -> list[Key]:
    """Every mapping key the body names, with its entity."""
    return [(entity, key) for _, entity, key in _keys(body)]


def needs(command: Command, directory: Directory) -> Needs:
    """The order with its pending change, and every key in the words of either side.

    A caller that names one of its systems may speak of an order that is in another one.
    """
    found = addressing.needs(command, directory, named(command.body))
    found.changes = True
    if command.system_name is not None and found.scope is not None:
        caller = command.caller
        others = [each.name for each in caller.systems if each.name != command.system_name]
        found.further += tuple(
            Needs(found.scope, Scope(caller.id, other), found.keys) for other in others
        )
    return found


def rules(command: Command) -> Iterator[ErrorEntry]:
    """What is wrong with an update that can be told without its order (K28)."""
    reading, body = command.reading, command.body
    yield from addressing.problems(reading)
    spoiled = reading.spoiled
    for path, entity, key in _keys(body):
        yield from keys.problems(entity, key, path, spoiled=bool(reading.errors) and spoiled(*path))
    window = body.get("delivery_window")
    if window is not None:
        yield from windows.problems(window, ("delivery_window",), spoiled)
    yield from drops.problems(body.get("drops") or (), ("drops",), spoiled)
    if not any(member in body or spoiled(member) for member in MEMBERS):
        wanted = ", ".join(MEMBERS[:-1])
        yield entry((), f"Name at least one of {wanted} and {MEMBERS[-1]}", "nothing_to_change")


def read(body: Members[str, Any], wording: Wording) -> Amendment | list[ErrorEntry]:
    """What the body would make of the order; or everything in it that cannot be mapped."""
    reader = _Reader(wording)
    amended = reader.members(body)
    if reader.errors:
        return reader.errors
    before = wording.documents
    mine, master, theirs = (
        {**document, **members} for document, members in zip(before, amended, strict=True)
    )
    found = differences.between(before[1], master, reader.same)
    changed = {each.field if each.drop is None else "drops" for each in found}
    kept = [{name: members[name] for name in members if name in changed} for members in amended]
    return Amendment(
        (kept[0], kept[1], kept[2]),
        differences.types_of(found),
        differences.told(found, before[0], mine),
        differences.told(found, before[2], theirs),
    )


def _keys(body: Members[str, Any]) -> drops.Keys:
    owner = body.get("supply_owner")
    found: drops.Keys = [] if owner is None else [(("supply_owner",), keys.COMPANY, owner)]
    return found + drops.keys_of(body.get("drops") or (), ("drops",))


@dataclass(slots=True)
class _OwnFirst(Translator):
    """Translates keys as the order calls them, and by the mappings of now what it does not know."""

    wording: Wording = field(kw_only=True)

    def key(self, entity: str, key: Members[str, Any]) -> Words:
        """A key in the three wordings."""
        own = self.wording.own(entity, key)
        if own is not None:
            return Words(*own)
        words = Translator.key(self, entity, key)
        spoken = _spoken(self.wording, words.master)
        return words if spoken is None else replace(words, origin=spoken)


@dataclass(slots=True)
class _Reader:
    """Reads the members of one body; what cannot be mapped becomes an error at its place."""

    wording: Wording
    errors: list[ErrorEntry] = field(default_factory=list)
    # Which drops are the same, before and after, where the list is given.
    same: dict[int, int] | None = None
    _places: Places | None = None
    _tanks: dict[tuple[Any, ...], Triple | None] = field(default_factory=dict)

    def members(self, body: Members[str, Any]) -> Three:
        """The members the body gives, in the three wordings; nothing but errors may be wrong."""
        given: Three = ({}, {}, {})
        for name in ("note", "po"):
            if name in body:
                for wording in given:
                    wording[name] = body[name]
        window = body.get("delivery_window")
        if window is not None:
            for wording in given:
                wording["delivery_window"] = window_document(window)
        if "supply_owner" in body:
            owner = body["supply_owner"]
            words = _NOWHERE if owner is None else self._key(keys.COMPANY, owner, ("supply_owner",))
            for wording, word in zip(given, words, strict=True):
                wording["supply_owner"] = word
        if body.get("drops"):
            found = [self._drop(drop, ("drops", at)) for at, drop in enumerate(body["drops"])]
            if not self.errors:
                for wording, listed in zip(given, self._list(found), strict=True):
                    wording["drops"] = listed
        return given

    def _drop(self, drop: Members[str, Any], path: Path) -> Three:
        """One drop; its loads and extra data are None where nothing is said of them."""
        product = drop.get("product")
        carried: Sequence[KeyEcho | None] = _NOWHERE
        if product is not None:
            carried = self._key(keys.PRODUCT, product, (*path, "product"))
        site = self._site(drop["site"], product, (*path, "site"))
        supply = self._loads(drop.get("loads"), (*path, "loads"))
        mine, master, theirs = (
            {
                "site": site[at],
                "product": carried[at],
                "volume": drop["volume"],
                "loads": None if supply is None else supply[at],
                "extra_data": drop.get("extra_data"),
            }
            for at in range(3)
        )
        return mine, master, theirs

    def _loads(
        self, given: Sequence[Members[str, Any]] | None, path: Path
    ) -> list[list[Document]] | None:
        if given is None:
            return None
        for at, load in enumerate(given):
            for where, entity, key in loads.keys(load, (*path, at)):
                self._key(entity, key, where)
        wording = self.wording
        reader = _OwnFirst(wording.master, wording.mine, wording.theirs, wording=wording)
        words = [reader.load(load) for load in given]
        return [[each[at] for each in words] for at in range(3)]

    def _key(self, entity: str, key: Members[str, Any], path: Path) -> Triple:
        wording = self.wording
        own = wording.own(entity, key)
        if own is not None:
            return own
        mapping_id = key.get("mapping_id")
        scope = wording.mine.scope
        if mapping_id and mapping.by_mapping_id(wording.master, scope, entity, mapping_id) is None:
            self.errors.append(
                entry((*path, "mapping_id"), "The tenant has no such mapping", "unknown_mapping")
            )
            return mapping.given(key), None, None
        words = wording.translator.key(entity, key)
        if words.master is None:
            self._unmapped(path, "The caller has no mapping of this, or it leads nowhere")
        elif words.destination is None:
            self._unmapped(path, "The other side has no mapping of this")
        origin = words.origin
        if self.wording.foreign and words.master is not None:
            spoken = _spoken(self.wording, words.master)
            if spoken is None:
                self._unmapped(path, NOT_IN_ITS_SYSTEM)
            else:
                origin = spoken
        return origin, words.master, words.destination

    def _site(
        self, key: Members[str, Any], product: Members[str, Any] | None, path: Path
    ) -> Triple:
        """A site with its tank: as the order's drops call it, else by the mappings of now."""
        wording = self.wording
        own = wording.own(keys.SITE, key)
        if own is not None:
            found = self._own_tank(own[0]["goid"], key, product)
            if found is not None:
                return found
        before = len(self.errors)
        words = self._key(keys.SITE, key, path)
        if len(self.errors) > before:
            return words
        fresh = Translator(wording.master, wording.mine, wording.theirs)
        carried = None if product is None else fresh.key(keys.PRODUCT, product)
        place = fresh.site(key, carried)
        if place[1] is None:
            if fresh.origin_gaps and (carried is None or carried.found is not None):
                self._unmapped(path, "The site has no such tank")
            elif tanks.is_named(key) or product is None or wording.own(keys.PRODUCT, product):
                # A product that leads nowhere is told at its own place.
                self._unmapped(path, "The caller has no mapping of this, or it leads nowhere")
        elif place[2] is None:
            self._unmapped(path, "The other side has no mapping of this site with this tank")
        mine = place[0] or words[0]
        if self.wording.foreign and place[1] is not None:
            spoken = _spoken(self.wording, place[1])
            if spoken is None:
                self._unmapped(path, NOT_IN_ITS_SYSTEM)
            else:
                mine = spoken
        return mine, place[1], place[2]

    def _own_tank(
        self, goid: str, key: Members[str, Any], product: Members[str, Any] | None
    ) -> Triple | None:
        if self._places is None:
            self._places = places(self.wording.documents)
        named = [key.get(member) for member in keys.TANK_MEMBERS]
        if any(named):
            asked = (goid, *named)
            if asked not in self._tanks:
                self._tanks[asked] = self._places.called(goid, key)
            return self._tanks[asked]
        carried = None if product is None else self.wording.own(keys.PRODUCT, product)
        if carried is None:
            return None
        asked = (goid, carried[0]["goid"])
        if asked not in self._tanks:
            self._tanks[asked] = self._places.of_product(*asked)
        return self._tanks[asked]

    def _unmapped(self, path: Path, msg: str) -> None:
        self.errors.append(entry(path, msg, "unmapped"))

    def _list(self, given: Sequence[Three]) -> tuple[list[Document], ...]:
        """The whole list: drops that were there keep their places and their words."""
        before = [document["drops"] for document in self.wording.documents]
        same = differences.matched(before[1], [drop[1] for drop in given])
        order, self.same = differences.arranged(same, len(given))
        was = {new: (before[0][at], before[1][at], before[2][at]) for at, new in same.items()}
        found = [_kept(was[at], given[at]) if at in was else _new(given[at]) for at in order]
        return tuple([drop[wording] for drop in found] for wording in range(3))


def _spoken(wording: Wording, master: KeyEcho | None) -> KeyEcho | None:
    """What the caller's system that the order is in calls a record, and the tank of a site.

    None where it has no name for it, and where the key was given in that system anyway.
    """
    if not wording.foreign or wording.spoken is None or master is None:
        return None
    known = wording.master.of_goid(wording.spoken.scope, master["goid"])
    record = wording.master.record(master["goid"])
    if known is None or record is None:
        return None
    found = mapping.echo(known, record)
    if "tank_goid" not in master:
        return found
    tank = next((each for each in record.tanks if each.goid == master["tank_goid"]), None)
    called = None if tank is None else tanks.called(known, tank.goid)
    return None if called is None else tanks.echo(found, tank, called)


def _kept(old: Three, new: Three) -> Three:
    """A drop that stays: what is the same keeps the ids that were sent."""
    loads_stay = new[1]["loads"] is None or differences.same_supply(
        old[1]["loads"], new[1]["loads"]
    )
    mine, master, theirs = (
        {
            "site": before["site"],
            "product": after["product"] if before["product"] is None else before["product"],
            "volume": after["volume"],
            "loads": before["loads"] if loads_stay else after["loads"],
            "extra_data": before["extra_data"]
            if after["extra_data"] is None
            else after["extra_data"],
        }
        for before, after in zip(old, new, strict=True)
    )
    return mine, master, theirs


def _new(drop: Three) -> Three:
    mine, master, theirs = (
        {**each, "loads": each["loads"] or [], "extra_data": each["extra_data"] or {}}
        for each in drop
    )
    return mine, master, theirs
