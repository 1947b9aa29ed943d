"""The wire: every document the hub reads or writes, its topics, codes and operations.

One TypedDict and one pydantic TypeAdapter a document; floor 1, it imports no room.
"""
