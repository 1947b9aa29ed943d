"""The order-intake process: what arrives on the orders topics goes through the pipeline."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from schemas.topics import ORDERS
from services.commands.worker import worker
from services.kit import process
from services.kit.process import Parts
from services.kit.settings import Settings

SERVICE = "order-intake"
SUMMARY = (
    "Takes orders in, maps them from the origin's words into the destination's, and sends them; "
    "takes what settles them: cancels, acceptances and rejections by hand, receipts."
)


def build(settings: Settings) -> AbstractAsyncContextManager[Parts]:
    """The parts of this process."""
    return worker(settings, service=SERVICE, base=ORDERS, summary=SUMMARY, tells=True)


def run(settings: Settings | None = None) -> int:
    """Serve until SIGTERM; the exit code."""
    return process.run(SERVICE, build, settings)
