"""`crossroads db`: the schema and what it lacks."""

import asyncio
from typing import TYPE_CHECKING

import typer

from services.cli.errors import CommandFailed
from services.cli.output import Json, print_json, print_table, say

if TYPE_CHECKING:
    from services.kit.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The database's schema.")


@app.command("migrate")
def migrate(as_json: Json = False) -> None:
    """Apply the migrations that are missing, and make the partitions of the months to come.

    Rows that found no month's partition are moved into theirs. The login of
    CROSSROADS_DATABASE_READ_URL is made where it is not there, and may read then. Many may run this
    at once: one does the work.
    """
    from services.kit.settings import load_settings  # noqa: PLC0415

    applied, months, login = asyncio.run(_migrate(load_settings()))
    if as_json:
        print_json({"applied": applied, "months": months, "login": login})
        return
    for name in applied:
        say(f"applied {name}")
    if months:
        say(f"made {len(months)} partitions, {months[0]} the first")
    if login:
        say(f"{login} may read for the gateway")
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


async def _migrate(settings: "Settings") -> tuple[list[str], list[str], str | None]:
    from services.kit import migrations  # noqa: PLC0415
    from services.kit.database import open_session  # noqa: PLC0415
    from services.kit.reading_role import ensure_login  # noqa: PLC0415
    from services.records import months  # noqa: PLC0415

    dsn = settings.database_url
    applied = [str(migration) for migration in await migrations.migrate(dsn)]
    login = await ensure_login(dsn, settings.reading_address)
    # Moving rows may take its time; waiting for a lock may not, for writers queue up behind it.
    patient = {"statement_timeout": "0", "transaction_timeout": "0"}
    session = await open_session(
        dsn, application_name="crossroads-migrate", limits=patient, command_seconds=None
    )
    try:
        return applied, await months.ensure(session), login
    finally:
        await session.close()
