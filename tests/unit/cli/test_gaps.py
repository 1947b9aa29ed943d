from typing import Any

import pytest

from services.cli.gaps import csv_row
from services.cli.reference_files import columns


@pytest.mark.parametrize(
    ("kind", "column"),
    [("source_id", "source_id"), ("source_name", "source_name"), ("mapped_goid", "goid")],
)
def test_a_gap_fills_the_column_its_key_is_of(kind: str, column: str) -> None:
    gap: dict[str, Any] = {"tenant": "acme", "system": "tms", "entity": "site", "key_kind": kind}
    row = csv_row({**gap, "key": "x-1"})
    assert row == {"tenant": "acme", "system": "tms", "entity": "site", column: "x-1"}
    assert set(row) <= set(columns("mappings")), "so that it can be imported"


def test_a_key_of_another_kind_fills_none() -> None:
    gap = {"tenant": "acme", "system": "tms", "entity": "tank", "key_kind": "tank_id", "key": "1"}
    assert csv_row(gap) == {"tenant": "acme", "system": "tms", "entity": "tank"}
