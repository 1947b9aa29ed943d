"""deploy/Dockerfile by its linter, and against the code: no engine needed."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from services.kit.settings import PREFIX, Settings, variable
from services.local.archives import SETTINGS

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "Dockerfile"


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """Every instruction with its arguments, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", FILE.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


@pytest.fixture(scope="module")
def last_stage(instructions: list[tuple[str, str]]) -> list[tuple[str, str]]:
    begin = max(at for at, (word, _) in enumerate(instructions) if word == "FROM")
    return instructions[begin:]


def arguments(instructions: list[tuple[str, str]], word: str) -> list[str]:
    return [rest for each, rest in instructions if each == word]


def test_the_linter_finds_nothing():
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_stages_are_one_debian_slim_with_a_python_that_is_new_enough(instructions):
    images = {rest.split(" ")[0] for rest in arguments(instructions, "FROM")}
    assert len(images) == 1
    found = re.fullmatch(r"python:(\d+)\.(\d+)-slim-[a-z]+", images.pop())
    assert found is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = project["requires-python"].removeprefix(">=")
    assert f"{found[1]}.{found[2]}" == oldest, "the version the pins were resolved for"


def test_what_is_installed_is_pinned_with_hashes_and_leaves_no_cache(instructions):
    installs = [rest for rest in arguments(instructions, "RUN") if "pip install" in rest]
    assert len(installs) == 2
    assert all("--no-cache-dir" in each for each in installs)
    assert "--require-hashes -r constraints.txt" in installs[0]
    assert "--no-deps --no-build-isolation" in installs[1]


def test_the_image_runs_as_nobody_in_particular_in_exec_form(last_stage):
    (user,) = arguments(last_stage, "USER")
    assert all(int(number) > 0 for number in user.split(":"))
    assert [word for word, _ in last_stage].index("USER") < [word for word, _ in last_stage].index(
        "ENTRYPOINT"
    )
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (entry,) = json.loads(arguments(last_stage, "ENTRYPOINT")[0])
    assert entry in scripts
    assert json.loads(arguments(last_stage, "CMD")[0]) == ["--help"]


def test_its_variables_are_settings_and_its_ports_are_theirs(last_stage):
    told = dict(
        word.split("=", 1) for rest in arguments(last_stage, "ENV") for word in rest.split()
    )
    ours = {name: value for name, value in told.items() if name.startswith(PREFIX)}
    assert set(ours) <= {variable(attribute) for attribute in Settings.model_fields}
    ports = {value for name, value in ours.items() if name.endswith("_PORT")}
    assert set(arguments(last_stage, "EXPOSE")[0].split()) == ports
    assert told["PYTHONDONTWRITEBYTECODE"] == "1"


def test_what_it_copies_is_there_and_let_through(instructions):
    through = {
        line.removeprefix("!")
        for line in (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = set()
    for rest in arguments(instructions, "COPY"):
        words = shlex.split(rest)
        if not words[0].startswith("--from"):
            copied.update(words[:-1])
    assert copied == through
    assert all((ROOT / each).exists() for each in copied)


def test_the_wheel_has_what_apache_kafka_is_started_with(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"),
            *("-w", str(tmp_path), str(ROOT)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    folder = f"services/local/{SETTINGS[1].name}"
    files = {each.name for each in (ROOT / "deploy" / "kafka").iterdir() if each.is_file()}
    assert {f"{folder}/{name}" for name in files} <= names
    assert {"pom.xml", "server.properties", "log4j2.properties"} <= files
