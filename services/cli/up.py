"""`crossroads up`: everything on this machine, until it is told to end."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.errors import CommandMisused
from services.cli.output import Json, console, safe, say

if TYPE_CHECKING:
    from services.local.directory import ReadyLine
    from services.local.stack import StackOptions

app = typer.Typer(add_completion=False)


@app.command()
def up(
    context: typer.Context,
    more: Annotated[list[str] | None, typer.Argument(metavar="", hidden=True)] = None,
    *,
    broker: Annotated[
        str,
        typer.Option(
            help="tansu: in memory, topics are new at each start; or kafka: Apache Kafka, which "
            "keeps them (wants Java 17, and Maven the first time)."
        ),
    ] = "tansu",
    data: Annotated[
        Path | None, typer.Option(help="Data directory; .crossroads by default.")
    ] = None,
    port_base: Annotated[
        int | None, typer.Option(min=1024, max=65000, help="First port; any free ones by default.")
    ] = None,
    replicas: Annotated[
        list[str] | None, typer.Option(metavar="SERVICE=N", help="More processes of a service.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Start PostgreSQL, a broker and all services here, and stay until Ctrl-C or SIGTERM.

    With --json one line of JSON says where everything is, once all is ready. Everything listens
    on 127.0.0.1 only and ends with this command.
    """
    from services.local.errors import LocalError, ProgramMissing  # noqa: PLC0415
    from services.local.stack import StackOptions, run_until_signal  # noqa: PLC0415

    try:
        options = StackOptions(
            data=data or context.obj,
            broker=broker,
            port_base=port_base,
            replicas=parse_replicas([*(replicas or ()), *(more or ())]),
        )
    except LocalError as error:
        raise CommandMisused(str(error)) from error

    def ready(line: "ReadyLine") -> None:
        if as_json:
            import json  # noqa: PLC0415

            # Flushed: whoever reads a pipe waits for this line.
            print(json.dumps(line), flush=True)
        else:
            _show(line, options)

    try:
        asyncio.run(run_until_signal(options, say, ready))
    except ProgramMissing as error:
        raise CommandMisused(str(error)) from error


def parse_replicas(words: Sequence[str]) -> dict[str, int]:
    """`relay=2` and the like as counts by service. Raises CommandMisused."""
    counts: dict[str, int] = {}
    for word in words:
        name, equals, count = word.partition("=")
        if not equals or not count.isdecimal():
            raise CommandMisused(f"{word!r} is not SERVICE=N")
        counts[name] = int(count)
    return counts


def _show(line: "ReadyLine", options: "StackOptions") -> None:
    out = console()
    out.print("[bold green]ready[/]")
    for name, value in (
        ("console", line["console"]),
        ("HTTP", line["http"]),
        ("API page", f"{line['http']}/docs"),
        ("Kafka", line["kafka"]),
        ("data", str(options.data)),
    ):
        out.print(f"  {name:9} {safe(value)}", markup=False)
    out.print("The operator's API key stands in operator.json of the data directory.", markup=False)
    out.print("Ctrl-C ends everything.", markup=False)
