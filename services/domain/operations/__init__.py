"""One file an operation, each with two pure functions: `needs` and `decide`."""
