"""Decisions: pure functions from a command and the world as it stands to the effects it has."""
