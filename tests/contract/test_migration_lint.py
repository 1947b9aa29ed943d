"""Squawk over every migration: what would lock a table out of service, or cannot be taken back."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.kit.migrations import FOLDER, NO_TRANSACTION

SQUAWK = Path(sys.executable).parent / "squawk"
PASSED_OVER = [
    # The runner's session has a lock_timeout for every migration, and no statement_timeout on
    # purpose: building an index may take its time.
    "require-lock-timeout",
    "require-statement-timeout",
    # Kafka's partitions are 32-bit numbers, kinds and shards are counted on fingers.
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
]


def lint(path: Path) -> str:
    """What squawk says of one file; empty when it is content."""
    flags = ["--reporter", "gcc", "--pg-version", "18.0", "--exclude", ",".join(PASSED_OVER)]
    if not path.read_text().startswith(NO_TRANSACTION):
        flags.append("--assume-in-transaction")
    done = subprocess.run([SQUAWK, *flags, path], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.sql")), ids=lambda path: path.name)
def test_a_migration_is_safe_beside_a_running_release(path: Path) -> None:
    assert lint(path) == ""


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("CREATE INDEX i ON orders (id);", "require-concurrent-index-creation"),
        ("ALTER TABLE orders ADD COLUMN n text NOT NULL;", "adding-required-field"),
        ("ALTER TABLE orders ALTER COLUMN id TYPE text;", "changing-column-type"),
        ("ALTER TABLE orders DROP COLUMN id;", "ban-drop-column"),
        ("ALTER TABLE orders RENAME COLUMN id TO order_id;", "renaming-column"),
    ],
)
def test_what_would_hurt_a_running_release_is_found(
    tmp_path: Path, statement: str, rule: str
) -> None:
    (tmp_path / "0001_bad.sql").write_text(statement)
    assert rule in lint(tmp_path / "0001_bad.sql")


def test_an_index_that_is_built_beside_the_traffic_is_content(tmp_path: Path) -> None:
    good = tmp_path / "0001_good.sql"
    good.write_text(f"{NO_TRANSACTION}\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON orders (id);")
    assert lint(good) == ""
