"""The `crossroads` command."""
