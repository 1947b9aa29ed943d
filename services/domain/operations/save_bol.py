"""Save a bill of lading: kept with the order, told to the other side (R056-R059, K16, K33, X09)."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Members
from datetime import datetime
from typing import Any

from schemas.errors import ErrorEntry
from services.domain import addressing, keys, papers, progress, tanks
from services.domain.addressing import Key
from services.domain.command import Command
from services.domain.effects import Effects
from services.domain.entries import Path, together
from services.domain.keys import COMPANY, PRODUCT, SITE, TERMINAL
from services.domain.own_words import Triple, as_key
from services.domain.progress import Kind, Words
from services.domain.tenants import Directory
from services.domain.wording import Wording, volume
from services.domain.world import Needs, World

KIND = Kind(
    title="Save bill of lading",
    member="bol",
    sync="crossroads.order.bol-saved.v1",
    event="bol",
)

Document = dict[str, Any]


def needs(command: Command, directory: Directory) -> Needs:
    """The order, and every key of the bill in the words of either side."""
    return addressing.needs(command, directory, _keys_alone(command.body))


def problems(command: Command) -> list[ErrorEntry]:
    """Everything wrong with the request that can be told without its order (K28)."""
    return together(command, _rules(command))


def decide(command: Command, world: World, now: datetime) -> Effects:
    """Refuse it, let it wait, or keep it and tell the other side; also after `complete` (K26).

    A bill with the number and terminal of an earlier one takes its place (K16).
    """
    case = progress.admit(KIND, command, world, now, _rules)
    if isinstance(case, Effects):
        return case
    wording = case.wording(world)
    words = _bills(command.body, wording)
    mine, master, theirs = words
    if wording.errors:
        return case.invalid(wording.errors)
    if wording.gaps:
        return case.missing(wording, mine)
    earlier = [
        at for at, bol in enumerate(papers.kept(case.order, papers.BOLS)) if _is_of(bol, master)
    ]
    if any(papers.same(papers.kept(case.order, papers.BOLS)[at], master) for at in earlier):
        return case.repeated(mine)
    order = papers.filed(case.order, papers.BOLS, case.by_document(words), now, instead=earlier)
    detail = {"by": command.caller.name, "bol_number": mine["bol_number"], "again": bool(earlier)}
    return case.sent(order, mine, theirs, detail=detail)


def _is_of(bol: Members[str, Any], other: Members[str, Any]) -> bool:
    """Whether two bills have one number and one terminal."""
    return bool(
        bol["bol_number"] == other["bol_number"]
        and bol["terminal"]["goid"] == other["terminal"]["goid"]
    )


def _keys(body: Members[str, Any]) -> Iterator[tuple[Path, str, Members[str, Any]]]:
    terminal = body.get("terminal")
    if terminal is not None:
        yield ("terminal",), TERMINAL, terminal
    for at, detail in enumerate(body.get("details") or ()):
        for member, entity in (("site", SITE), ("supplier", COMPANY), ("product", PRODUCT)):
            key = None if detail is None else detail.get(member)
            if key is not None:
                yield ("details", at, member), entity, key


def _keys_alone(body: Members[str, Any]) -> Iterator[Key]:
    return ((entity, key) for _, entity, key in _keys(body))


def _rules(command: Command) -> Iterator[ErrorEntry]:
    reading = command.reading
    yield from addressing.problems(reading)
    for path, entity, key in _keys(command.body):
        # A tank without site keys is one of the order's only site (K16).
        spoiled = tanks.is_named(key) or bool(reading.errors and reading.spoiled(*path))
        yield from keys.problems(entity, key, path, spoiled=spoiled)


def _bills(body: Members[str, Any], wording: Wording) -> Words:
    """The bill in the caller's words, the master data's and the other side's."""
    terminal = wording.key(TERMINAL, body["terminal"], ("terminal",))
    bol_date = wording.moment(body["bol_date"], ("bol_date",))
    lines = [_lines(detail, wording, ("details", at)) for at, detail in enumerate(body["details"])]
    mine, master, theirs = (
        {
            "bol_number": body["bol_number"],
            "terminal": terminal[wording_at],
            "bol_date": bol_date,
            "details": [line[wording_at] for line in lines],
            "sites": _sites([line[wording_at] for line in lines]),
        }
        for wording_at in range(3)
    )
    return mine, master, theirs


def _lines(detail: Members[str, Any], wording: Wording, path: Path) -> Words:
    supplier = wording.key(COMPANY, detail["supplier"], (*path, "supplier"))
    product = wording.key(PRODUCT, detail["product"], (*path, "product"))
    place = _place(detail, wording, product, (*path, "site"))
    mine, master, theirs = (
        {
            "site": place[at],
            "supplier": supplier[at],
            "product": product[at],
            "contract": detail.get("contract") or None,
            "price_type": detail.get("price_type"),
            "net_volume": volume(detail["net_volume"]),
            "gross_volume": volume(detail["gross_volume"]),
        }
        for at in range(3)
    )
    return mine, master, theirs


def _place(
    detail: Members[str, Any], wording: Wording, product: Triple, path: Path
) -> Triple | tuple[None, None, None]:
    """The site of a line, with its tank where one is named or follows from the order (K16)."""
    key = detail.get("site")
    site = wording.site(key, path)
    return (None, None, None) if site is None else wording.tank(site, key or {}, product, path)


def _sites(lines: list[Document]) -> list[Document]:
    """Each site of the lines once, without tanks (K16)."""
    found = {line["site"]["goid"]: as_key(line["site"]) for line in lines if line["site"]}
    return list(found.values())
