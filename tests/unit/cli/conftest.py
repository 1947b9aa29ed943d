import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs a command as if no stack ran here and nothing were set."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("CROSSROADS_"):
            monkeypatch.delenv(name)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return run
