"""The demonstration: companies that do not exist, their day, and the proof of what became of it."""

from services.cli.demo.command import app

__all__ = ["app"]
