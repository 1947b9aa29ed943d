"""`crossroads changes`: what one company proposed to the other, and what became of it (X01-X04)."""

import asyncio
import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from services.cli.errors import CommandFailed, CommandMisused
from services.cli.output import Json, print_json, print_table, say

app = typer.Typer(no_args_is_help=True, help="Proposed changes of orders, and what became of them.")

STATUSES = ("requested", "rejected", "synced")
_MEMBERS = (
    "id", "number", "destination_number", "origin", "destination", "proposed_by", "status", "stale",
    "reason_code", "change_types", "created_at", "updated_at",
)  # fmt: skip


@app.command("list")
def list_changes(
    *,
    status: Annotated[str | None, typer.Option(help=", ".join(STATUSES))] = None,
    tenant: Annotated[str | None, typer.Option(help="The slug of either side.")] = None,
    order: Annotated[
        str | None, typer.Option(help="An order's id, or its number of either side.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """Show changes that fit all that is given, the newest first."""
    if status is not None and status not in STATUSES:
        raise CommandMisused(f"no status {status!r}: there are {', '.join(STATUSES)}")
    found = asyncio.run(_list(status, tenant, order, limit))
    if as_json:
        print_json({"items": found})
        return
    print_table(_MEMBERS, [_cells(each) for each in found])
    say(f"{len(found)} changes" + (", perhaps more: --limit" if len(found) == limit else ""))


@app.command("show")
def show(
    change: Annotated[str, typer.Argument(help="The change's id, as `changes list` shows it.")],
    as_json: Json = False,
) -> None:
    """Show one change: what differs, in the words of each side."""
    found = asyncio.run(_one(change))
    if found is None:
        raise CommandFailed(f"There is no change {change!r}.")
    if as_json:
        print_json(found)
        return
    members = ("order_id", *_MEMBERS, "command_id")
    line = {**found, "change_types": " ".join(found["change_types"])}
    print_table(("", ""), [(member, line[member]) for member in members])
    for side in ("origin", "destination"):
        print_table(
            ("type", "drop", "field", "from", "to"),
            [
                (each["type"], each["drop"], each["field"], _text(each["from"]), _text(each["to"]))
                for each in found["changes"][side]
            ],
            title=f"as {found[side]} is told",
        )


def _cells(change: Mapping[str, Any]) -> tuple[Any, ...]:
    line = {**change, "change_types": " ".join(change["change_types"])}
    return tuple(line[member] for member in _MEMBERS)


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


async def _list(
    status: str | None, tenant: str | None, order: str | None, limit: int
) -> list[dict[str, Any]]:
    from services.cli.session import database  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415
    from services.records import changes  # noqa: PLC0415

    async with database(load_settings()) as connection:
        return await changes.lines(
            connection, status=status, tenant=tenant, number=order, limit=limit
        )


async def _one(change_id: str) -> dict[str, Any] | None:
    from services.cli.session import database  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415
    from services.records import changes  # noqa: PLC0415

    async with database(load_settings()) as connection:
        return await changes.one(connection, change_id)
