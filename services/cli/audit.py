"""`crossroads audit`: whether every accepted command is accounted for."""

import asyncio
from typing import TYPE_CHECKING

import typer

from services.cli.errors import CommandFailed
from services.cli.output import Json, print_json, print_table, say

if TYPE_CHECKING:
    from services.domain.accounting import Accounting
    from services.kit.settings import Settings

app = typer.Typer(add_completion=False)


@app.command()
def audit(as_json: Json = False) -> None:
    """Count the commands of every operation and what became of them; 1 when they do not add up.

    A command whose final answer is not published yet counts as waiting. Commands that were
    forgotten, some time after their final answer, count by what was written down of them then.
    """
    from services.domain.accounting import problems, report  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415

    found = asyncio.run(take(load_settings()))
    told = report(found)
    if as_json:
        print_json(told)
    else:
        columns = ("accepted", "done", "waiting", "refused", "failed")
        print_table(
            ("operation", *columns),
            [
                (operation, *(counts[column] for column in columns))
                for operation, counts in told["operations"].items()
            ],
        )
        say(f"{told['duplicates']} duplicates answered, {told['dead_letters']} dead letters")
        if found.forgotten:
            say(f"{found.forgotten} of these commands are no longer remembered")
    wrong = problems(found)
    if wrong:
        raise CommandFailed("\n".join(wrong))
    if not as_json:
        say("the books balance")


async def take(settings: "Settings") -> "Accounting":
    """The books, counted in one snapshot."""
    from services.cli.session import database  # noqa: PLC0415
    from services.records import accounting  # noqa: PLC0415

    async with database(settings) as connection:
        return await accounting.count(connection)
