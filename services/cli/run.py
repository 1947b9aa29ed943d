"""`crossroads run`: one service process, until SIGTERM."""

import importlib
from collections.abc import Sequence
from typing import Annotated

import typer

SERVICES: Sequence[str] = (
    "order-intake",
    "status-update",
    "change-acceptance",
    "reference-data",
    "relay",
    "gateway",
)

app = typer.Typer(add_completion=False)


@app.command()
def run(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help=", ".join(SERVICES))],
) -> None:
    """Run one service until SIGTERM or SIGINT; any number of each may run.

    It serves /livez, /readyz and /metrics; its log goes to stderr.
    """
    if service not in SERVICES:
        raise typer.BadParameter(f"no service {service!r}: there are {', '.join(SERVICES)}")
    module = f"services.{service.replace('-', '_')}.app"
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise typer.BadParameter(f"{service} is not part of this release") from error
    from services.kit.process import run as run_process  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415

    raise typer.Exit(run_process(found.SERVICE, found.build, load_settings()))
