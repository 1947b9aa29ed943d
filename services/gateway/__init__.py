"""HTTP: one more producer of the same commands, and the way to read orders and reference data."""
