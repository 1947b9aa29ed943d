"""A command as the decisions see it: read, with its parties known, free of transport."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.reading import Reading
from services.domain.tenants import Tenant


@dataclass(slots=True)
class Command:
    """What a tenant asks for. `reading` holds the body, its schema errors and unknown fields.

    `derive(*parts)` gives 24 hex characters that are the same whenever this command is decided
    again (R017): `derive("order")` is the id of the order it creates. `raw` is the parsed JSON that
    was read, for the order of errors in it (K28); decisions look at `body` alone.

    A command that waited is decided again with the order in whose lane its turn has come in `lane`:
    that order is meant, whatever else its number fits by now, and nothing stands before it. With
    `overdue` its wait for a number nobody gave is over: an order that is still unknown is refused.
    """

    operation: str
    id: str
    caller: Tenant
    partner_name: str | None
    partner: Tenant | None
    system_name: str | None
    instance_name: str | None
    strict: bool
    correlation_id: str
    reading: Reading
    accepted_at: datetime
    derive: Callable[..., str]
    traceparent: str | None = None
    tracestate: str | None = None
    raw: Any = None
    lane: str | None = None
    overdue: bool = False

    @property
    def body(self) -> dict[str, Any]:
        """The document where it reads without error, else its well-formed part."""
        value = self.reading.value
        return value if value is not None else self.reading.wellformed
