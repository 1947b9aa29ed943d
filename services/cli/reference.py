"""`crossroads reference`, `tenants`, `pairs`, `records` and `mappings` (X10).

Writing goes by Kafka, as the operator, and waits for the answers; reading goes by the database.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import orjson
import typer
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from schemas.reference import ReferenceList
from services.cli.reference_apply import IDLE_SECONDS, Applied, apply
from services.cli.reference_files import UPSERTS, Item, parse_members, read_csv, read_file
from services.domain.reference import KEY_MEMBERS
from services.kit.database import open_pool, transaction
from services.kit.errors import CrossroadsError, SettingsInvalid
from services.kit.settings import Settings, load_settings, variable
from services.local.directory import environment_of_running_stack
from services.records import reference_lists

T = TypeVar("T")

DATABASE = variable("database_url")
# What a command that only writes is opened with where no database is set: it is never connected to.
_NO_DATABASE = "postgresql://nobody@127.0.0.1/none"

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Idle = Annotated[
    float,
    typer.Option("--idle", min=0.1, help="Seconds without answers until what waits is left."),
]

reference_app = typer.Typer(no_args_is_help=True, help="Reference data as files.")


@reference_app.command("apply")
def apply_files(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, metavar="FILE…")],
    as_json: AsJson = False,
    idle: Idle = IDLE_SECONDS,
) -> None:
    """Upsert everything in YAML or JSON files; 1 if anything was refused."""
    with _told():
        items = [item for file in files for item in read_file(file)]
    _send(items, as_json=as_json, idle=idle)


@reference_app.command("import")
def import_csv(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE.csv")],
    entity: Annotated[str, typer.Option("--entity", help=f"One of {', '.join(UPSERTS)}.")],
    as_json: AsJson = False,
    idle: Idle = IDLE_SECONDS,
) -> None:
    """Upsert the rows of a CSV file; 1 if anything was refused."""
    if entity not in UPSERTS:
        raise typer.BadParameter(f"one of {', '.join(UPSERTS)}", param_hint="--entity")
    with _told():
        items = read_csv(file, entity)
    _send(items, as_json=as_json, idle=idle)


@reference_app.command("export")
def export(as_json: AsJson = False) -> None:
    """Print all reference data as a file that `apply` takes: YAML, or JSON."""
    with _told():
        whole = asyncio.run(_export(_settings()))
    if as_json:
        _print_json(whole)
    else:
        yaml.safe_dump(whole, sys.stdout, sort_keys=False, allow_unicode=True)


def list_app(name: str) -> typer.Typer:
    """`list`, `show`, `upsert`, and `deactivate` where there is such a thing, of one list."""
    members = KEY_MEMBERS[UPSERTS[name]]
    app = typer.Typer(no_args_is_help=True, help=f"{name.capitalize()}, by {' '.join(members)}.")

    @app.command("list")
    def _list(
        filters: Annotated[
            list[str] | None, typer.Argument(metavar="[MEMBER=VALUE…]", help="Exact; all hold.")
        ] = None,
        limit: Annotated[int, typer.Option(min=1, max=reference_lists.MAX_LIMIT)] = 100,
        cursor: Annotated[str | None, typer.Option(help="`next` of the page before.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Print one page, ordered by key."""
        with _told():
            wanted = dict(_split(word) for word in filters or ())
            found = asyncio.run(_page(_settings(), name, wanted, limit, cursor))
        _print_json(found) if as_json else _print_table(found)

    @app.command("show")
    def _show(
        key: Annotated[list[str], typer.Argument(metavar=" ".join(members).upper())],
        as_json: AsJson = False,
    ) -> None:
        """Print one item; 1 if there is none."""
        with _told():
            found = _one(name, key)
        if as_json:
            _print_json(found)
        else:
            yaml.safe_dump(found, sys.stdout, sort_keys=False, allow_unicode=True)

    @app.command("upsert")
    def _upsert(
        values: Annotated[list[str], typer.Argument(metavar="MEMBER=VALUE…", help="YAML values.")],
        as_json: AsJson = False,
        idle: Idle = IDLE_SECONDS,
    ) -> None:
        """Create or update one item; 1 if it was refused."""
        with _told():
            item = Item(UPSERTS[name], parse_members(values), "the command line")
        _send([item], as_json=as_json, idle=idle)

    if name in ("tenants", "records"):

        @app.command("deactivate")
        def _deactivate(
            key: Annotated[list[str], typer.Argument(metavar=" ".join(members).upper())],
            as_json: AsJson = False,
            idle: Idle = IDLE_SECONDS,
        ) -> None:
            """Set one item inactive, all else as it is; `upsert … active=true` undoes it."""
            with _told():
                body = {**_one(name, key), "active": False}
            _send([Item(UPSERTS[name], body, "the command line")], as_json=as_json, idle=idle)

    return app


tenants_app = list_app("tenants")
pairs_app = list_app("pairs")
records_app = list_app("records")
mappings_app = list_app("mappings")


class _told:  # noqa: N801 — read as a word: `with _told():`
    """Ends the command with what went wrong on stderr: 2 for settings, 1 for anything else."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SettingsInvalid):
            _end(str(error), 2)
        if isinstance(error, CrossroadsError | OSError):
            _end(str(error), 1)


def _end(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(code)


def _settings(*, database: bool = True) -> Settings:
    """The settings; what is not set is taken from the stack that runs here, if one does."""
    overrides = {
        name.removeprefix("CROSSROADS_").lower(): value
        for name, value in environment_of_running_stack().items()
        if name not in os.environ
    }
    try:
        return load_settings(overrides)
    except SettingsInvalid as error:
        if database or any(not problem.startswith(DATABASE) for problem in error.problems):
            raise
        return load_settings({**overrides, "database_url": _NO_DATABASE})


def _send(items: Sequence[Item], *, as_json: bool, idle: float) -> None:
    with _told():
        applied = _run(_settings(database=False), items, idle)
    if as_json:
        _print_json({"items": [one.as_json() for one in applied]})
    else:
        _print_applied(applied)
    if any(one.failed for one in applied):
        raise typer.Exit(1)


def _run(settings: Settings, items: Sequence[Item], idle: float) -> list[Applied]:
    console = Console(stderr=True)
    if not console.is_terminal:
        return _await(apply(settings, items, idle_seconds=idle))
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

        return _await(apply(settings, items, idle_seconds=idle, heard=heard))


def _await(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _print_applied(applied: Sequence[Applied]) -> None:
    """A line for each item that was not simply applied, then the sum."""
    for one in applied:
        if one.outcome != "done":
            what = one.item.operation.removeprefix("reference.upsert-")
            place = f"{one.item.place}: {what} {one.item.label}"
            print(f"{one.outcome}\t{place}\t{_sentence(one.detail)}")
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
        raise typer.BadParameter(f"{word!r} is not member=value")
    return member, value


def _one(name: str, key: Sequence[str]) -> dict[str, Any]:
    """The item of this key (one text for each member of it), or of this id."""
    members = KEY_MEMBERS[UPSERTS[name]]
    if len(key) == len(members):
        wanted = dict(zip(members, key, strict=True))
    elif len(key) == 1:
        wanted = {"id": key[0]}
    else:
        raise typer.BadParameter(f"the key is {' '.join(members)}")
    found = asyncio.run(_page(_settings(), name, wanted, 1, None))["items"]
    if not found:
        _end(f"There is no {name.removesuffix('s')} {' '.join(key)}.", 1)
    return found[0]


async def _page(
    settings: Settings, name: str, filters: dict[str, str], limit: int, cursor: str | None
) -> ReferenceList:
    pool = await open_pool(settings.reading_address, application_name="crossroads cli", max_size=1)
    async with pool, transaction(pool) as connection:
        return await reference_lists.page(
            connection, name, filters=filters, limit=limit, cursor=cursor
        )


async def _export(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    pool = await open_pool(settings.reading_address, application_name="crossroads cli", max_size=1)
    async with (
        pool,
        pool.acquire(timeout=10) as connection,
        # One snapshot for all pages: a pair is not without its tenant.
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        return await reference_lists.export(connection)


def _print_json(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value).decode() + "\n")


def _print_table(found: ReferenceList) -> None:
    items = found["items"]
    if not items:
        sys.stderr.write("nothing\n")
        return
    table = Table(*items[0], box=None)
    for item in items:
        table.add_row(*(_cell(value) for value in item.values()))
    Console().print(table)
    if found["next"]:
        sys.stderr.write(f"more: --cursor {found['next']}\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
