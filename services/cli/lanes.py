"""`crossroads lanes`: commands that wait, each order's in its order."""

import asyncio
from typing import Annotated, Any

import typer

from services.cli.errors import CommandFailed
from services.cli.output import Json, print_json, print_table, say

app = typer.Typer(no_args_is_help=True, help="Commands that wait, in their order.")


@app.command("list")
def list_lanes(
    *,
    reason: Annotated[str | None, typer.Option(help="A code, such as mapping.gap.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """Show lanes, those that wait longest first; without an order: a number nobody knows yet."""
    found = asyncio.run(_list(reason, limit))
    if as_json:
        print_json({"items": found})
        return
    members = ("order_id", "number", "tenant", "commands", "head", "reason", "runnable", "since")
    print_table(
        ("order", *members[1:]), [tuple(each[member] for member in members) for each in found]
    )
    say(f"{len(found)} lanes")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="ORDER", help="An order's id or number.")],
    as_json: Json = False,
) -> None:
    """Show what waits for one order or number, first the one whose turn is next."""
    found = asyncio.run(_one(name))
    if not found:
        raise CommandFailed(f"Nothing waits for {name!r}.")
    if as_json:
        print_json({"items": found})
        return
    members = ("order_id", "wait_number", "tenant", "command_id", "operation", "reason")
    print_table(
        ("order", "number", *members[2:], "arrived"),
        [tuple(each[member] for member in (*members, "arrived_at")) for each in found],
    )


async def _list(reason: str | None, limit: int) -> list[dict[str, Any]]:
    from services.cli.session import database  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415
    from services.records import overview  # noqa: PLC0415

    async with database(load_settings()) as connection:
        return await overview.list_lanes(connection, reason=reason, limit=limit)


async def _one(name: str) -> list[dict[str, Any]]:
    from services.cli.session import database  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415
    from services.records import overview  # noqa: PLC0415

    async with database(load_settings()) as connection:
        return await overview.one_lane(connection, name)
