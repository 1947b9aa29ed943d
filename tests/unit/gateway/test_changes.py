"""The key of a record that settles a change: beside what else is said of its order."""

from typing import Any

import pytest

from services.gateway.changes import change_named


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"id": "c", "order": {"order_id": "o", "origin_order_number": "A1"}}, "A1"),
        ({"id": "c", "order": {"order_id": "o", "destination_order_number": "B1"}}, "B1"),
        ({"id": "c", "order": {"order_id": "o", "origin_order_number": ""}}, "o"),
        ({"id": "c", "order": None}, "c"),
        ({"id": "c"}, "c"),
        ({}, ""),
    ],
)
def test_the_key_is_the_number_else_the_orders_id_else_the_changes(
    body: dict[str, Any], key: str
) -> None:
    """Create and proposal by number have that key: what follows on it keeps their order."""
    assert change_named(body) == key
