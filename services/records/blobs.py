"""Stored pictures: who may read them, their bytes, and which orders refer to them (R060, X09).

Rows describe them; their bytes are behind `BlobStore`, for an object store to take later. A picture
that no order refers to is forgotten some time after it was stored or named last (`forget_page`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import asyncpg

from services.domain.world import Blob
from services.kit.database import Connection, Session, retry_conflicts

Content = Callable[[], AsyncIterator[bytes]]
"""The bytes of a picture in pieces, from the beginning each time it is called."""

# Days until a picture is forgotten that no order refers to.
UNLINKED_DAYS = 30
_A_PAGE = 100

_COLUMNS = "id, tenant_id, media_type, size, sha256"
# Whoever names an unlinked picture may wait with it in a lane, and must find it at its turn.
_NAMED = """
UPDATE blobs AS b SET created_at = now()
FROM (SELECT id FROM blobs
      WHERE id = ANY($1::text[]) AND NOT linked AND created_at < now() - interval '1 day'
      ORDER BY id FOR NO KEY UPDATE) AS old
WHERE b.id = old.id
"""
_LOAD = f"SELECT {_COLUMNS} FROM blobs WHERE id = ANY($1::text[])"
_LINK = """
INSERT INTO blob_orders (blob_id, order_id)
SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING
"""
_LINKED = """
UPDATE blobs AS b SET linked = true
FROM (SELECT id FROM blobs WHERE id = ANY($1::text[]) AND NOT linked
      ORDER BY id FOR NO KEY UPDATE) AS fresh
WHERE b.id = fresh.id
"""
_READABLE = f"""
SELECT {_COLUMNS} FROM blobs AS b
WHERE b.id = $2
  AND (b.tenant_id = ANY($1::text[])
       OR EXISTS (SELECT FROM blob_orders AS r JOIN orders AS o ON o.id = r.order_id
                  WHERE r.blob_id = b.id
                    AND (o.origin_id = ANY($1::text[]) OR o.destination_id = ANY($1::text[]))))
"""


class BlobStore(Protocol):
    """Where the bytes are."""

    async def put(self, connection: Connection, blob: Blob, content: Content) -> None:
        """Keep a picture with its bytes, in the transaction of `connection`.

        The same id again is no error: it is as if it had been stored only now. Raises ValueError
        where there are not as many bytes as the picture says.
        """

    async def get(self, connection: Connection, blob_id: str, start: int, length: int) -> bytes:
        """So many bytes of a picture from `start` on; fewer at its end, none beyond or of none."""


class PostgresBlobs:
    """Bytes in the rows themselves, written and read in pieces of what the caller holds."""

    _AGAIN = "UPDATE blobs SET created_at = now() WHERE id = $1"
    _PIECE = "SELECT substring(content FROM $2 FOR $3) FROM blobs WHERE id = $1"

    async def put(self, connection: Connection, blob: Blob, content: Content) -> None:
        """See BlobStore."""
        while (await connection.execute(self._AGAIN, blob.id)) == "UPDATE 0":
            try:
                async with connection.transaction():
                    await connection.copy_to_table(
                        "blobs",
                        source=_copied(blob, content),
                        columns=[*_COLUMNS.split(", "), "content"],
                        format="binary",
                    )
            except asyncpg.UniqueViolationError:
                # Stored by somebody else meanwhile, or forgotten again: looked at anew.
                continue
            return

    async def get(self, connection: Connection, blob_id: str, start: int, length: int) -> bytes:
        """See BlobStore."""
        piece: bytes | None = await connection.fetchval(self._PIECE, blob_id, start + 1, length)
        return piece or b""


STORE: BlobStore = PostgresBlobs()


async def load(connection: Connection, ids: Iterable[str]) -> dict[str, Blob]:
    """The pictures there are of these ids; those no order refers to are kept for longer again."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    await connection.execute(_NAMED, wanted)
    return {row["id"]: Blob(**row) for row in await connection.fetch(_LOAD, wanted)}


async def store(connection: Connection, blob: Blob, content: bytes) -> None:
    """Keep a picture whose bytes are at hand; the same again is no error."""

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    await STORE.put(connection, blob, pieces)


async def link(connection: Connection, pairs: Sequence[tuple[str, str]]) -> None:
    """Make stored pictures readable to both tenants of an order, from (blob id, order id)."""
    if not pairs:
        return
    ordered = sorted(set(pairs))
    blob_ids = [blob_id for blob_id, _ in ordered]
    await connection.execute(_LINKED, blob_ids)
    await connection.execute(_LINK, blob_ids, [order_id for _, order_id in ordered])


async def readable(
    connection: Connection, tenant_ids: Collection[str], blob_id: str
) -> Blob | None:
    """The picture, if one of these tenants stored it or an order of theirs refers to it.

    None for one that is not there and for one of others alike, by the same query (guarantee 6).
    """
    row = await connection.fetchrow(_READABLE, list(tenant_ids), blob_id)
    return None if row is None else Blob(**row)


# A command that waits may name any picture of its tenant, and a lane behind a gap never ends.
_FORGET = """
DELETE FROM blobs WHERE id IN (
    SELECT b.id FROM blobs AS b
    WHERE NOT b.linked AND b.created_at < $1
      AND NOT EXISTS (SELECT FROM lane_commands AS l WHERE l.tenant_id = b.tenant_id
                        AND l.operation = 'order.save-bol-image')
    ORDER BY b.created_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
"""


async def forget_page(session: Session, *, days: int = UNLINKED_DAYS) -> int:
    """Forget some pictures nobody referred to for `days`; how many, 0 when there are no more.

    `session` is in no transaction.
    """
    before: datetime = await session.fetchval("SELECT now()") - timedelta(days=days)
    forgotten = 0
    async for attempt in retry_conflicts():
        with attempt:
            done = await session.execute(_FORGET, before, _A_PAGE)
            forgotten = int(done.rpartition(" ")[2])
    return forgotten


async def _copied(blob: Blob, content: Content) -> AsyncIterator[bytes]:
    """One row as COPY's binary format has it, its last field as long as the picture says."""
    members = (blob.id, blob.tenant_id, blob.media_type, blob.size, blob.sha256)
    fields = [
        member.to_bytes(4, "big") if isinstance(member, int) else member.encode()
        for member in members
    ]
    yield b"".join(
        (
            b"PGCOPY\n\xff\r\n\x00",
            bytes(8),
            (len(fields) + 1).to_bytes(2, "big"),
            *(len(field).to_bytes(4, "big") + field for field in fields),
            blob.size.to_bytes(4, "big"),
        )
    )
    left = blob.size
    async for piece in content():
        left -= len(piece)
        yield piece
    if left:
        # The server would take the trailer for the last bytes, or these for a trailer.
        raise ValueError(f"the picture {blob.id} has {blob.size - left} bytes, not {blob.size}")
    yield b"\xff\xff"
