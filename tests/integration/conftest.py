import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app

Invoke = Callable[..., Awaitable[Result]]


@pytest.fixture
def invoke(fresh_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs a command against a database of its own, and no broker."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROSSROADS_DATABASE_URL", fresh_database)
    monkeypatch.setenv("CROSSROADS_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))

    return run
