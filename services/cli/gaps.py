"""`crossroads gaps`: keys nobody has mapped yet (X05)."""

import asyncio
import csv
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from services.cli.errors import CommandFailed, CommandMisused
from services.cli.output import Json, print_json, print_table, say

app = typer.Typer(
    no_args_is_help=True, help="Keys nobody has mapped yet, and the orders that wait for them."
)

# The columns of `crossroads reference import --entity mappings`, so that what is printed can be
# filled in and imported.
_COLUMNS = ("tenant", "system", "entity", "source_id", "source_name", "goid")
# Which of them a gap's key fills.
_KEYS = {
    "source_id": "source_id",
    "source_name": "source_name",
    "goid": "goid",
    "mapped_goid": "goid",
}


@app.command("list")
def list_gaps(
    *,
    tenant: Annotated[str | None, typer.Option(help="A tenant's slug.")] = None,
    entity: Annotated[str | None, typer.Option(help="company, site, product or terminal.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    as_csv: Annotated[
        bool,
        typer.Option("--csv", help="Rows to fill in for `reference import --entity mappings`."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show open gaps, those that hold the most orders first."""
    if as_csv and as_json:
        raise CommandMisused("--csv and --json cannot be had together")
    found = asyncio.run(_list(tenant, entity, limit))
    if as_json:
        print_json({"items": found})
    elif as_csv:
        _print_csv(found)
    else:
        print_table(
            ("gap", "tenant", "system", "entity", "by", "key", "orders", "may be", "since"),
            [
                (
                    *(each[member] for member in ("id", "tenant", "system", "entity", "key_kind")),
                    each["key"],
                    each["orders"],
                    " ".join(each["candidates"]),
                    each["first_seen"],
                )
                for each in found
            ],
        )
        say(f"{len(found)} open")


@app.command("show")
def show(
    gap: Annotated[int, typer.Argument(help="The gap's number, as `gaps list` shows it.")],
    as_json: Json = False,
) -> None:
    """Show one gap: what is missing, which records may be meant, which orders it holds."""
    found = asyncio.run(_one(gap))
    if found is None:
        raise CommandFailed(f"There is no gap {gap}; it goes when its last order has gone on.")
    if as_json:
        print_json(found)
        return
    members = ("tenant", "system", "entity", "key_kind", "key", "message", "first_seen")
    print_table(("", ""), [(member, found[member]) for member in (*members, "last_seen")])
    print_table(
        ("may be", "name"), [(each["goid"], each.get("name")) for each in found["candidates"]]
    )
    print_table(
        ("order", "number", "origin", "destination", "status", "accepted"),
        [
            tuple(
                each[member]
                for member in ("id", "number", "origin", "destination", "status", "accepted_at")
            )
            for each in found["waiting"]
        ],
    )


def csv_row(gap: Mapping[str, Any]) -> dict[str, Any]:
    """A gap as a row to fill in: what the missing mapping would have, as far as it is known."""
    row = {"tenant": gap["tenant"], "system": gap["system"], "entity": gap["entity"]}
    column = _KEYS.get(gap["key_kind"])
    if column is not None:
        row[column] = gap["key"]
    return row


def _print_csv(found: Sequence[Mapping[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, _COLUMNS, restval="")
    writer.writeheader()
    writer.writerows(csv_row(gap) for gap in found)


async def _list(tenant: str | None, entity: str | None, limit: int) -> list[dict[str, Any]]:
    from services.cli.session import database  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415
    from services.records import overview  # noqa: PLC0415

    async with database(load_settings()) as connection:
        return await overview.list_gaps(connection, tenant=tenant, entity=entity, limit=limit)


async def _one(gap_id: int) -> dict[str, Any] | None:
    from services.cli.session import database  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415
    from services.records import overview  # noqa: PLC0415

    async with database(load_settings()) as connection:
        return await overview.one_gap(connection, gap_id)
