"""The documents' own examples, replayed: what they print breaks their own rules.

The example order of *get an order* and of *accept a change* has a window that ends as it starts, a
volume of 0, a contract under a rack price, and keys that give a goid beside other fields. Each is
sent as printed, which is refused with every field named, and with the least change that makes it an
order. The rules that *create an order* tells in prose are tried in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.cli.demo.trade import NORTH, ORIGIN, SOUTH

Body = dict[str, Any]

# The system of Prairie's in which the examples' ids have a meaning.
SYSTEM = "Documents"
_TEXT = "string"
_MAPPING_ID = "5eb7cf5a86d9755df3a6c593"
_GOIDS = {
    "company": "company_STRING",
    "product": "product_STRING",
    "terminal": "terminal_STRING",
    "site": "site_STRING",
}
_TANK = "tank_STRING"
_SYSTEMS = {ORIGIN: SYSTEM, NORTH: "TMS", SOUTH: "Dispatch"}


@dataclass(frozen=True, slots=True)
class Example:
    """An example as printed, the fields its refusal must name at least, and as an order.

    `printed` None: the document says in prose that this is right, and it is. `named` are dotted.
    """

    document: str
    destination: str
    printed: Body | None
    named: tuple[str, ...]
    changes: tuple[str, ...]
    order: Body


def examples() -> list[Example]:
    """Every example, in the order it is told."""
    return [
        _printed_example("get an order", NORTH, "2026-05-11T19:25:51.297Z", "20:25:51.297Z"),
        _printed_example("accept a change", SOUTH, "2026-05-11T19:25:51.376Z", "20:25:51.376Z"),
        _uneven_blend(),
        Example(
            document="create an order (a terminal without a supplier)",
            destination=NORTH,
            printed=None,
            named=(),
            changes=(),
            order=_prose("string-2", [{"terminal": _plain()}]),
        ),
    ]


def reference() -> dict[str, list[Body]]:
    """The records and mappings that give the examples' ids a meaning, in the file form."""
    records: list[Body] = [
        {"goid": goid, "entity": entity, "name": f"Example {entity}"}
        for entity, goid in _GOIDS.items()
    ]
    records[-1]["tanks"] = [{"goid": _TANK, "number": 1, "product": _GOIDS["product"]}]
    mappings: list[Body] = []
    for tenant, system in _SYSTEMS.items():
        for entity, goid in _GOIDS.items():
            source_id = _TEXT if tenant == ORIGIN else f"EX-{entity}"
            mapping: Body = {
                "tenant": tenant,
                "system": system,
                "entity": entity,
                "source_id": source_id,
                "source_name": _TEXT if tenant == ORIGIN else f"Example {entity}",
                "goid": goid,
            }
            if entity == "site":
                mapping["tanks"] = [
                    {"tank_id": _TEXT, "product_source_id": _TEXT, "tank_goid": _TANK}
                ]
            mappings.append(mapping)
    return {"records": records, "mappings": mappings}


def _printed_example(document: str, destination: str, moment: str, end: str) -> Example:
    printed = _order(moment, moment, volume=0, prices=["rack"], key=_full(), site=_full_site())
    later = f"{moment.partition('T')[0]}T{end}"
    order = _order(moment, later, volume=1, prices=["contract"], key=_named(), site=_named_site())
    return Example(
        document=document,
        destination=destination,
        printed=printed,
        named=(
            "supply_owner.goid",
            "delivery_window.end",
            "drops.0.site.goid",
            "drops.0.product.goid",
            "drops.0.volume",
            "drops.0.loads.0.contracts",
            "drops.0.loads.0.terminals.0.goid",
        ),
        changes=(
            "the window ends an hour after it starts",
            "a volume of 1",
            "the price type of the contract is contract",
            "keys without the goid and the mapping id that nobody issued",
        ),
        order=order,
    )


def _order(start: str, end: str, *, volume: int, prices: list[str], key: Body, site: Body) -> Body:
    """The example order with every member it is printed with; some of them no create knows."""
    return {
        "origin_order_number": _TEXT,
        "destination_order_number": _TEXT,
        "po": _TEXT,
        "supply_owner": key,
        "delivery_window": {"start": start, "end": end, "timezone": "UTC"},
        "note": _TEXT,
        "drops": [
            {
                "site": site,
                "product": key,
                "volume": volume,
                "loads": [
                    {
                        "terminals": [key],
                        "products": [key],
                        "suppliers": [key],
                        "price_types": prices,
                        "contracts": [_TEXT],
                    }
                ],
                "extra_data": {},
            }
        ],
        **_papers(start, key, site),
        "extra_data": {},
    }


def _papers(moment: str, key: Body, site: Body) -> Body:
    """What the examples print of a delivery; nothing a create takes, so it is ignored by name."""
    detail = {"site": site, "supplier": key, "product": key, "contract": _TEXT}
    volumes = {"price_type": "rack", "net_volume": 0, "gross_volume": 0}
    bol = {"bol_number": _TEXT, "terminal": key, "bol_date": moment}
    photo = {"bol_number": _TEXT, "file_name": _TEXT, "uploaded_at": moment, "note": _TEXT}
    measured = {
        f"{when}_drop_{what}": value
        for when in ("pre", "post")
        for what, value in (("volume", 0), ("inches", 0), ("time", moment))
    }
    dropped = {"product": key, "quantity": 0, "tank": site, **measured}
    return {
        "bols": [{**bol, "details": [{**detail, **volumes}], "sites": [key]}],
        "bol_photos": [photo],
        "executed_drops": [{"site": key, "mode": "replace", "details": [dropped]}],
    }


def _uneven_blend() -> Example:
    even = {"product": _plain(), "terminal": _plain(), "supplier": _plain()}
    uneven = {"product": _plain(), "terminal": _plain()}
    return Example(
        document="create an order (a blend whose loads name different things)",
        destination=NORTH,
        printed=_prose("string-1", [even, uneven]),
        named=("drops.0.loads.1",),
        changes=("both loads name a supplier",),
        order=_prose("string-1", [even, even]),
    )


def _prose(number: str, loads: list[Body]) -> Body:
    return {
        "origin_order_number": number,
        "delivery_window": {"start": "2026-05-11T19:25:51Z", "end": "2026-05-11T20:25:51Z"},
        "drops": [{"site": {"source_id": _TEXT, "tank_id": _TEXT}, "volume": 1, "loads": loads}],
    }


def named_fields(detail: Any) -> list[str]:
    """The fields a 422 names, dotted and without their leading `body`."""
    return [".".join(str(part) for part in entry["loc"][1:]) for entry in detail]


def _plain() -> Body:
    return {"source_id": _TEXT}


def _named() -> Body:
    """A key as printed, without what contradicts the rest of it."""
    return {"source_name": _TEXT, "source_id": _TEXT, "goid_name": _TEXT}


def _full() -> Body:
    return {"mapping_id": _MAPPING_ID, "goid": _TEXT, **_named()}


def _named_site() -> Body:
    return {**_named(), "tank_id": _TEXT, "tank_goid_name": _TEXT, "product_source_id": _TEXT}


def _full_site() -> Body:
    return {**_full(), **_named_site(), "tank_goid": _TEXT}


def merged(*files: Mapping[str, list[Body]]) -> dict[str, list[Body]]:
    """Several files of reference data as one, each list in their order."""
    lists = ("tenants", "pairs", "records", "mappings")
    return {name: [item for file in files for item in file.get(name, [])] for name in lists}
