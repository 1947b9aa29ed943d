"""Mapping keys: how a document names a company, site, product, terminal or tank.

Here stand names, types and lengths alone. At least one member, goid alone, and the goid's
format (R031-R038, K03, K37) are rules of the domain, so that all errors are told at once.
"""

from typing_extensions import TypedDict

from schemas.scalars import Id24, Identifier, TankGoid, TankId, wire


@wire
class MappingKey(TypedDict, total=False):
    """A key as a caller gives it (R031-R036). Every member may be absent or null."""

    source_id: Identifier | None
    source_name: Identifier | None
    mapping_id: Id24 | None
    goid: Identifier | None


@wire
class SiteTankKey(MappingKey, total=False):
    """A site with one of its tanks (R037, R040-R046, K04, K05)."""

    tank_id: TankId | None
    tank_goid: TankGoid | None
    product_source_id: Identifier | None


@wire
class KeyEcho(TypedDict):
    """A key as the hub answers it: every member there, null when unset (R039)."""

    mapping_id: str | None
    source_name: str | None
    source_id: str | None
    goid: str | None
    goid_name: str | None


@wire
class SiteTankEcho(KeyEcho):
    """A site with its tank as the hub answers it (R039)."""

    tank_id: str | None
    tank_goid: str | None
    tank_goid_name: str | None
    product_source_id: str | None
