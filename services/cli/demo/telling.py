"""How the story is told: on a terminal with colours and bars, elsewhere in plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from structlog.typing import EventDict, WrappedLogger

from services.cli.output import safe
from services.kit.errors import CrossroadsError

# A pipe has no width; lines are for people and grep, not for a window.
_PIPED_WIDTH = 160
_STEPS = 4

Advance = Callable[[int], None]


class NotAsItShould(CrossroadsError):
    """Something in the demonstration is not as it should be."""


class Teller:
    """Tells what happens, and counts what was checked. `began` is when the story's clock starts."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(
            file=stream, highlight=False, width=None if stream.isatty() else _PIPED_WIDTH
        )
        self.began = time.monotonic()
        self.checks = 0
        self._acts = 0

    @property
    def seconds(self) -> float:
        """How long the story has been told."""
        return time.monotonic() - self.began

    def act(self, title: str) -> None:
        """The heading of the next act, with how long the story has been told."""
        self._acts += 1
        self._console.print()
        heading = Text(safe(f"{self._acts}. {title}"), style="bold cyan")
        heading.append(f"   {self.seconds:.0f} s", style="dim")
        self._console.print(heading, soft_wrap=True)

    def say(self, text: str) -> None:
        """A sentence."""
        self._line(f"   {text}", "")

    def quote(self, text: str) -> None:
        """Something to try, or a piece of what was sent: lines as they are."""
        for line in text.splitlines():
            self._line(f"     {line}", "dim")

    def overhear(self) -> None:
        """Let what is logged from now on stand in the story: warnings and worse, a line each."""
        structlog.configure(
            processors=[_in_words],
            wrapper_class=structlog.make_filtering_bound_logger("warning"),
            logger_factory=lambda *_: _Overheard(self),
            cache_logger_on_first_use=False,
        )

    def check(self, text: str, holds: bool, why: str = "") -> None:
        """Tell what was checked and holds.

        Raises:
            NotAsItShould: it does not.
        """
        if not holds:
            self._line(f"   ✗ {text}", "bold red")
            raise NotAsItShould(f"Not as it should be: {text}. {why}".strip())
        self.checks += 1
        self._line(f"   ✓ {text}", "green")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table, its cells as text."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(safe(str(cell))) for cell in row))
        self._console.print(table)

    @contextmanager
    def progress(self, text: str, total: int) -> Iterator[Advance]:
        """Yields a function that takes how far it is; a bar, or a line at each quarter."""
        if self._console.is_terminal:
            columns = (
                TextColumn("   {task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
            )
            with Progress(*columns, console=self._console, transient=True) as bar:
                task = bar.add_task(text, total=total)
                yield lambda done: bar.update(task, completed=done)
            return
        told = 0

        def advance(done: int) -> None:
            nonlocal told
            quarter = _STEPS * done // max(total, 1)
            if quarter > told:
                told = quarter
                self.say(f"{text}: {done} of {total}")

        yield advance

    def _line(self, text: str, style: str) -> None:
        self._console.print(Text(safe(text), style=style), soft_wrap=True)


class _Overheard:
    """A logger whose lines become part of the story."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def warning(self, line: str) -> None:
        self._teller.quote(line)

    error = critical = exception = warning


def _in_words(_: WrappedLogger, __: str, event: EventDict) -> str:
    sentence = event.pop("event")
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in event.items())
    return f"({sentence}: {told})" if told else f"({sentence})"
