"""`crossroads status`: the stack here, how far reading is, and what waits."""

import asyncio
from typing import TYPE_CHECKING, Any

import typer

from services.cli.output import Json, print_json, print_table

if TYPE_CHECKING:
    from services.kit.settings import Settings

app = typer.Typer(add_completion=False)


@app.command()
def status(context: typer.Context, as_json: Json = False) -> None:
    """Show the processes of the stack on the data directory, and what the hub has before it.

    `lag`: records on the input topics that are not processed; `gaps`: keys nobody has mapped;
    `outbox`: outgoing records that the broker has not acknowledged, parked ones included. Without a
    stack here, `processes` is empty.
    """
    from services.kit.settings import load_settings  # noqa: PLC0415
    from services.local.directory import running_stack  # noqa: PLC0415

    stack = running_stack(context.obj)
    processes = {} if stack is None else stack["processes"]
    found: dict[str, Any] = {"processes": processes, **asyncio.run(_counts(load_settings()))}
    if as_json:
        print_json(found)
        return
    if processes:
        print_table(
            ("process", "pid", "restarts", "ready"),
            [
                (name, line["pid"] or "", line["restarts"], line["ready"])
                for name, lines in processes.items()
                for line in lines
            ],
        )
    print_table(("", ""), [(name, found[name]) for name in ("lag", "gaps", "outbox")])


async def _counts(settings: "Settings") -> dict[str, int]:
    from services.cli.logs_of_topics import input_logs, lag, marks  # noqa: PLC0415
    from services.cli.session import database  # noqa: PLC0415
    from services.records.overview import waiting_counts  # noqa: PLC0415

    # The ends first: what is read meanwhile must not look like lag below zero.
    logs = await input_logs(settings)
    async with database(settings) as connection:
        counts = await waiting_counts(connection)
        return {
            "lag": lag(logs, await marks(connection)),
            "gaps": counts["gaps"],
            "outbox": counts["unsent"] + counts["parked"],
        }
