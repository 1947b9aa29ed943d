"""The change-acceptance process: what arrives on the changes topics goes through the pipeline."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from schemas.topics import CHANGES
from services.commands.worker import worker
from services.kit import process
from services.kit.process import Parts
from services.kit.settings import Settings

SERVICE = "change-acceptance"
SUMMARY = (
    "Takes in changes of an order: updates, proposals, their acceptance and rejection, "
    "and tells the other side."
)


def build(settings: Settings) -> AbstractAsyncContextManager[Parts]:
    """The parts of this process."""
    return worker(settings, service=SERVICE, base=CHANGES, summary=SUMMARY)


def run(settings: Settings | None = None) -> int:
    """Serve until SIGTERM; the exit code."""
    return process.run(SERVICE, build, settings)
