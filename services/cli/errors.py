"""What a command says when it fails, and its exit code: 1 failed, 2 usage or settings."""

import sys
from dataclasses import dataclass

from services.kit.errors import CrossroadsError, SettingsInvalid


class CommandFailed(CrossroadsError):
    """The command could not do what it was asked to."""


class CommandMisused(CrossroadsError):
    """The command was asked for something it does not have."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A sentence for stderr and an exit code."""

    message: str
    code: int


def explain(error: BaseException) -> Explanation | None:
    """How to tell an error without a traceback; None for one that nobody foresaw.

    Servers that are away are told as that, by the kit's own rule.
    """
    if isinstance(error, SettingsInvalid | CommandMisused):
        return Explanation(str(error), 2)
    if isinstance(error, CrossroadsError):
        return Explanation(str(error), 1)
    if isinstance(error, BrokenPipeError):
        return None
    if isinstance(error, OSError) and error.filename is not None:
        return Explanation(f"{error.filename}: {error.strerror}", 1)
    # Looked up, not imported: what is not loaded cannot have raised anything.
    if "asyncpg" in sys.modules:
        from services.kit.database import is_away  # noqa: PLC0415

        if is_away(error):
            return Explanation(f"The database does not answer: {_short(error)}", 1)
    if "aiokafka" in sys.modules:
        from aiokafka.errors import KafkaError  # noqa: PLC0415

        if isinstance(error, KafkaError):
            return Explanation(f"The broker does not answer: {_short(error)}", 1)
    return None


def _short(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
