import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.local.leftovers import end_leftovers, is_same_process, remember, write_private


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        yield process
        process.kill()


def test_what_was_remembered_and_still_runs_is_ended(tmp_path: Path, sleeper):
    file = tmp_path / "processes.json"
    remember(file, [("sleeper", sleeper.pid, signal.SIGTERM)])
    assert end_leftovers(file) == ["sleeper"]
    assert sleeper.wait(5) is not None
    assert not file.exists()


def test_a_process_id_used_again_hits_nobody(tmp_path: Path, sleeper):
    file = tmp_path / "processes.json"
    remember(file, [("sleeper", sleeper.pid, signal.SIGTERM)])
    lines = json.loads(file.read_text())
    lines[0]["started"] -= 60
    file.write_text(json.dumps(lines))
    assert end_leftovers(file) == []
    assert sleeper.poll() is None


def test_nothing_remembered_is_no_error(tmp_path: Path):
    assert end_leftovers(tmp_path / "processes.json") == []


def test_a_process_that_ended_is_not_the_same(sleeper):
    sleeper.kill()
    sleeper.wait()
    assert not is_same_process(sleeper.pid, 0.0)


def test_a_private_file_is_its_owners_alone_and_replaced_whole(tmp_path: Path):
    file = tmp_path / "secret"
    write_private(file, "a")
    write_private(file, "b")
    assert file.read_text() == "b"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]
