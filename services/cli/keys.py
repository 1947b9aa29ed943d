"""`crossroads keys`: credentials for HTTP (K01, X12)."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from schemas.operations import SCOPES
from services.kit.database import Connection, open_pool, transaction
from services.kit.settings import load_settings
from services.records import credentials
from services.records.credentials import ListedCredential, TenantUnknown

T = TypeVar("T")

OPERATOR_SCOPES = ("operations:read", "operations:write", "reference:read", "reference:write")

app = typer.Typer(help="Credentials for HTTP.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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
    try:
        made = _with_database(
            lambda connection: credentials.create(
                connection, tenants=tenant or [], scopes=scopes, operator=operator
            )
        )
    except TenantUnknown as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(1) from None
    members = {
        "client_id": made.client_id,
        "client_secret": made.client_secret,
        "api_key": made.api_key,
    }
    if as_json:
        print(json.dumps(members))
        return
    for name, value in members.items():
        print(f"{name:13} {value}")
    sys.stderr.write("Keep these: they are not shown again.\n")


@app.command("list")
def list_credentials(as_json: Json = False) -> None:
    """List all credentials, revoked ones too; secrets are not kept and cannot be shown."""
    found = _with_database(credentials.listed)
    if as_json:
        print(json.dumps({"items": [_members(each) for each in found]}))
        return
    table = Table("client id", "tenants", "scopes", "operator", "created", "revoked")
    for each in found:
        table.add_row(
            each.client_id,
            " ".join(each.tenants),
            " ".join(each.scopes),
            "yes" if each.operator else "",
            _time(each.created_at),
            _time(each.revoked_at),
        )
    Console().print(table)


@app.command("revoke")
def revoke(
    client_id: Annotated[str, typer.Argument(help="The credential's client id.")],
    as_json: Json = False,
) -> None:
    """End a credential, with every token made from it, at once."""
    done = _with_database(lambda connection: credentials.revoke(connection, client_id))
    if as_json:
        print(json.dumps({"client_id": client_id, "revoked": done}))
    if not done:
        sys.stderr.write("There is no valid credential with this client id.\n")
        raise typer.Exit(1)


def _members(each: ListedCredential) -> dict[str, Any]:
    return {
        "client_id": each.client_id,
        "tenants": each.tenants,
        "scopes": each.scopes,
        "operator": each.operator,
        "created_at": _time(each.created_at),
        "revoked_at": _time(each.revoked_at) or None,
    }


def _time(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat().replace("+00:00", "Z")


def _with_database(work: Callable[[Connection], Awaitable[T]]) -> T:
    async def run() -> T:
        settings = load_settings()
        async with (
            await open_pool(settings.database_url, application_name="crossroads keys") as pool,
            transaction(pool) as connection,
        ):
            return await work(connection)

    return asyncio.run(run())
