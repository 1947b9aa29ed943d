"""Where and how to load: one form for singular and plural, blends, contracts (R047-R054, K06)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Members
from typing import Any

from schemas.errors import ErrorEntry
from services.domain.entries import Path, entry
from services.domain.keys import COMPANY, PRODUCT, TERMINAL

KEY_PARAMETERS = (
    ("terminal", "terminals", TERMINAL),
    ("product", "products", PRODUCT),
    ("supplier", "suppliers", COMPANY),
)
PARAMETERS = (
    ("terminal", "terminals"),
    ("product", "products"),
    ("supplier", "suppliers"),
    ("price_type", "price_types"),
    ("contract", "contracts"),
)
CONTRACT = "contract"


def listed(load: Members[str, Any], singular: str, plural: str) -> list[Any]:
    """A parameter as a list, whichever way it was given; an empty list is any value (K06, R047).

    Items that did not read are None and left out.
    """
    many = load.get(plural)
    if many:
        return [item for item in many if item is not None]
    one = load.get(singular)
    return [] if one is None or one == "" else [one]


def name(load: Members[str, Any], found: list[tuple[str, Members[str, Any]]]) -> None:
    """Add every mapping key of a load, with its entity."""
    for singular, plural, entity in KEY_PARAMETERS:
        one = load.get(singular)
        if one is not None:
            found.append((entity, one))
        found += [(entity, key) for key in load.get(plural) or () if key is not None]


def keys(load: Members[str, Any], path: Path) -> Iterator[tuple[Path, str, Members[str, Any]]]:
    """Every mapping key of a load, with where it stands and its entity."""
    for singular, plural, entity in KEY_PARAMETERS:
        one = load.get(singular)
        if one is not None:
            yield (*path, singular), entity, one
        for index, key in enumerate(load.get(plural) or ()):
            if key is not None:
                yield (*path, plural, index), entity, key


def parameters(load: Members[str, Any]) -> frozenset[str]:
    """The parameters a load names, in the singular."""
    return frozenset(one for one, many in PARAMETERS if listed(load, one, many))


def fully_qualified(load: Members[str, Any]) -> bool:
    """Whether terminal, product, supplier and price type are all named (R054)."""
    return parameters(load) >= {"terminal", "product", "supplier", "price_type"}


def problems(
    loads: Sequence[Members[str, Any] | None], path: Path, spoiled: Callable[..., bool]
) -> Iterator[ErrorEntry]:
    """What is wrong with a drop's loads beyond their keys.

    Singular and plural of one parameter together (K06); a contract without `contract` among the
    price types (R053, K06); loads of a blend that name different parameters (R049).
    """
    for index, load in enumerate(loads):
        if load is not None:
            yield from _own_problems(load, (*path, index), spoiled)
    if len(loads) > 1:
        yield from _blend_problems(loads, path, spoiled)


def _own_problems(
    load: Members[str, Any], path: Path, spoiled: Callable[..., bool]
) -> Iterator[ErrorEntry]:
    for singular, plural in PARAMETERS:
        if load.get(plural) and load.get(singular) is not None:
            yield entry(
                (*path, plural), f"Give {singular} or {plural}, not both", "singular_and_plural"
            )
    if (
        (load.get(CONTRACT) or load.get("contracts"))
        and CONTRACT not in listed(load, "price_type", "price_types")
        and not spoiled(*path, "price_type")
        and not spoiled(*path, "price_types")
    ):
        yield entry(
            (*path, "contracts" if load.get("contracts") else CONTRACT),
            "A contract needs the price type contract",
            "contract_without_price_type",
        )


def _blend_problems(
    loads: Sequence[Members[str, Any] | None], path: Path, spoiled: Callable[..., bool]
) -> Iterator[ErrorEntry]:
    wanted: frozenset[str] | None = None
    for index, load in enumerate(loads):
        if load is None or spoiled(*path, index):
            continue
        named = parameters(load)
        if wanted is None:
            wanted = named
        elif named != wanted:
            yield entry(
                (*path, index),
                "Every load of a blend names the same parameters as the first",
                "blend_parameters",
            )
