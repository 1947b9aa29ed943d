"""`crossroads db`: the schema and what it lacks."""

import asyncio

import typer

from services.cli.errors import CommandFailed
from services.cli.output import Json, print_json, print_table, say

app = typer.Typer(no_args_is_help=True, help="The database's schema.")


@app.command("migrate")
def migrate(as_json: Json = False) -> None:
    """Apply the migrations that are missing; many may run this at once, one does the work."""
    from services.kit import migrations  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415

    applied = asyncio.run(migrations.migrate(load_settings().database_url))
    if as_json:
        print_json({"applied": [str(migration) for migration in applied]})
        return
    for migration in applied:
        say(f"applied {migration}")
    if not applied:
        say("the schema is current")


@app.command("status")
def status(as_json: Json = False) -> None:
    """Show every migration; 1 when one is pending or was changed after it was applied."""
    from services.kit import migrations  # noqa: PLC0415
    from services.kit.settings import load_settings  # noqa: PLC0415

    found = asyncio.run(migrations.status(load_settings().database_url))
    if as_json:
        print_json(
            {
                "migrations": [
                    {
                        "version": each.version,
                        "name": each.name,
                        "state": each.state,
                        "applied_at": each.applied_at,
                    }
                    for each in found
                ]
            }
        )
    else:
        print_table(
            ("version", "name", "state", "applied"),
            [(each.version, each.name, each.state, each.applied_at) for each in found],
        )
    wrong = [each for each in found if each.state in {"pending", "changed"}]
    if wrong:
        raise CommandFailed(
            ", ".join(f"{each.version:04d}_{each.name} is {each.state}" for each in wrong)
        )
