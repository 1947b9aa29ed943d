"""A create order that reads, to be bent by each test."""

from typing import Any

import pytest


@pytest.fixture
def body() -> dict[str, Any]:
    return {
        "origin_order_number": "ACME-1",
        "delivery_window": {
            "start": "2026-05-11T19:25:51",
            "end": "2026-05-11T23:25:51+02:00",
            "timezone": "Europe/Berlin",
        },
        "drops": [
            {"site": {"source_id": "S-1", "tank_id": "1"}, "volume": 10},
            {
                "site": {"goid": "site_MAPLE1"},
                "product": {"source_id": "87R"},
                "volume": 7500,
                "loads": [{"terminal": {"source_id": "T"}, "price_types": ["rack", "spot"]}],
                "extra_data": {"a": [1, None]},
            },
        ],
    }
