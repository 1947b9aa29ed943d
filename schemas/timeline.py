"""The timeline of an order as one of its tenants sees it."""

from typing import Any

from typing_extensions import TypedDict

from schemas.scalars import Instant, adapter, wire


@wire
class TimelineItem(TypedDict):
    """What happened at one moment.

    `kind` is `asked`, `answered`, `waits`, `gap`, `gap-closed`, `log`, `record` (one was sent to a
    system of `to`; `state` is acknowledged, unsent or parked), or what became of the order:
    `waiting`, `requested`, `sent`, `status`, `bol`, `drop`, `bol-photo`, `failed`, …. `by` is the
    name of the tenant that caused it, `command_id` the command where it was one of the reader's.
    """

    at: Instant
    kind: str
    by: str | None
    command_id: str | None
    detail: dict[str, Any]


@wire
class Timeline(TypedDict):
    """GET order/{order_id}/timeline: what concerns the reader's commands, and what it was sent."""

    order_id: str
    items: list[TimelineItem]


TIMELINE = adapter(Timeline)
