"""Machinery without an order word in it: the floor the rest of the hub stands on."""
