"""`crossroads reference`, `tenants`, `pairs`, `records` and `mappings` (X10).

Writing goes by Kafka, as the operator, and waits for the answers; reading goes by the database.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from schemas.reference import ReferenceList
from services.cli.errors import CommandFailed, CommandMisused
from services.cli.output import Json, print_json, print_table, safe, say
from services.cli.reference_apply import IDLE_SECONDS, Applied, apply
from services.cli.reference_files import (
    UPSERTS,
    Item,
    parse_members,
    read_csv,
    read_file,
    without_id,
)
from services.cli.session import database
from services.domain.reference import KEY_MEMBERS
from services.kit.errors import SettingsInvalid
from services.kit.settings import Settings, load_settings, variable
from services.records import reference_lists
from services.records.reference_lists import ListRequestInvalid

DATABASE = variable("database_url")
# What a command that only writes is opened with where no database is set: never connected to.
_NO_DATABASE = "postgresql://nobody@127.0.0.1/none"
_COMMAND_LINE = "the command line"

Idle = Annotated[
    float,
    typer.Option("--idle", min=0.1, help="Seconds without answers until what waits is left."),
]

reference_app = typer.Typer(no_args_is_help=True, help="Reference data as files.")


@reference_app.command("apply")
def apply_files(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, metavar="FILE…")],
    as_json: Json = False,
    idle: Idle = IDLE_SECONDS,
) -> None:
    """Upsert everything in YAML or JSON files; 1 if anything was refused.

    Returns when every item is applied. What waits for something that no file has is left waiting.
    """
    _send([item for file in files for item in read_file(file)], as_json=as_json, idle=idle)


@reference_app.command("import")
def import_csv(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE.csv")],
    entity: Annotated[str, typer.Option("--entity", help=f"One of {', '.join(UPSERTS)}.")],
    as_json: Json = False,
    idle: Idle = IDLE_SECONDS,
) -> None:
    """Upsert the rows of a CSV file; 1 if anything was refused."""
    if entity not in UPSERTS:
        raise CommandMisused(f"--entity is one of {', '.join(UPSERTS)}")
    _send(read_csv(file, entity), as_json=as_json, idle=idle)


@reference_app.command("export")
def export(as_json: Json = False) -> None:
    """Print all reference data as a file that `apply` takes: YAML, or JSON."""
    _print_whole(asyncio.run(_export(load_settings())), as_json=as_json)


def list_app(name: str) -> typer.Typer:
    """`list`, `show`, `upsert`, and `deactivate` where there is such a thing, of one list."""
    members = KEY_MEMBERS[UPSERTS[name]]
    key_words = " ".join(members).upper()
    app = typer.Typer(no_args_is_help=True, help=f"{name.capitalize()}, by {' '.join(members)}.")

    @app.command("list")
    def _list(
        filters: Annotated[
            list[str] | None, typer.Argument(metavar="[MEMBER=VALUE…]", help="Exact; all hold.")
        ] = None,
        limit: Annotated[int, typer.Option(min=1, max=reference_lists.MAX_LIMIT)] = 100,
        cursor: Annotated[str | None, typer.Option(help="`next` of the page before.")] = None,
        as_json: Json = False,
    ) -> None:
        """Print one page, ordered by key."""
        wanted = dict(_split(word) for word in filters or ())
        found = asyncio.run(_page(load_settings(), name, wanted, limit, cursor))
        if as_json:
            print_json(found)
        else:
            _print_page(found)

    @app.command("show")
    def _show(
        key: Annotated[list[str], typer.Argument(metavar=key_words)], as_json: Json = False
    ) -> None:
        """Print the item of this key, or of this id; 1 if there is none."""
        _print_whole(_one(name, key), as_json=as_json)

    @app.command("upsert")
    def _upsert(
        values: Annotated[list[str], typer.Argument(metavar="MEMBER=VALUE…", help="YAML values.")],
        as_json: Json = False,
        idle: Idle = IDLE_SECONDS,
    ) -> None:
        """Create or update one item; 1 if it was refused."""
        item = Item(UPSERTS[name], parse_members(values), _COMMAND_LINE)
        _send([item], as_json=as_json, idle=idle)

    if name in ("tenants", "records"):

        @app.command("deactivate")
        def _deactivate(
            key: Annotated[list[str], typer.Argument(metavar=key_words)],
            as_json: Json = False,
            idle: Idle = IDLE_SECONDS,
        ) -> None:
            """Make one item inactive, all else as it is; `upsert … active=true` undoes it."""
            body = {**without_id(name, _one(name, key)), "active": False}
            _send([Item(UPSERTS[name], body, _COMMAND_LINE)], as_json=as_json, idle=idle)

    return app


tenants_app = list_app("tenants")
pairs_app = list_app("pairs")
records_app = list_app("records")
mappings_app = list_app("mappings")


def writing_settings() -> Settings:
    """The settings of a command that needs Kafka alone: a database need not be set."""
    try:
        return load_settings()
    except SettingsInvalid as error:
        if any(not problem.startswith(DATABASE) for problem in error.problems):
            raise
        return load_settings({"database_url": _NO_DATABASE})


def _send(items: Sequence[Item], *, as_json: bool, idle: float) -> None:
    applied = _applied(writing_settings(), items, idle)
    if as_json:
        print_json({"items": [one.as_json() for one in applied]})
    else:
        _print_applied(applied)
    failed = sum(one.failed for one in applied)
    if failed:
        raise CommandFailed(f"{failed} of {len(applied)} were not applied")


def _applied(settings: Settings, items: Sequence[Item], idle: float) -> list[Applied]:
    console = Console(stderr=True)
    if not console.is_terminal:
        return asyncio.run(apply(settings, items, idle_seconds=idle))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("applied", total=len(items))

        def heard(all_of_them: Sequence[Applied]) -> None:
            waiting = sum(one.outcome == "waiting" for one in all_of_them)
            progress.update(
                bar,
                completed=sum(one.final for one in all_of_them),
                description=f"applied ({waiting} waiting)" if waiting else "applied",
            )

        return asyncio.run(apply(settings, items, idle_seconds=idle, heard=heard))


def _print_applied(applied: Sequence[Applied]) -> None:
    """A line for each item that was not simply applied, then the sum."""
    for one in applied:
        if one.outcome != "done":
            what = one.item.operation.removeprefix("reference.upsert-")
            line = f"{one.outcome}: {what} {one.item.label} ({one.item.place})"
            print(safe(f"{line}: {_sentence(one.detail)}"))
    counts = {
        word: sum(one.outcome == word for one in applied)
        for word in ("done", "waiting", "refused", "failed")
    }
    print(", ".join(f"{count} {word}" for word, count in counts.items() if count) or "nothing")


def _sentence(detail: Any) -> str:
    if not isinstance(detail, list):
        return str(detail or "")
    return "; ".join(
        f"{'.'.join(str(part) for part in entry['loc'][1:])}: {entry['msg']}" for entry in detail
    )


def _split(word: str) -> tuple[str, str]:
    member, equals, value = word.partition("=")
    if not equals:
        raise CommandMisused(f"{word!r} is not member=value")
    return member, value


def _one(name: str, key: Sequence[str]) -> dict[str, Any]:
    """The item of this key (one text for each member of it), or of this id."""
    members = KEY_MEMBERS[UPSERTS[name]]
    if len(key) == len(members):
        wanted = dict(zip(members, key, strict=True))
    elif len(key) == 1:
        wanted = {"id": key[0]}
    else:
        raise CommandMisused(f"the key of {name} is {' '.join(members)}")
    found = asyncio.run(_page(load_settings(), name, wanted, 1, None))["items"]
    if not found:
        raise CommandFailed(f"There is nothing like this among the {name}: {' '.join(key)}")
    return found[0]


async def _page(
    settings: Settings, name: str, filters: dict[str, str], limit: int, cursor: str | None
) -> ReferenceList:
    async with database(settings) as connection:
        try:
            return await reference_lists.page(
                connection, name, filters=filters, limit=limit, cursor=cursor
            )
        except ListRequestInvalid as error:
            raise CommandMisused(str(error)) from error


async def _export(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    # One snapshot for all pages: a pair is not without its tenant.
    async with database(settings) as connection:
        return await reference_lists.export(connection)


def _print_whole(value: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        # What steers a terminal is escaped: YAML knows it as the same text.
        yaml.safe_dump(value, sys.stdout, sort_keys=False, allow_unicode=False)


def _print_page(found: ReferenceList) -> None:
    items = found["items"]
    if not items:
        say("nothing")
        return
    print_table(tuple(items[0]), [[_cell(value) for value in item.values()] for item in items])
    if found["next"]:
        say(f"more: --cursor {found['next']}")


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(str(part.get("name") or part.get("goid") or part) for part in value)
    return value
