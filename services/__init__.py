"""The hub's rooms: machinery, decisions, records, the pipeline, and the processes."""
