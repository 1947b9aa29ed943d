"""The one way a command takes: load a world for the batch, decide one at a time, store at once."""
