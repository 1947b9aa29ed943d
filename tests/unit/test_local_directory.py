import json
from pathlib import Path

import pytest

from services.local.directory import (
    DataDirectory,
    ReadyLine,
    environment_of_running_stack,
    running_stack,
)
from services.local.errors import DataDirectoryBusy, LocalError


def line_with(environment: dict[str, str]) -> ReadyLine:
    return {
        "http": "http://127.0.0.1:1",
        "console": "http://127.0.0.1:1/console",
        "kafka": "127.0.0.1:2",
        "cluster_id": "c",
        "database": "postgresql://o:p@127.0.0.1:3/crossroads",
        "operator_key": "k",
        "metrics": {},
        "processes": {},
        "environment": environment,
    }


def test_a_data_directory_is_closed_to_others(tmp_path: Path):
    directory = DataDirectory(tmp_path / "data")
    directory.open()
    assert directory.path.stat().st_mode & 0o777 == 0o700
    directory.close()


def test_a_second_stack_on_one_data_directory_is_refused_and_told_who_has_it(tmp_path: Path):
    first = DataDirectory(tmp_path)
    first.open()
    with pytest.raises(DataDirectoryBusy, match=r"process [0-9]+"):
        DataDirectory(tmp_path).open()
    first.close()
    again = DataDirectory(tmp_path)
    again.open()
    again.close()


def test_a_data_directory_that_is_a_file_is_refused_in_words(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(LocalError, match="cannot be used"):
        DataDirectory(file).open()


def test_other_commands_find_a_running_stack_and_nothing_after_its_end(tmp_path: Path):
    directory = DataDirectory(tmp_path)
    directory.open()
    directory.tell({"relay": [{"pid": 1, "restarts": 0, "ready": False}]}, None)
    assert environment_of_running_stack(tmp_path) == {}
    directory.tell({}, line_with({"CROSSROADS_HTTP_PORT": "1"}))
    assert environment_of_running_stack(tmp_path) == {"CROSSROADS_HTTP_PORT": "1"}
    directory.close()
    assert running_stack(tmp_path) is None


def test_a_state_file_of_a_process_that_ended_is_not_believed(tmp_path: Path):
    directory = DataDirectory(tmp_path)
    directory.open()
    directory.tell({}, line_with({}))
    state = running_stack(tmp_path)
    assert state is not None
    (tmp_path / "state.json").write_text(json.dumps({**state, "started": 1.0}))
    assert running_stack(tmp_path) is None
    directory.close()


def test_no_stack_was_ever_started_here(tmp_path: Path):
    assert running_stack(tmp_path / "nowhere") is None
