"""The JSON of documents that stand in several places, made once a batch.

An order's document goes into its row, into the answer and into the sync record; a log entry into
its row and into the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from schemas.dump import to_json


class Texts:
    """Texts by document. A document must not change after it was first asked for."""

    def __init__(self) -> None:
        # The document is kept beside its text: its identity must not go to another one.
        self._made: dict[int, tuple[Any, bytes]] = {}

    def of(self, document: Mapping[str, Any]) -> bytes:
        """The JSON of a document."""
        made = self._made.get(id(document))
        if made is None:
            made = self._made[id(document)] = (document, to_json(document))
        return made[1]

    def around(self, members: Mapping[str, Any]) -> bytes:
        """The JSON of an object whose members may be such documents."""
        return to_json(
            {
                name: orjson.Fragment(self.of(value)) if isinstance(value, dict) else value
                for name, value in members.items()
            }
        )
