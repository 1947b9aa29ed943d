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


def told(member: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """What a sync record says of an order's way in the form of a step's `wanted`."""
    return _READERS[member](said)


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


def _status_update(said: Mapping[str, Any]) -> dict[str, Any]:
    return {**said, "location": _id(said["location"]), "site": _id(said["site"])}


def _bol(said: Mapping[str, Any]) -> dict[str, Any]:
    lines = [
        {
            **line,
            "site": line["site"]["source_id"],
            "tank": line["site"]["tank_id"],
            "supplier": _id(line["supplier"]),
            "product": _id(line["product"]),
        }
        for line in said["details"]
    ]
    sites = [_id(site) for site in said["sites"]]
    return {**said, "terminal": _id(said["terminal"]), "details": lines, "sites": sites}


def _executed_drop(said: Mapping[str, Any]) -> dict[str, Any]:
    measured = ("quantity", "post_drop_inches", "post_drop_time")
    lines = [
        {
            **{name: line[name] for name in measured},
            "product": _id(line["product"]),
            "tank": line["tank"]["tank_id"],
        }
        for line in said["details"]
    ]
    return {"site": _id(said["site"]), "mode": said["mode"], "details": lines}


def _bol_photo(said: Mapping[str, Any]) -> dict[str, Any]:
    # Given by the hub: which blob it is, and when it came.
    return {name: said[name] for name in said if name not in ("blob_id", "uploaded_at")}


_READERS = {
    "status_update": _status_update,
    "bol": _bol,
    "executed_drop": _executed_drop,
    "bol_photo": _bol_photo,
}
