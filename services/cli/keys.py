"""`crossroads keys`: credentials for HTTP (K01, X12)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, TypeVar

import typer

from schemas.operations import SCOPES
from services.cli.errors import CommandFailed
from services.cli.output import Json, print_json, print_table, say
from services.cli.session import database
from services.kit.database import Connection
from services.kit.settings import load_settings
from services.records import credentials

T = TypeVar("T")

OPERATOR_SCOPES = ("operations:read", "operations:write", "reference:read", "reference:write")

app = typer.Typer(help="Credentials for HTTP.", no_args_is_help=True)


@app.command("create")
def create(
    tenant: Annotated[
        list[str] | None, typer.Option(help="A tenant's slug; may be repeated.")
    ] = None,
    scope: Annotated[list[str] | None, typer.Option(help="A scope; may be repeated.")] = None,
    operator: Annotated[
        bool, typer.Option("--operator", help="Reference data is sent as the operator.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a credential and print it: this is the only time its secrets are shown.

    An operator's credential without a scope gets those of operators. Use the API key as X-API-Key
    or as Authorization: Bearer, or the id and secret for a token of POST /auth/token.
    """
    scopes = scope or (list(OPERATOR_SCOPES) if operator else [])
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise typer.BadParameter(f"no such scope: {', '.join(unknown)}", param_hint="--scope")
    if not scopes:
        raise typer.BadParameter("at least one is needed", param_hint="--scope")
    if not tenant and not operator:
        raise typer.BadParameter("name a tenant, or say --operator", param_hint="--tenant")
    made = _with_database(
        lambda connection: credentials.create(
            connection, tenants=tenant or [], scopes=scopes, operator=operator
        ),
        write=True,
    )
    if as_json:
        print_json(asdict(made))
        return
    for name, value in asdict(made).items():
        print(f"{name:13} {value}")
    say("Keep these: they are not shown again.")


@app.command("list")
def list_credentials(as_json: Json = False) -> None:
    """List all credentials, revoked ones too; secrets are not kept and cannot be shown."""
    found = [asdict(each) for each in _with_database(credentials.listed)]
    if as_json:
        print_json({"items": found})
        return
    print_table(
        ("client id", "tenants", "scopes", "operator", "created", "revoked"),
        [
            (
                each["client_id"],
                " ".join(each["tenants"]),
                " ".join(each["scopes"]),
                each["operator"],
                each["created_at"],
                each["revoked_at"],
            )
            for each in found
        ],
    )


@app.command("revoke")
def revoke(
    client_id: Annotated[str, typer.Argument(help="The credential's client id.")],
    as_json: Json = False,
) -> None:
    """End a credential, with every token made from it, at once."""
    done = _with_database(lambda connection: credentials.revoke(connection, client_id), write=True)
    if as_json:
        print_json({"client_id": client_id, "revoked": done})
    if not done:
        raise CommandFailed("There is no valid credential with this client id.")


def _with_database(work: Callable[[Connection], Awaitable[T]], *, write: bool = False) -> T:
    async def run() -> T:
        async with database(load_settings(), write=write) as connection:
            return await work(connection)

    return asyncio.run(run())
