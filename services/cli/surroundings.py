"""Where a command's settings come from: set variables, `.env`, and the stack that runs here."""

import os
from collections.abc import Mapping
from pathlib import Path

ENV_FILE = Path(".env")
# Where the first leads means nothing without the second: they are taken from one place.
_BELONGS_TO = {"CROSSROADS_DATABASE_READ_URL": "CROSSROADS_DATABASE_URL"}


def join_running_stack(data: Path, *, without: tuple[str, ...] = ()) -> None:
    """Lead this process to the stack that runs on `data`, if one does.

    What is set already, as a variable or in `.env`, stays; `without` names variables not to take.
    """
    from services.local.directory import environment_of_running_stack  # noqa: PLC0415

    found = environment_of_running_stack(data)
    if found:
        # An empty variable sets nothing, so it does not hide what `.env` says.
        given = {**_file_values(), **{name: text for name, text in os.environ.items() if text}}
        os.environ.update(missing(found, given, without))


def missing(
    found: Mapping[str, str], given: Mapping[str, str | None], without: tuple[str, ...] = ()
) -> dict[str, str]:
    """Those of `found` that `given` does not set; an empty value sets nothing.

    A reading address is not taken for a database that was given.
    """
    return {
        name: value
        for name, value in found.items()
        if not given.get(name) and not given.get(_BELONGS_TO.get(name, "")) and name not in without
    }


def _file_values() -> dict[str, str | None]:
    from dotenv import dotenv_values  # noqa: PLC0415

    return dict(dotenv_values(ENV_FILE)) if ENV_FILE.is_file() else {}
