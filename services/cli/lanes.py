"""`crossroads lanes`: commands that wait, each order's in its order."""

import asyncio
from typing import Annotated, Any

import typer

from services.cli.errors import CommandFailed, CommandMisused
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


@app.command("refuse")
def refuse(
    name: Annotated[str, typer.Argument(metavar="ORDER", help="An order's id or number.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; the tenant whose command it is reads it.")],
    as_json: Json = False,
) -> None:
    """End the first command that waits for an order: refused with `lane.refused`.

    What stands behind it goes on. Without its own create an order can never be sent: what waits for
    it is refused then, too.
    """
    from services.domain.refusals import MISLEADING  # noqa: PLC0415

    if not reason.strip():
        raise CommandMisused("--reason is empty")
    if found := [words for words in MISLEADING if words in reason.lower()]:
        raise CommandMisused(f"--reason says {found[0]!r}: whoever reads that sends it again")
    ended = asyncio.run(_refuse(name, reason.strip()))
    if as_json:
        print_json(ended)
        return
    print_table(("", ""), list(ended.items()))


async def _refuse(name: str, reason: str) -> dict[str, Any]:
    from services.cli.session import database  # noqa: PLC0415
    from services.commands.pipeline import now  # noqa: PLC0415
    from services.commands.refusing import refuse_head  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415
    from services.records import overview  # noqa: PLC0415

    async with database(load_settings(), write=True) as connection:
        waiting = await overview.one_lane(connection, name)
        orders = {each["order_id"] for each in waiting} - {None}
        if len(orders) > 1:
            raise CommandFailed(f"Several orders are called {name!r}: {', '.join(sorted(orders))}.")
        order_id = next(iter(orders), None)
        ended = None
        if order_id is not None:
            ended = await refuse_head(connection, order_id, reason, now())
        if ended is None:
            raise CommandFailed(f"Nothing waits in the lane of an order {name!r}.")
        return {
            "order_id": order_id,
            "command_id": ended.command_id,
            "operation": ended.operation,
            "code": "lane.refused",
            "left": ended.left,
        }


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
