"""Everything on this machine without Docker: PostgreSQL, a broker, and the hub's processes."""
