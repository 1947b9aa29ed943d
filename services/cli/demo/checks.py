"""What a destination received, reduced to what can be compared. No code of the hub is used here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def received(order: Mapping[str, Any]) -> dict[str, Any]:
    """The order of a sync record in the form of a day's `wanted`."""
    window = order["delivery_window"]
    return {
        "number": order["origin_order_number"],
        "po": order["po"],
        "note": order["note"],
        "supply_owner": _id(order["supply_owner"]),
        "window": [window["start"], window["end"], window["timezone"]],
        "drops": [_drop(drop) for drop in order["drops"]],
        "extra_data": order["extra_data"],
    }


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Where two such forms differ, one sentence each."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [
            told
            for name in sorted({*wanted, *found})
            for told in differences(wanted.get(name), found.get(name), f"{path}.{name}")
        ]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [
            told
            for at, (one, other) in enumerate(zip(wanted, found, strict=True))
            for told in differences(one, other, f"{path}.{at}")
        ]
    if wanted == found:
        return []
    return [f"{path.lstrip('.')}: {found!r} instead of {wanted!r}"]


def _drop(drop: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "site": drop["site"]["source_id"],
        "tank": drop["site"]["tank_id"],
        "product": _id(drop["product"]),
        "volume": drop["volume"],
        "loads": [_load(load) for load in drop["loads"]],
    }


def _load(load: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "terminals": [_id(key) for key in load["terminals"]],
        "products": [_id(key) for key in load["products"]],
        "suppliers": [_id(key) for key in load["suppliers"]],
        "price_types": load["price_types"],
        "contracts": load["contracts"],
    }


def _id(key: Mapping[str, Any] | None) -> str | None:
    return None if key is None else key["source_id"]
