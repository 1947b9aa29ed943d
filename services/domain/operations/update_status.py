"""Update the status: where the driver is, told to the other side (R075-R085, K11, K12, K26)."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Members
from datetime import datetime
from typing import Any

from schemas.codes import Code
from schemas.dump import iso_utc
from schemas.errors import ErrorEntry
from services.domain import addressing, keys, progress, proposals
from services.domain.addressing import Key
from services.domain.command import Command
from services.domain.effects import Effects
from services.domain.entries import Path, entry, together
from services.domain.keys import SITE, TERMINAL
from services.domain.own_words import Triple
from services.domain.progress import Case, Kind
from services.domain.tenants import Directory
from services.domain.wording import Wording
from services.domain.world import Lasting, Needs, OrderState, Trip, World

KIND = Kind(
    title="Update status",
    member="status_update",
    sync="crossroads.order.status-updated.v1",
    event="status",
)
COMPLETE = "complete"
LOAD_SIDE = frozenset({"driving_to_load", "arrived_at_load", "loading", "completed_load"})
# Where a location may be a site as well as a terminal. Of `complete` either may be told (K12).
AT_A_SITE = frozenset(
    {"driving_to_drop", "arrived_at_drop", "dropping", "completed_drop", COMPLETE}
)

Document = dict[str, Any]


def needs(command: Command, directory: Directory) -> Needs:
    """The order, and where the driver is in the words of either side."""
    found = addressing.needs(command, directory, _keys(command.body))
    # Nothing is agreed on any more after `complete`.
    found.changes = command.body.get("progress_status") == COMPLETE
    return found


def problems(command: Command) -> list[ErrorEntry]:
    """Everything wrong with the request that can be told without its order (K28)."""
    return together(command, _rules(command))


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Refuse it, let it wait, or take it and tell the other side.

    After `complete` any other status is refused; `complete` as it was said is no news (K26, K33).
    """
    case = progress.admit(KIND, command, world, now, _rules)
    if isinstance(case, Effects):
        return case
    over = case.order.progress == COMPLETE
    if over and command.body["progress_status"] != COMPLETE:
        return case.saying.rule(Code.ORDER_ALREADY_COMPLETE)
    wording = case.wording(world)
    mine, master, theirs = _updates(case, wording)
    if wording.errors:
        return case.invalid(wording.errors)
    if over:
        trip = case.order.trip
        if wording.gaps or trip is None or trip["completed"] != _as_said(command, master):
            return case.saying.rule(Code.ORDER_ALREADY_COMPLETE)
        return case.repeated(mine)
    if wording.gaps:
        return case.missing(wording, mine)
    late = _is_late(case, master)
    order = _moved(case, master, now, late=late)
    detail = {**master, "by": command.caller.name, "late": late}
    effects = case.sent(order, mine, theirs, detail=detail, warning=_warning(order, late=late))
    if order.progress == COMPLETE:
        proposals.close(effects, order, world, now, command.caller)
    return effects


def _keys(body: Members[str, Any]) -> Iterator[Key]:
    location, site = body.get("location"), body.get("site")
    if location is not None:
        yield TERMINAL, location
        if body.get("progress_status") in AT_A_SITE:
            yield SITE, location
    if site is not None:
        yield SITE, site


def _rules(command: Command) -> Iterator[ErrorEntry]:
    reading, body = command.reading, command.body
    yield from addressing.problems(reading)
    status, location, site = body.get("progress_status"), body.get("location"), body.get("site")
    for member, key in (("location", location), ("site", site)):
        if key is not None and (not keys.is_plain(key) or reading.errors):
            spoiled = bool(reading.errors) and reading.spoiled(member)
            yield from keys.problems(_entity(member, key, status), key, (member,), spoiled=spoiled)
    if location is not None or status is None or status == COMPLETE:
        return
    if reading.errors and reading.spoiled("location"):
        return
    if status in LOAD_SIDE and site is not None:
        yield entry(("location",), "A status of loading names the terminal", "location_required")
    elif site is None and not (reading.errors and reading.spoiled("site")):
        yield entry(
            ("location",), "Name the location, unless the status is complete", "location_required"
        )


def _entity(member: str, key: Members[str, Any], status: str | None) -> str:
    """What a key is checked as: a location may be a site's goid where it may be a site."""
    if member == "site":
        return SITE
    is_site = (key.get("goid") or "").startswith(f"{SITE}_")
    return SITE if is_site and (status is None or status in AT_A_SITE) else TERMINAL


def _updates(case: Case, wording: Wording) -> tuple[Document, Document, Document]:
    """The update in the caller's words, the master data's and the other side's."""
    body = case.saying.command.body
    eta = wording.moment(body.get("eta"), ("eta",))
    delivery_eta = wording.moment(body.get("delivery_eta"), ("delivery_eta",))
    actual = wording.moment(body.get("actual"), ("actual",))
    location, site = _location(body, wording), _site(body, wording)
    haulier = _haulier(case, body.get("hauled_by"))
    # R079, R080, K11: either of the two stands for the other.
    mine, master, theirs = (
        {
            "progress_status": body["progress_status"],
            "location": location[at],
            "site": site[at],
            "eta": eta or delivery_eta,
            "delivery_eta": delivery_eta or eta,
            "actual": actual,
            "assigned_to": body.get("assigned_to") or None,
            "hauled_by": haulier,
        }
        for at in range(3)
    )
    return mine, master, theirs


def _haulier(case: Case, named: str | None) -> str:
    """Who hauls, the caller by default (R083): a tenant of the pair by its name (K30)."""
    for tenant in (case.mine.tenant, case.theirs.tenant):
        if not named or named == tenant.slug:
            return tenant.name
    return named or ""


_NOWHERE: tuple[None, None, None] = (None, None, None)


def _site(body: Members[str, Any], wording: Wording) -> Triple | tuple[None, None, None]:
    site = body.get("site")
    return _NOWHERE if site is None else wording.key(SITE, site, ("site",))


def _location(body: Members[str, Any], wording: Wording) -> Triple | tuple[None, None, None]:
    """A terminal; where the driver is at a site also a site, if no terminal fits (K12)."""
    key = body.get("location")
    if key is None:
        return _NOWHERE
    path: Path = ("location",)
    if body["progress_status"] in AT_A_SITE:
        return wording.either(TERMINAL, SITE, key, path)
    return wording.key(TERMINAL, key, path)


def _as_said(command: Command, master: Document) -> Document:
    """What a repeat of `complete` is known by: every member, the haulier only as it was given."""
    return {**master, "hauled_by": master["hauled_by"] if command.body.get("hauled_by") else None}


def _is_late(case: Case, update: Document) -> bool:
    """Whether a newer update came before: by `actual` where both have one, else by arrival (K26).

    `complete` is never late: whatever came after it in time, nothing follows it.
    """
    newest, actual = case.order.trip, update["actual"]
    if newest is None or update["progress_status"] == COMPLETE:
        return False
    if actual is not None and newest["actual"] is not None:
        return datetime.fromisoformat(actual) < datetime.fromisoformat(newest["actual"])
    return case.saying.command.accepted_at < datetime.fromisoformat(newest["accepted_at"])


def _moved(case: Case, update: Document, now: datetime, *, late: bool) -> OrderState:
    """The order with its trip, an object of its own.

    A late update moves nothing back: it gives only what no newer one has given (K26).
    """
    command, before = case.saying.command, case.order.trip
    said = _as_said(command, update)
    trip: Trip = {
        "eta": said["eta"],
        "delivery_eta": said["delivery_eta"],
        "assigned_to": said["assigned_to"],
        "hauled_by": said["hauled_by"],
        "actual": said["actual"],
        "accepted_at": iso_utc(command.accepted_at),
        "completed": said if said["progress_status"] == COMPLETE else None,
    }
    if before is None:
        pass
    elif late:
        trip = {**before, **_lasting(before, trip)}
    else:
        trip = {**trip, **_lasting(trip, before)}
    status = case.order.progress if late else said["progress_status"]
    order = case.order.copied()
    order.progress, order.trip, order.updated_at = status, trip, now
    return order


def _lasting(newer: Trip, older: Trip) -> Lasting:
    """What keeps its last value, each from the newer one where that gives it."""
    return {
        "eta": newer["eta"] or older["eta"],
        "delivery_eta": newer["delivery_eta"] or older["delivery_eta"],
        "assigned_to": newer["assigned_to"] or older["assigned_to"],
        "hauled_by": newer["hauled_by"] or older["hauled_by"],
    }


def _warning(order: OrderState, *, late: bool) -> str | None:
    """What the log adds: R077 is the sender's duty, and nothing is refused for it (K26)."""
    if late:
        return "A newer status came before it: the trip stays there."
    if order.progress != COMPLETE:
        return None
    document = order.origin_document
    papers = (("bols", "bills of lading"), ("executed_drops", "executed drops"))
    lacking = [words for member, words in papers if not document[member]]
    return f"The order was completed without {' and '.join(lacking)}." if lacking else None
