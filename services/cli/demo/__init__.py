"""The demonstration: companies that do not exist, their day, and the proof of what became of it."""
