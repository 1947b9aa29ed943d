"""`crossroads config`: the settings in force."""

import typer

from services.cli.output import Json, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="The settings in force, without secrets.")


@app.callback()
def config() -> None:
    """The settings in force, without secrets."""


@app.command("show")
def show(as_json: Json = False) -> None:
    """Print every setting by its variable, passwords hidden; 2 when they cannot be used."""
    from services.kit.settings import load_settings, redacted  # noqa: PLC0415

    found = redacted(load_settings())
    if as_json:
        print_json(found)
    else:
        print_table(("variable", "value"), found.items())
