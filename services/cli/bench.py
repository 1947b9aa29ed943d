"""`crossroads bench`: the benchmarks of a checkout, run on this machine."""

import subprocess
import sys
from pathlib import Path

import typer

from services.cli.errors import CommandFailed

CHECKOUT = Path(__file__).parents[2]

app = typer.Typer(add_completion=False)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context) -> None:
    """Measure throughput and latency on a stack of its own; options: see benchmarks/README.md."""
    if not (CHECKOUT / "benchmarks").is_dir():
        raise CommandFailed("the benchmarks are part of a checkout, not of an installation")
    command = [sys.executable, "-m", "benchmarks", *context.args]
    code = subprocess.run(command, cwd=CHECKOUT, check=False).returncode  # noqa: S603
    if code:
        raise typer.Exit(1)
