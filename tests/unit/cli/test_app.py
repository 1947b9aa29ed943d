import subprocess
import sys
from typing import Any

import pytest
from typer.main import get_command

from services.cli.app import Commands, app, data_first

# The contract's commands that this release has.
DOCUMENTED = [
    "up", "status", "audit", "run", "db", "topics", "reference", "tenants", "pairs", "records",
    "mappings", "keys", "orders", "gaps", "lanes", "dead-letters", "doctor", "config",
]  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_documented_command_is_there_and_has_help(name: str, invoke: Any) -> None:
    done = invoke(name, "--help")
    assert done.exit_code == 0
    assert name in done.stdout


def test_the_list_of_commands_names_all_of_them(invoke: Any) -> None:
    done = invoke("--help")
    assert done.exit_code == 0
    for name in DOCUMENTED:
        assert name in done.stdout


def test_a_command_nobody_knows_is_a_usage_error(invoke: Any) -> None:
    done = invoke("tune")
    assert done.exit_code == 2
    assert "No such command" in done.stderr


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_command_says_the_same_sentence_of_itself_everywhere(name: str) -> None:
    assert isinstance(get_command(app), Commands)
    assert Commands.entries[name].help.endswith(".")


@pytest.mark.parametrize(
    "arguments",
    [
        ["db", "status"],
        ["topics", "diff"],
        ["orders", "list"],
        ["orders", "show", "A1"],
        ["gaps", "list"],
        ["lanes", "list"],
        ["dead-letters", "list"],
        ["audit", "--json"],
        ["status"],
        ["doctor"],
        ["config", "show"],
        ["run", "relay"],
    ],
)
def test_settings_that_are_missing_are_all_named_and_end_with_2(
    arguments: list[str], invoke: Any
) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "CROSSROADS_DATABASE_URL is not set" in done.stderr
    assert "CROSSROADS_KAFKA_BOOTSTRAP_SERVERS is not set" in done.stderr


@pytest.mark.parametrize("arguments", [["orders", "list"], ["audit"], ["gaps", "list", "--json"]])
def test_a_database_that_is_away_is_told_in_a_line_and_ends_with_1(
    arguments: list[str], invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSROADS_DATABASE_URL", "postgresql://user:geheim@127.0.0.1:1/nothing")
    monkeypatch.setenv("CROSSROADS_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    done = invoke(*arguments)
    assert done.exit_code == 1
    assert done.stderr.startswith("The database does not answer")
    assert "geheim" not in done.stderr
    assert "Traceback" not in done.stderr


def test_the_settings_are_shown_without_their_passwords(
    invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSROADS_DATABASE_URL", "postgresql://user:geheim@127.0.0.1:1/nothing")
    monkeypatch.setenv("CROSSROADS_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    done = invoke("config", "show", "--json")
    assert done.exit_code == 0
    assert "geheim" not in done.stdout
    assert '"CROSSROADS_KAFKA_BOOTSTRAP_SERVERS":"127.0.0.1:1"' in done.stdout


def test_the_data_directory_may_be_named_anywhere_but_where_it_is_the_commands_own() -> None:
    assert data_first(["status", "--data", "d", "--json"], ()) == [
        "--data",
        "d",
        "status",
        "--json",
    ]
    assert data_first(["audit", "--data=d"], ()) == ["--data=d", "audit"]
    assert data_first(["orders", "show", "--", "--data", "x"], ()) == [
        "orders", "show", "--", "--data", "x",
    ]  # fmt: skip
    assert data_first(["status", "--data"], ()) == ["--data", "status"]
    assert data_first(["up", "--data", "d"], {"up"}) == ["up", "--data", "d"]


def test_starting_the_command_line_imports_no_server_client() -> None:
    code = (
        "import sys, services.cli.app, services.cli.run, services.cli.up, services.cli.db;"
        "print(sorted({'asyncpg', 'aiokafka', 'fastapi', 'uvicorn', 'httpx', 'rich.table'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
