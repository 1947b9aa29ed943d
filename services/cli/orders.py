"""`crossroads orders`: find them, and see all that happened to one."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from services.cli.documents import ABSENT, SIDES, side_by_side
from services.cli.errors import CommandFailed, CommandMisused
from services.cli.moments import moment
from services.cli.output import Json, print_json, print_table, say, shown

app = typer.Typer(no_args_is_help=True, help="Find orders, and see all that happened to one.")

_MEMBERS = (
    "id", "number", "destination_number", "po", "origin", "destination", "status", "progress",
    "waiting", "accepted_at",
)  # fmt: skip


@app.command("list")
def list_orders(
    *,
    number: Annotated[str | None, typer.Option(help="A number of either side.")] = None,
    po: Annotated[str | None, typer.Option("--po", help="The purchase order.")] = None,
    tenant: Annotated[str | None, typer.Option(help="The slug of either side.")] = None,
    status: Annotated[str | None, typer.Option(help="One of the statuses.")] = None,
    since: Annotated[str | None, typer.Option(help="Accepted since: 2h, 3d, or a time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """Show orders that fit all that is given, the newest first."""
    from services.records.overview import STATUSES, OrderFilter  # noqa: PLC0415

    if status is not None and status not in STATUSES:
        raise CommandMisused(f"no status {status!r}: there are {', '.join(STATUSES)}")
    wanted = OrderFilter(number, po, tenant, status, None if since is None else moment(since))
    found = asyncio.run(_list(wanted, limit))
    if as_json:
        print_json({"items": found})
        return
    print_table(_MEMBERS, [tuple(each[member] for member in _MEMBERS) for each in found])
    say(f"{len(found)} orders" + (", perhaps more: --limit" if len(found) == limit else ""))


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="ORDER", help="An id, a number, or a PO.")],
    tenant: Annotated[str | None, typer.Option(help="The slug of either side.")] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Also members that are the same everywhere.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one order: three documents side by side, what waits, its log and its timeline."""
    story = asyncio.run(_story(name, tenant))
    story["differences"] = lines = side_by_side(story["documents"])
    if as_json:
        print_json(story)
        return
    print_table(("", ""), list(story["order"].items()))
    _print_documents(lines, every=every)
    _print_waiting(story)
    print_table(
        ("time", "tenant", "status", "what", "message"),
        [
            (
                each["created_at"],
                each["tenant"],
                each["entry"].get("status"),
                each["entry"].get("title"),
                (each["entry"].get("detail") or {}).get("message"),
            )
            for each in story["log"]
        ],
        title="log",
    )
    print_table(
        ("time", "tenant", "command", "what", ""),
        [
            (each["at"], each["tenant"], each["command_id"], each["kind"], _detail(each["detail"]))
            for each in story["timeline"]
            if each["kind"] != "log"  # they stand in a table of their own
        ],
        title="timeline",
    )


def _print_documents(lines: list[dict[str, Any]], *, every: bool) -> None:
    from rich.text import Text  # noqa: PLC0415

    rows = []
    for line in lines:
        if not (every or line["differs"]):
            continue
        style = "yellow" if line["differs"] else ""
        values = [line.get(side, ABSENT) for side in SIDES]
        cells = ["" if value is ABSENT else _value(value) for value in values]
        mark = "≠" if line["differs"] else ""
        rows.append([Text(shown(cell), style=style) for cell in (mark, line["path"], *cells)])
    print_table(("", "member", *SIDES), rows, title="documents")
    alike = sum(not line["differs"] for line in lines)
    if alike and not every:
        say(f"{alike} members are the same everywhere: --all shows them")


def _print_waiting(story: Mapping[str, Any]) -> None:
    lists = {
        "gaps": ("id", "tenant", "system", "entity", "key_kind", "key", "first_seen"),
        "lane": ("tenant", "command_id", "operation", "reason", "arrived_at"),
        "unsent": ("id", "topic", "stored_at", "parked_at", "refused"),
    }
    for name, members in lists.items():
        if story[name]:
            rows = [tuple(each[member] for member in members) for each in story[name]]
            print_table(members, rows, title=name)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    import json  # noqa: PLC0415

    return json.dumps(value, ensure_ascii=False)


def _detail(detail: Mapping[str, Any]) -> str:
    """What there is to say, without all that is null."""
    said = []
    for name, value in detail.items():
        if isinstance(value, Mapping):
            said.append(f"{name}=({_detail(value)})")
        elif value is not None:
            said.append(f"{name}={_value(value)}")
    return " ".join(said)


async def _list(wanted: Any, limit: int) -> list[dict[str, Any]]:
    from services.cli.session import database  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415
    from services.records import overview  # noqa: PLC0415

    async with database(load_settings()) as connection:
        return await overview.list_orders(connection, wanted, limit=limit)


async def _story(name: str, tenant: str | None) -> dict[str, Any]:
    from services.cli.session import database  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415
    from services.records import overview, story  # noqa: PLC0415

    async with database(load_settings()) as connection:
        found = await overview.orders_named(connection, name, tenant)
        if len(found) > 1:
            which = "\n".join(
                f"  {each['id']}  {each['number']}  {each['origin']} to {each['destination']}"
                for each in found
            )
            raise CommandFailed(f"{name!r} fits several orders:\n{which}")
        whole = await story.of_order(connection, found[0]["id"]) if found else None
        if whole is None:
            raise CommandFailed(f"There is no order {name!r}.")
        return whole
