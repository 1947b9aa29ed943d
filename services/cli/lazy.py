"""A group whose commands are imported when they are called, and which tells errors in a line.

`crossroads run relay` need not wait for what `crossroads doctor` imports.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from services.cli.errors import explain


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is: the module and the Typer in it; `help` is shown without importing it."""

    module: str
    attribute: str
    help: str

    def load(self, name: str) -> Any:
        """The command itself, imported now. A Typer of one command and no callback is a command."""
        app: typer.Typer = getattr(import_module(self.module), self.attribute)
        several = len(app.registered_commands) != 1 or app.registered_groups
        if several or app.registered_callback is not None:
            command: Any = typer.main.get_group(app)
        else:
            command = typer.main.get_command(app)
        command.name = name
        return command

    @property
    def is_there(self) -> bool:
        """Whether this installation has it."""
        return find_spec(self.module) is not None


class LazyGroup(TyperGroup):
    """The root group. `entries` are its commands; the application sets them."""

    entries: ClassVar[Mapping[str, Entry]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands that are there."""
        del ctx
        return [name for name, entry in self.entries.items() if entry.is_there]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command's name and sentence, enough for lists of commands."""
        del ctx
        entry = self.entries.get(cmd_name)
        if entry is None or not entry.is_there:
            return None
        return TyperCommand(cmd_name, help=entry.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called, imported now."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, None if command is None else self.entries[str(name)].load(str(name)), rest

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; what went wrong is one line on stderr and the exit code."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            told = explain(error)
            if told is None:
                raise
            typer.echo(told.message, err=True)
            raise typer.Exit(told.code) from error
