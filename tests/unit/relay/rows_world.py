"""Rows for the relay's unit tests."""

from typing import Any

from services.kit.outbox import RowKind, pack_headers
from services.relay.rows import Row


def row(row_id: int, kind: RowKind = RowKind.SYNC, **given: Any) -> Row:
    """A row with what a test does not care about filled in."""
    members: dict[str, Any] = {
        "after_id": None, "accepted_ms": None, "shard": 0,
        "told_before": False, "topic": "topic", "stream": None, "cause": None, "key": b"key",
        "headers": pack_headers(
            [("ce_id", b"id"), ("ce_type", b"result"), ("ce_desttenant", b"acme")]
        ), "value": b"{}", "told": None,
    }  # fmt: skip
    return Row(id=row_id, kind=kind, **(members | given))
