"""How commands print: JSON or tables on stdout, talk on stderr, nothing that moves a terminal."""

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

# A table that is piped must not be cut to a window nobody has.
_PIPED_WIDTH = 240


def print_json(value: Any) -> None:
    """Prints `value` as one line of JSON; on a terminal over several lines."""
    import orjson  # noqa: PLC0415

    options = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
    if sys.stdout.isatty():
        options |= orjson.OPT_INDENT_2
    typer.echo(orjson.dumps(value, default=str, option=options).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """Prints rows under their columns; what records hold is made safe to look at."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(shown(cell)) for cell in row))
    console().print(table)


def console() -> Any:
    """A console on stdout."""
    from rich.console import Console  # noqa: PLC0415

    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def say(text: str) -> None:
    """Talk: a line on stderr."""
    typer.echo(safe(text), err=True)


def shown(value: Any) -> str:
    """A value as a cell: times in UTC with their age, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z ({age(value)})"
    if isinstance(value, bool):
        return "yes" if value else ""
    return safe(str(value))


def age(moment: datetime, now: datetime | None = None) -> str:
    """How long ago, in the largest unit that says something: 12s, 5m, 3h, 8d ago."""
    seconds = int(((now or datetime.now(UTC)) - moment).total_seconds())
    word = "ago" if seconds >= 0 else "ahead"
    seconds = abs(seconds)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit} {word}"
    return f"{seconds}s {word}"


def safe(text: str) -> str:
    """`text` with everything escaped that could steer a terminal or turn the reading direction."""
    return "".join(character if _is_plain(character) else _escaped(character) for character in text)


def _is_plain(character: str) -> bool:
    # Cc control, Cf format (bidirectional overrides, zero widths), Cs surrogates, Co private use.
    return character == "\n" or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co"}


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
