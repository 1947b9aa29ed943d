"""What the four upserts of reference data share: keys, items, parents, and how a row is taken in.

An item's outcome is the command's own (`done`, `waiting`, `refused`); its detail says what a
`done` meant: `created`, `updated`, `unchanged` or `superseded` (X10).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Members
from dataclasses import dataclass, replace
from typing import Any

from schemas.errors import ErrorEntry
from schemas.reading import in_document_order
from services.domain.command import Command
from services.domain.effects import Answer, Effects, ParentMissing, Upsert
from services.domain.tenants import OPERATORS, Directory, Pair, Tenant
from services.domain.world import World

TENANT = "reference.upsert-tenant"
PAIR = "reference.upsert-pair"
RECORD = "reference.upsert-record"
MAPPING = "reference.upsert-mapping"
OPERATIONS = (TENANT, PAIR, RECORD, MAPPING)

KEY_MEMBERS: Members[str, tuple[str, ...]] = {
    TENANT: ("slug",),
    PAIR: ("origin", "destination"),
    RECORD: ("goid",),
    MAPPING: ("tenant", "system", "entity", "source_id"),
}

NOT_ALLOWED = "This caller may not write this reference data."
_GOID = re.compile(r"(company|site|tank|product|terminal)_[A-Z0-9]{6,}")


@dataclass(frozen=True, slots=True)
class Missing:
    """A parent that is not there yet: the token its upsert wakes, and what to call it."""

    token: str
    what: str


def names(operation: str, body: Members[str, Any]) -> set[str]:
    """The tenants an upsert speaks of, by slug, name or id: its directory must know them all.

    For a tenant these are its own and whoever may hold its slug, its name or its id already.
    """
    members = {
        TENANT: ("slug", "name", "id"),
        PAIR: ("origin", "destination"),
        MAPPING: ("tenant",),
    }.get(operation, ())
    return {value for value in map(body.get, members) if isinstance(value, str)}


def entity_key(operation: str, body: Members[str, Any]) -> str:
    """What the upsert is about, as one text: at most one upsert of a key waits (protocol 3).

    Members that do not read are left empty. Parts are escaped, so no two keys share a text.
    """
    parts = (str(body.get(member) or "") for member in KEY_MEMBERS[operation])
    escaped = (part.replace("%", "%25").replace("|", "%7C") for part in parts)
    return "|".join((operation.removeprefix("reference.upsert-"), *escaped))


def label(command: Command) -> str:
    """What an item without a row is called in its answer: its key, as far as it reads."""
    parts = (str(command.body.get(member) or "") for member in KEY_MEMBERS[command.operation])
    return "/".join(parts)


def is_goid(value: str, kind: str) -> bool:
    """Whether this is a goid of this kind: `<kind>_` and six or more of A-Z 0-9 (R038, K37)."""
    found = _GOID.fullmatch(value)
    return found is not None and found[1] == kind


def entry(loc: Sequence[str | int], msg: str, kind: str = "value_error") -> ErrorEntry:
    """One error in HTTP's shape; `loc` without its leading `body` (K28)."""
    return {"loc": ["body", *loc], "msg": msg, "type": kind}


def together(command: Command, rules: Iterable[ErrorEntry]) -> list[ErrorEntry]:
    """The schema's errors and the rules', all at once, in document order (K28)."""
    raw = command.body if command.raw is None else command.raw
    return in_document_order(raw, [*command.reading.errors, *rules])


def goid_rule(body: Members[str, Any], loc: Sequence[str | int], kind: str) -> list[ErrorEntry]:
    """An entry unless the last member of `loc` is absent from `body` or a goid of this kind."""
    value = body.get(str(loc[-1]))
    if value is None or is_goid(value, kind):
        return []
    return [entry(loc, f"A goid of a {kind} is {kind}_ and six or more of A-Z and 0-9")]


def repeated(values: Iterable[tuple[Sequence[str | int], Any]], what: str) -> list[ErrorEntry]:
    """An entry for each value that stood earlier already; None never counts."""
    seen = set()
    errors = []
    for loc, value in values:
        if value is None:
            continue
        if value in seen:
            errors.append(entry(loc, f"{what} may stand only once"))
        seen.add(value)
    return errors


def items(body: Members[str, Any], member: str) -> list[tuple[int, Members[str, Any]]]:
    """The well-formed items of a list with their index; none when it is absent or null."""
    return [(index, item) for index, item in enumerate(body.get(member) or ()) if item is not None]


def invalid(command: Command, entries: list[ErrorEntry], item_id: str | None = None) -> Effects:
    """Refused for what the item says: 422, every error at once (K28)."""
    return Effects(
        answer=Answer(
            "refused", 422, "request.invalid", _item(item_id or label(command), "refused", entries)
        )
    )


def not_allowed(command: Command, detail: str = NOT_ALLOWED) -> Effects:
    """Refused for who says it: 403, the same whether or not the row exists (guarantee 6)."""
    return Effects(
        answer=Answer(
            "refused", 403, "request.not_allowed", _item(label(command), "refused", detail)
        )
    )


def is_operator(command: Command) -> bool:
    """Whether the hub's operators send this."""
    return command.caller.id == OPERATORS.id


def waits(command: Command, world: World, item_id: str, missing: Sequence[Missing]) -> Effects:
    """Kept until a parent comes; at its turn everything is looked up again (protocol 3)."""
    detail = "Waits for " + ", ".join(dict.fromkeys(parent.what for parent in missing))
    return Effects(
        answer=Answer(
            "waiting", 200, "reference.parent_missing", _item(item_id, "waiting", detail)
        ),
        parent=ParentMissing(
            entity_key=entity_key(command.operation, command.body),
            wake_on=tuple(dict.fromkeys(parent.token for parent in missing)),
        ),
        supersedes=_superseded(command, world, item_id),
    )


def written(
    command: Command, world: World, item_id: str, *, existed: bool, upsert: Upsert | None
) -> Effects:
    """Done; without `upsert` the row was so already and nobody is woken."""
    detail = "unchanged" if upsert is None else "updated" if existed else "created"
    if command.reading.unknown:
        detail += "; ignored unknown fields: " + ", ".join(command.reading.unknown)
    return Effects(
        answer=Answer("done", 200, None, _item(item_id, "done", detail)),
        upsert=upsert,
        supersedes=_superseded(command, world, item_id),
    )


def apply(world: World, upsert: Upsert) -> None:
    """Take a decided upsert into the working world, so that the batch's next command sees it."""
    if upsert.tenant is not None:
        put_tenant(world.directory, upsert.tenant)
    if upsert.pair is not None:
        pair = upsert.pair
        world.directory.pairs[pair.origin.id, pair.destination.id] = pair
    if upsert.record is not None:
        world.master.put_record(upsert.record)
    if upsert.mapping is not None:
        world.master.put_mapping(upsert.mapping)


def put_tenant(directory: Directory, tenant: Tenant) -> None:
    """Add a tenant or replace it: a name it gives up is free, its pairs know it as it is now."""
    old = directory.by_id.get(tenant.id)
    if old is not None and old.name != tenant.name:
        directory.by_name.pop(old.name, None)
    directory.by_id[tenant.id] = tenant
    directory.by_slug[tenant.slug] = tenant
    directory.by_name[tenant.name] = tenant
    for key, pair in directory.pairs.items():
        if tenant.id in key:
            directory.pairs[key] = _with_tenant(pair, tenant)


def _with_tenant(pair: Pair, tenant: Tenant) -> Pair:
    origin = tenant if pair.origin.id == tenant.id else pair.origin
    destination = tenant if pair.destination.id == tenant.id else pair.destination
    return replace(pair, origin=origin, destination=destination)


def _superseded(command: Command, world: World, item_id: str) -> tuple[str, str, Answer] | None:
    waiting = world.waiting_upserts.get(entity_key(command.operation, command.body))
    if waiting is None or waiting == (command.caller.id, command.id):
        return None
    return (*waiting, Answer("done", 200, None, _item(item_id, "done", "superseded")))


def _item(item_id: str, outcome: str, detail: str | list[ErrorEntry]) -> dict[str, Any]:
    return {"id": item_id, "outcome": outcome, "detail": detail}
