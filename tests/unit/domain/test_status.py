"""Nine states from four axes (R064-R074, K02, K14, K38-K40)."""

from dataclasses import replace
from typing import Any

import pytest

from services.domain import status
from tests.unit.domain.trade import decide, order_of

SENT = order_of(decide())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mapping": "origin_mapped", "delivery": "unsent"}, "origin_mapped"),
        ({"mapping": "master_mapped", "delivery": "unsent"}, "master_mapped"),
        ({"delivery": "unsent"}, "destination_mapped"),
        ({"delivery": "requested"}, "requested"),
        ({"delivery": "requested", "delivered": False}, "requested"),
        ({"delivered": False}, "destination_mapped"),
        ({"delivered": True}, "synced"),
        ({"receipt": "received"}, "synced"),
        ({"receipt": "rejected"}, "rejected"),
        ({"receipt": "failed"}, "error"),
        ({"delivery": "canceled", "receipt": "received"}, "canceled"),
    ],
)
def test_k39_the_status_derives_from_the_axes(changes: dict[str, Any], expected: str) -> None:
    assert status.of(replace(SENT, **changes)) == expected


def test_k39_a_failed_receipt_failed_at_synced() -> None:
    assert status.failed_at_step(replace(SENT, receipt="failed")) == "synced"
    assert status.failed_at_step(replace(SENT, failed_at_step="master_mapped")) == "master_mapped"
    assert status.failed_at_step(SENT) is None


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        ("no_progress", "No Progress"),
        ("assigned", "In Progress"),
        ("completed_drop", "In Progress"),
        ("complete", "Complete"),
    ],
)
def test_k14_progression_state(progress: str, expected: str) -> None:
    assert status.progression_state(progress) == expected
