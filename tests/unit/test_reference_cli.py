"""The reference commands: what they print and how they end."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli import reference as commands
from services.cli.app import app
from services.cli.reference_apply import Applied
from services.cli.reference_files import Item
from services.kit.errors import SettingsInvalid
from services.kit.settings import Settings

OUTCOMES: dict[str, tuple[str, Any]] = {
    "fine": ("done", "created"),
    "early": ("waiting", "Waits for tenant nobody"),
    "wrong": ("refused", [{"loc": ["body", "name"], "msg": "taken\x1b[2J", "type": "value_error"}]),
}


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hub that answers by the slug, and only Kafka set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROSSROADS_DATABASE_URL", raising=False)
    monkeypatch.setenv("CROSSROADS_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")

    async def answer(settings: Settings, items: Sequence[Item], **_: Any) -> list[Applied]:
        assert settings.kafka_bootstrap_servers == "127.0.0.1:1"
        return [
            Applied(item, "id", OUTCOMES[item.body["slug"]][0], "x", OUTCOMES[item.body["slug"]][1])
            for item in items
        ]

    monkeypatch.setattr(commands, "apply", answer)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def file_of(*slugs: str) -> str:
    Path("file.json").write_text(json.dumps({"tenants": [{"slug": slug} for slug in slugs]}))
    return "file.json"


def test_apply_needs_kafka_alone_and_ends_with_0_when_something_waits() -> None:
    result = run("reference", "apply", file_of("fine", "early"))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "waiting: tenant early (file.json tenants 1): Waits for tenant nobody",
        "1 done, 1 waiting",
    ]


def test_apply_ends_with_1_when_anything_was_refused_and_shows_nothing_that_steers() -> None:
    result = run("reference", "apply", file_of("fine", "wrong"))
    assert result.exit_code == 1
    assert "refused: tenant wrong (file.json tenants 1): name: taken\\x1b[2J" in result.stdout
    assert "1 of 2 were not applied" in result.stderr


def test_json_has_every_item() -> None:
    result = run("tenants", "upsert", "slug=fine", "--json")
    assert json.loads(result.stdout) == {
        "items": [
            {
                "entity": "tenant",
                "key": "fine",
                "place": "the command line",
                "id": "x",
                "outcome": "done",
                "detail": "created",
            }
        ]
    }


def test_a_csv_file_is_imported_for_its_list() -> None:
    Path("file.csv").write_text("slug,name\nfine,Fine\n")
    assert run("reference", "import", "--entity", "tenants", "file.csv").exit_code == 0
    assert run("reference", "import", "--entity", "people", "file.csv").exit_code == 2
    assert run("reference", "import", "--entity", "pairs", "file.csv").exit_code == 1


def test_what_reads_needs_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("tenants", "list")
    assert result.exit_code == 2
    assert "CROSSROADS_DATABASE_URL" in result.stderr
    monkeypatch.delenv("CROSSROADS_KAFKA_BOOTSTRAP_SERVERS")
    with pytest.raises(SettingsInvalid):
        commands.writing_settings()


@pytest.mark.parametrize("words", [("mappings", "show", "a", "b"), ("pairs", "upsert")])
def test_a_key_or_a_word_too_few_is_misuse(words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2
