from pathlib import Path

import pytest

from services.kit.migrations import MigrationsInvalid, read_folder


def test_the_hubs_own_folder_can_be_read_and_has_no_number_twice() -> None:
    migrations = read_folder()
    assert [m.version for m in migrations] == sorted({m.version for m in migrations})
    assert all(m.sql.strip() and len(m.checksum) == 64 for m in migrations)


def test_migrations_come_by_number_and_know_how_they_run(tmp_path: Path) -> None:
    (tmp_path / "0010_later.sql").write_text("-- no-transaction\nSELECT 1")
    (tmp_path / "0002_first.sql").write_text("SELECT 1")
    (tmp_path / "README.md").write_text("not a migration")
    first, later = read_folder(tmp_path)
    assert (str(first), first.in_transaction) == ("0002_first", True)
    assert (str(later), later.in_transaction) == ("0010_later", False)


@pytest.mark.parametrize("name", ["1_short.sql", "0001_Upper.sql", "0001.sql", "notes.sql"])
def test_a_file_with_another_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationsInvalid, match=name):
        read_folder(tmp_path)


def test_a_number_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").write_text("SELECT 1")
    (tmp_path / "0001_two.sql").write_text("SELECT 1")
    with pytest.raises(MigrationsInvalid, match="0001_two"):
        read_folder(tmp_path)
