"""Save an executed drop: what was delivered at one site (R061-R063, K16, K33, X09)."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Members
from datetime import datetime
from typing import Any

from schemas.errors import ErrorEntry
from services.domain import addressing, keys, papers, progress
from services.domain.addressing import Key
from services.domain.command import Command
from services.domain.effects import Effects
from services.domain.entries import Path, entry, together
from services.domain.keys import PRODUCT, SITE
from services.domain.own_words import Triple
from services.domain.progress import Kind, Words
from services.domain.tenants import Directory
from services.domain.wording import Wording, volume
from services.domain.world import Needs, OrderState, World

KIND = Kind(
    title="Save executed drop",
    member="executed_drop",
    sync="crossroads.order.drop-saved.v1",
    event="drop",
)
REPLACE = "replace"

# A drop's site as it was named, and as it reads.
AtSite = tuple[Members[str, Any], Triple | None]

_SITE_KEYS = ("source_id", "source_name", "mapping_id", "goid")
_NO_TANK: tuple[None, None, None] = (None, None, None)


def needs(command: Command, directory: Directory) -> Needs:
    """The order, and every key of the drop in the words of either side."""
    return addressing.needs(command, directory, _keys_alone(command.body))


def problems(command: Command) -> list[ErrorEntry]:
    """Everything wrong with the request that can be told without its order (K28)."""
    return together(command, _rules(command))


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Refuse it, let it wait, or keep it and tell the other side; also after `complete` (K26).

    `replace` takes the place of all that was kept for the site, `append` comes after it (R062).
    """
    case = progress.admit(KIND, command, world, now, _rules)
    if isinstance(case, Effects):
        return case
    wording = case.wording(world)
    words = _drops(command.body, wording)
    mine, master, theirs = words
    if wording.errors:
        return case.invalid(wording.errors)
    if wording.gaps:
        return case.missing(wording, mine)
    if _is_so(case.order, master):
        return case.repeated(mine)
    replaced = _of_site(case.order, master) if master["mode"] == REPLACE else []
    order = papers.filed(case.order, papers.DROPS, case.by_document(words), now, instead=replaced)
    detail = {"by": command.caller.name, "site": master["site"]["goid"], "mode": master["mode"]}
    return case.sent(order, mine, theirs, detail=detail)


def _of_site(order: OrderState, drop: Members[str, Any]) -> list[int]:
    """Which of the order's executed drops are of the same site."""
    return [
        at
        for at, each in enumerate(papers.kept(order, papers.DROPS))
        if each["site"]["goid"] == drop["site"]["goid"]
    ]


def _is_so(order: OrderState, drop: Members[str, Any]) -> bool:
    """Whether keeping the drop would change nothing: it is there, and nothing it replaces (K33)."""
    kept = papers.kept(order, papers.DROPS)
    of_site = _of_site(order, drop)
    if drop["mode"] == REPLACE and len(of_site) != 1:
        return False
    return any(papers.same(kept[at], drop) for at in of_site)


def _keys(body: Members[str, Any]) -> Iterator[tuple[Path, str, Members[str, Any]]]:
    site = body.get("site")
    if site is not None:
        yield ("site",), SITE, site
    for at, detail in enumerate(body.get("details") or ()):
        for member, entity in (("product", PRODUCT), ("tank", SITE)):
            key = None if detail is None else detail.get(member)
            if key is not None:
                yield ("details", at, member), entity, key


def _keys_alone(body: Members[str, Any]) -> Iterator[Key]:
    return ((entity, key) for _, entity, key in _keys(body))


def _rules(command: Command) -> Iterator[ErrorEntry]:
    reading = command.reading
    yield from addressing.problems(reading)
    for path, entity, key in _keys(command.body):
        # A tank without site keys is one of the drop's own site (K16).
        spoiled = path[-1] == "tank" or bool(reading.errors and reading.spoiled(*path))
        yield from keys.problems(entity, key, path, spoiled=spoiled)


def _drops(body: Members[str, Any], wording: Wording) -> Words:
    """The drop in the caller's words, the master data's and the other side's."""
    key = body["site"]
    site = wording.site(key, ("site",))
    details = [
        _details(detail, wording, (key, site), ("details", at))
        for at, detail in enumerate(body["details"])
    ]
    mine, master, theirs = (
        {
            "site": None if site is None else site[wording_at],
            "mode": body["mode"],
            "details": [detail[wording_at] for detail in details],
        }
        for wording_at in range(3)
    )
    return mine, master, theirs


def _details(detail: Members[str, Any], wording: Wording, at_site: AtSite, path: Path) -> Words:
    product = wording.key(PRODUCT, detail["product"], (*path, "product"))
    tank = _tank(detail.get("tank"), wording, at_site, product, (*path, "tank"))
    measured: dict[str, Any] = {}
    for when in ("pre_drop", "post_drop"):
        measured[f"{when}_volume"] = volume(detail.get(f"{when}_volume"))
        measured[f"{when}_inches"] = volume(detail.get(f"{when}_inches"))
        member = f"{when}_time"
        measured[member] = wording.moment(detail.get(member), (*path, member))
    quantity = volume(detail["quantity"])
    mine, master, theirs = (
        {"product": product[at], "quantity": quantity, "tank": tank[at], **measured}
        for at in range(3)
    )
    return mine, master, theirs


def _tank(
    key: Members[str, Any] | None, wording: Wording, at_site: AtSite, product: Triple, path: Path
) -> Triple | tuple[None, None, None]:
    """The tank of a measurement, which inherits the drop's site; another site's is an error."""
    site_key, site = at_site
    if key is None or site is None:
        return _NO_TANK
    if not keys.is_given(key):
        inherited = {member: site_key.get(member) for member in _SITE_KEYS}
        return wording.tank(site, {**key, **inherited}, product, path)
    own = wording.key(SITE, key, path)
    if own[0]["goid"] != site[0]["goid"]:
        msg = "The tank is of another site than the drop"
        wording.errors.append(entry(path, msg, "tank_of_another_site"))
        return _NO_TANK
    return wording.tank(site, key, product, path)
