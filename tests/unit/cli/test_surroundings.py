import os
from pathlib import Path

import pytest

from services.cli.surroundings import join_running_stack, missing
from services.local.directory import DataDirectory, ReadyLine

KAFKA = "CROSSROADS_KAFKA_BOOTSTRAP_SERVERS"
DATABASE = "CROSSROADS_DATABASE_URL"
READING = "CROSSROADS_DATABASE_READ_URL"
PORT = "CROSSROADS_HTTP_PORT"
FOUND = {KAFKA: "127.0.0.1:9", DATABASE: "postgresql://here/x", PORT: "8"}


def test_set_variables_win_and_empty_ones_set_nothing() -> None:
    assert missing(FOUND, {KAFKA: "far:1", DATABASE: ""}) == {
        DATABASE: "postgresql://here/x",
        PORT: "8",
    }
    assert missing(FOUND, {}, without=(PORT,)) == {
        KAFKA: "127.0.0.1:9",
        DATABASE: "postgresql://here/x",
    }


def test_the_reading_address_of_the_stack_is_not_taken_for_another_database() -> None:
    found = {DATABASE: "postgresql://here/x", READING: "postgresql://reading@here/x"}
    assert missing(found, {DATABASE: "postgresql://far/x"}) == {}
    assert missing(found, {DATABASE: ""}) == found


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in FOUND:
        monkeypatch.setenv(name, "")
    return tmp_path / "data"


def test_a_running_stack_is_found_and_the_env_file_wins_over_it(alone: Path) -> None:
    line: ReadyLine = {
        "http": "", "console": "", "kafka": "", "cluster_id": "", "database": "",
        "operator_key": "", "metrics": {}, "processes": {}, "environment": FOUND,
    }  # fmt: skip
    Path(".env").write_text(f"{KAFKA}=from-file:1\n")
    directory = DataDirectory(alone)
    directory.open()
    try:
        directory.tell({}, line)
        join_running_stack(alone)
    finally:
        directory.close()
    assert os.environ[DATABASE] == "postgresql://here/x"
    assert os.environ[PORT] == "8"
    assert os.environ[KAFKA] == ""


def test_where_no_stack_runs_nothing_is_set(alone: Path) -> None:
    join_running_stack(alone)
    assert os.environ[DATABASE] == ""
