"""The status-update process: what arrives on the progress topics goes through the pipeline."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from schemas.topics import PROGRESS
from services.commands.worker import worker
from services.kit import process
from services.kit.process import Parts
from services.kit.settings import Settings

SERVICE = "status-update"
SUMMARY = (
    "Takes in how an order goes: statuses, bills of lading, executed drops and pictures, "
    "and tells the other side."
)


def build(settings: Settings) -> AbstractAsyncContextManager[Parts]:
    """The parts of this process."""
    return worker(settings, service=SERVICE, base=PROGRESS, summary=SUMMARY)


def run(settings: Settings | None = None) -> int:
    """Serve until SIGTERM; the exit code."""
    return process.run(SERVICE, build, settings)
