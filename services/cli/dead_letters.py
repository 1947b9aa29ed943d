"""`crossroads dead-letters`: records that could not be read, as they came."""

import asyncio
from typing import Annotated, Any

import typer

from services.cli.errors import CommandFailed, CommandMisused
from services.cli.moments import moment
from services.cli.output import Json, print_json, print_table, safe, say

app = typer.Typer(no_args_is_help=True, help="Records that could not be read.")


@app.command("list")
def list_letters(
    *,
    reason: Annotated[str | None, typer.Option(help="A reason, such as not-json.")] = None,
    since: Annotated[str | None, typer.Option(help="2h, 3d, or a time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """Show dead letters, the newest first; `show` takes what stands in the first column."""
    from services.cli.letters import newest  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415

    oldest = None if since is None else moment(since)
    found = asyncio.run(newest(load_settings(), limit=limit, reason=reason, since=oldest))
    if as_json:
        print_json({"items": [letter.line() for letter in found]})
        return
    members = ("id", "time", "reason", "detail", "service", "source", "tenant", "command_id")
    lines = [letter.line() for letter in found]
    print_table(members, [tuple(line[member] for member in members) for line in lines])
    say(f"{len(found)} dead letters")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="partition/offset, from the list.")],
    as_json: Json = False,
) -> None:
    """Show one dead letter with its headers and value; nothing is hidden, nothing is executed."""
    from services.cli.letters import one  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415

    partition, slash, offset = name.partition("/")
    if not (slash and partition.isdecimal() and offset.isdecimal()):
        raise CommandMisused(f"{name!r} is not partition/offset, such as 0/12")
    letter = asyncio.run(one(load_settings(), int(partition), int(offset)))
    if letter is None:
        raise CommandFailed(f"There is no dead letter {name}.")
    if as_json:
        print_json({**letter.line(), **letter.content()})
        return
    line: dict[str, Any] = letter.line()
    print_table(("", ""), [(member, line[member]) for member in line])
    content = letter.content()
    print_table(("header", "value"), content["headers"], title="headers")
    for part in ("key", "value"):
        text, encoded = content[part], content[f"{part}_base64"]
        print(f"{part}: {safe(text) if text is not None else encoded or 'none'}")
