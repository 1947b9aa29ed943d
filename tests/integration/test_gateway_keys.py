"""`crossroads keys`: made once, listed without secrets, revoked at once (K01, X12)."""

import asyncio
import json

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from services.cli.keys import app


@pytest.fixture(autouse=True)
def environment(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSROADS_DATABASE_URL", database)
    monkeypatch.setenv("CROSSROADS_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")


@pytest.fixture
def tenant(database: str, slug: str) -> str:
    async def store() -> None:
        connection = await asyncpg.connect(database)
        await connection.execute(
            "INSERT INTO tenants (id, slug, name) VALUES ($1, $1, $2)", slug, f"Name of {slug}"
        )
        await connection.close()

    asyncio.run(store())
    return slug


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_a_credential_is_printed_once_and_listed_without_its_secrets(tenant: str) -> None:
    made = keys("create", "--tenant", tenant, "--scope", "order:read", "--json")
    assert made.exit_code == 0
    credential = json.loads(made.stdout)
    assert list(credential) == ["client_id", "client_secret", "api_key"]
    listed = keys("list", "--json").stdout
    assert credential["client_secret"] not in listed
    assert credential["api_key"] not in listed
    (mine,) = [
        item for item in json.loads(listed)["items"] if item["client_id"] == credential["client_id"]
    ]
    assert (mine["tenants"], mine["scopes"]) == ([tenant], ["order:read"])
    assert (mine["operator"], mine["revoked_at"]) == (False, None)


def test_a_revoked_credential_cannot_be_revoked_again(tenant: str) -> None:
    made = json.loads(keys("create", "--tenant", tenant, "--scope", "order:read", "--json").stdout)
    assert keys("revoke", made["client_id"]).exit_code == 0
    assert keys("revoke", made["client_id"]).exit_code == 1


def test_an_operator_without_scopes_has_the_operators() -> None:
    made = json.loads(keys("create", "--operator", "--json").stdout)
    (mine,) = [
        item
        for item in json.loads(keys("list", "--json").stdout)["items"]
        if item["client_id"] == made["client_id"]
    ]
    assert mine["operator"]
    assert "operations:write" in mine["scopes"]


def test_an_unknown_tenant_makes_nothing() -> None:
    before = keys("list", "--json").stdout
    failed = keys("create", "--tenant", "nobody-at-all", "--scope", "order:read")
    assert failed.exit_code == 1
    assert keys("list", "--json").stdout == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("--tenant", "acme"),
        ("--scope", "order:read"),
        ("--tenant", "acme", "--scope", "order:everything"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    assert keys("create", *arguments).exit_code == 2
