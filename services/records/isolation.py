"""Whose rows a reading transaction may see: the setting that the policies look at (guarantee 6)."""

from __future__ import annotations

from collections.abc import Iterable

from services.kit.database import Connection

OPERATOR = "*"
"""Stands for an operator in the place of a tenant's id: all reference data, no order."""

_READ_AS = "SELECT set_config('crossroads.tenants', $1, true)"


async def read_as(connection: Connection, tenant_ids: Iterable[str]) -> None:
    """Show this transaction what these tenants may see; without it the reading role sees nothing.

    Call it in a transaction: the setting ends with it.
    """
    await connection.execute(_READ_AS, ",".join(tenant_ids))
