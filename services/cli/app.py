"""`crossroads`: every command, and what all of them share.

Data goes to stdout, talk to stderr. Exit codes: 0 done, 1 failed, 2 usage or settings.
"""

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from services.cli.lazy import Entry, LazyGroup
from services.cli.surroundings import join_running_stack

DATA = Path(".crossroads")
# These start servers of their own.
_ALONE = frozenset({"up", "demo", "bench"})


def _own(name: str, help: str) -> Entry:  # noqa: A002 — the word typer has for it
    return Entry(f"services.cli.{name.replace('-', '_')}", "app", help)


def _reference(name: str) -> Entry:
    return Entry("services.cli.reference", f"{name}_app", f"The {name} of the reference data.")


class Commands(LazyGroup):
    """All commands, in the order they are listed."""

    entries: ClassVar[Mapping[str, Entry]] = {
        "up": _own("up", "Start everything on this machine and stay until Ctrl-C."),
        "demo": _own("demo", "Start everything, tell the whole story, stop."),
        "status": _own("status", "The processes of the stack here, the lag, what waits."),
        "run": _own("run", "Run one service."),
        "db": _own("db", "The database's schema."),
        "topics": _own("topics", "The topics, as the catalogue wants them."),
        "orders": _own("orders", "Find orders, and see all that happened to one."),
        "changes": _own("changes", "Proposed changes of orders, and what became of them."),
        "gaps": _own("gaps", "Keys nobody has mapped yet, and the orders that wait for them."),
        "lanes": _own("lanes", "Commands that wait, in their order."),
        "dead-letters": _own("dead-letters", "Records that could not be read."),
        "reference": Entry("services.cli.reference", "reference_app", "Reference data as files."),
        "tenants": _reference("tenants"),
        "pairs": _reference("pairs"),
        "records": _reference("records"),
        "mappings": _reference("mappings"),
        "keys": _own("keys", "Credentials for HTTP."),
        "audit": _own("audit", "Whether every accepted command is accounted for."),
        "doctor": _own("doctor", "What is wrong here, and what to do about it."),
        "config": _own("config", "The settings in force, without secrets."),
        "bench": _own("bench", "Measure on this machine."),
    }

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes --data wherever it stands, for no command has another meaning for it."""
        parsed: list[str] = super().parse_args(ctx, data_first(args, _ALONE))
        return parsed


def data_first(args: Sequence[str], alone: Collection[str]) -> list[str]:
    """`args` with the option --data moved to the front, unless the command is one of `alone`.

    These have the option themselves.
    """
    if any(word in alone for word in args):
        return list(args)
    front: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--data":
            front += [word, *[value for value in [next(words, None)] if value is not None]]
        else:
            (front if word.startswith("--data=") else rest).append(word)
    return front + rest


app = typer.Typer(
    name="crossroads",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Crossroads: orders between companies, in each one's own words.",
)


@app.callback()
def everything(
    context: typer.Context,
    data: Annotated[
        Path, typer.Option("--data", help="Data directory of the stack that runs here.")
    ] = DATA,
) -> None:
    """Crossroads: fuel orders between companies, each in its own words.

    Commands find a stack that runs on the data directory by themselves; set variables win.
    """
    context.obj = data
    _talk_on_stderr(context)
    command = context.invoked_subcommand
    if command not in _ALONE:
        # A gateway run beside the stack's own cannot have its port.
        join_running_stack(data, without=("CROSSROADS_HTTP_PORT",) if command == "run" else ())


def _talk_on_stderr(context: typer.Context) -> None:
    """Let what libraries and rooms log go where talk goes, warnings and worse alone.

    Left alone, structlog prints on stdout, among the data. `run` says later how its service logs.
    """
    import structlog  # noqa: PLC0415

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.LogfmtRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    context.call_on_close(lambda: structlog.configure(**before))


def main() -> None:
    """The entry point of the command line."""
    app()
