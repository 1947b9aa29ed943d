"""The drops of an order: every key in them, and the rules they keep by themselves (R024-R054)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Members
from typing import Any

from schemas.dump import to_json
from schemas.errors import ErrorEntry
from services.domain import keys, loads, tanks
from services.domain.entries import Path, entry

Keys = list[tuple[Path, str, Members[str, Any]]]

EXTRA_DATA_BYTES = 64 * 1024


def named(drops: Sequence[Members[str, Any] | None]) -> list[tuple[str, Members[str, Any]]]:
    """Every mapping key of the drops that read, with its entity."""
    found: list[tuple[str, Members[str, Any]]] = []
    for drop in drops:
        if drop is None:
            continue
        site = drop.get("site")
        if site is not None:
            found.append((keys.SITE, site))
        product = drop.get("product")
        if product is not None:
            found.append((keys.PRODUCT, product))
        for load in drop.get("loads") or ():
            if load is not None:
                loads.name(load, found)
    return found


def keys_of(drops: Sequence[Members[str, Any] | None], path: Path) -> Keys:
    """Every mapping key of the drops that read, with where it stands and its entity."""
    found: Keys = []
    for index, drop in enumerate(drops):
        if drop is None:
            continue
        here = (*path, index)
        site = drop.get("site")
        if site is not None:
            found.append(((*here, "site"), keys.SITE, site))
        product = drop.get("product")
        if product is not None:
            found.append(((*here, "product"), keys.PRODUCT, product))
        for at, load in enumerate(drop.get("loads") or ()):
            if load is not None:
                found.extend(loads.keys(load, (*here, "loads", at)))
    return found


def problems(
    drops: Sequence[Members[str, Any] | None], path: Path, spoiled: Callable[..., bool]
) -> Iterator[ErrorEntry]:
    """What is wrong with the drops beyond their keys.

    A drop without a tank on its site and without a product (R026, R043, K04), loads (R049, R053,
    K06), extra_data (K31). `spoiled(*path)` says where a rule about something missing is silent.
    """
    for index, drop in enumerate(drops):
        if drop is None:
            continue
        here = (*path, index)
        site = drop.get("site")
        if (
            site is not None
            and drop.get("product") is None
            and not tanks.is_named(site)
            and not spoiled(*here, "site")
            and not spoiled(*here, "product")
        ):
            yield entry(
                (*here, "product"),
                "Name a tank on the site or a product",
                "tank_or_product_required",
            )
        given = drop.get("loads")
        if given:
            yield from loads.problems(given, (*here, "loads"), spoiled)
        yield from extra_data_problems(drop, here)


def extra_data_problems(holder: Members[str, Any], path: Path) -> Iterator[ErrorEntry]:
    """extra_data of more than 64 KiB as compact UTF-8 JSON (K31)."""
    data = holder.get("extra_data")
    if not data:
        return
    if len(to_json(data)) > EXTRA_DATA_BYTES:
        yield entry(
            (*path, "extra_data"), "extra_data takes at most 64 KiB of JSON", "extra_data_too_large"
        )
