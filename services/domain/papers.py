"""The papers of an order, in all three documents: bills of lading, pictures, drops (R055)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from collections.abc import Mapping as Members
from datetime import datetime
from typing import Any

from schemas.dump import to_json
from services.domain.world import OrderState

Document = dict[str, Any]

BOLS = "bols"
PHOTOS = "bol_photos"
DROPS = "executed_drops"


def kept(order: OrderState, member: str) -> list[Document]:
    """The papers of a mapped order in the master data's words."""
    if order.master_document is None:
        raise ValueError("an order that is not mapped has no papers")
    papers: list[Document] = order.master_document[member]
    return papers


def same(one: Members[str, Any], other: Members[str, Any]) -> bool:
    """Whether two papers say the same, one of them perhaps read from where it was kept (K33)."""
    return to_json(one) == to_json(other)


def filed(
    order: OrderState,
    member: str,
    words: Iterable[Document],
    now: datetime,
    *,
    instead: Collection[int] = (),
) -> OrderState:
    """The order with a paper in each of its documents, an object of its own.

    `words` are the origin's, the master's and the destination's; the paper stands where the first
    of those at `instead`, which go, stood, else at the end.
    """
    documents = (order.origin_document, order.master_document, order.destination_document)
    origin, master, destination = (
        None if document is None else {**document, member: _with(document[member], paper, instead)}
        for document, paper in zip(documents, words, strict=True)
    )
    changed = order.copied()
    changed.origin_document = origin or order.origin_document
    changed.master_document = master
    changed.destination_document = destination
    changed.updated_at = now
    return changed


def _with(papers: list[Document], paper: Document, instead: Collection[int]) -> list[Document]:
    left = [each for at, each in enumerate(papers) if at not in instead]
    left.insert(min(instead, default=len(left)), paper)
    return left
