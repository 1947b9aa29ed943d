"""`crossroads demo`: the command."""

import asyncio
import logging
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, TextIO

import typer

from services.cli.output import Json, print_json

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="The day is drawn from it.")] = 7,
    orders: Annotated[int, typer.Option(min=60, max=100_000, help="Records of the day.")] = 2_000,
    keep: Annotated[bool, typer.Option("--keep", help="Stay up afterwards.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Data directory, a new one; without it one that goes at the end."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Start everything here, tell the whole story, check each claim, and stop.

    With --json the story goes to stderr, and one line of JSON sums it up. It exits with 1 as soon
    as something is not as it should be.
    """
    from services.cli.demo.story import INTERRUPTED, DemoOptions, perform  # noqa: PLC0415
    from services.cli.demo.telling import Teller  # noqa: PLC0415

    teller = Teller(_forgiving(sys.stderr if as_json else sys.stdout))
    teller.overhear()
    # Its clients try again by themselves; while processes are killed they report each attempt.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    options = DemoOptions(seed=seed, orders=orders, keep=keep, data=data)
    told = asyncio.run(perform(options, teller))
    if told is None:
        raise typer.Exit(INTERRUPTED)
    if as_json:
        print_json(told)
        return
    teller.say(
        f"{teller.checks} checks hold: {told['delivered']} orders delivered, the first one"
        f" {told['first_synced_seconds']} s after the start, and {told['told']} statuses and papers"
        f" told. {told['seconds']} s in all."
    )


def _forgiving(stream: TextIO) -> TextIO:
    """A stream that shows what its encoding lacks as escapes, instead of failing."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream
