"""Parking: rows whose topic takes nothing now stand aside, with what must not overtake them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from services.kit.database import Session
from services.kit.ids import event_id
from services.kit.outbox import (
    PUBLISHED_CHANNEL,
    RowKind,
    draw,
    pack_headers,
    unpack_headers,
)
from services.relay.rows import Row

_COLUMNS = (
    "id, accepted_ms, stored_at, shard, kind, told_before, topic, stream, "
    "cause, key, headers, value"
)

_PARK = f"""
WITH moved AS (DELETE FROM outbox WHERE id = ANY($1::bigint[]) RETURNING *)
INSERT INTO outbox_parked ({_COLUMNS}, after_id, told, refused)
SELECT {_COLUMNS}, coalesce(given.answer_id, moved.after_id), coalesce(given.told, moved.told),
       given.refused
FROM moved
JOIN unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::text[])
     AS given (row_id, answer_id, told, refused) ON given.row_id = moved.id
"""  # noqa: S608 - only names of our own columns

_TELL = """
INSERT INTO outbox (id, shard, kind, told_before, topic, cause, key, headers, value)
SELECT id, shard, 1, true, topic, cause, key, headers, value
FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[],
            $7::bytea[]) AS told (id, shard, topic, cause, key, headers, value)
"""

_JOINS = """
SELECT new.id
FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::bytea[]) AS new (id, kind, stream, cause)
WHERE EXISTS (SELECT FROM outbox_parked p WHERE p.stream = new.stream AND p.id < new.id)
   OR (new.kind = 2
       AND EXISTS (SELECT FROM outbox_parked p WHERE p.cause = new.cause AND p.kind IN (0, 1)))
"""

_RESUME = f"""
WITH page AS (
    SELECT id FROM outbox_parked AS p
    WHERE shard = ANY($1::smallint[]) AND topic <> ALL($2::text[]) AND refused IS NULL
      AND NOT EXISTS (SELECT FROM outbox_parked AS head
                      WHERE head.stream = p.stream AND head.id < p.id AND head.refused IS NOT NULL)
      AND (kind <> 2
           OR NOT EXISTS (SELECT FROM outbox_parked AS s WHERE s.cause = p.cause AND s.kind < 2))
    ORDER BY id LIMIT $3),
moved AS (DELETE FROM outbox_parked USING page WHERE outbox_parked.id = page.id
          RETURNING outbox_parked.*)
INSERT INTO outbox ({_COLUMNS}, after_id, told) SELECT {_COLUMNS}, after_id, told FROM moved
RETURNING id
"""  # noqa: S608 - only names of our own columns

_FORGIVE = """
UPDATE outbox_parked SET refused = NULL
WHERE id IN (SELECT id FROM outbox_parked
             WHERE refused IS NOT NULL AND shard = ANY($1::smallint[]) ORDER BY id LIMIT $2)
"""

_ANY = "SELECT EXISTS (SELECT FROM outbox_parked WHERE shard = ANY($1::smallint[]))"

_PARKED_MESSAGE = (
    "The command was carried out, but the destination's topic does not take records now; "
    "it is sent when the topic does."
)


def to_park(
    rows: Sequence[Row],
    *,
    closed_topics: Collection[str],
    joining: Collection[int],
    refused: Collection[int],
) -> list[Row]:
    """Which of `rows` (by id, none of them published) must stand aside.

    Those of closed topics, those the broker refused by themselves and those found to belong to
    parked ones (`joining`); with them the later syncs of the same streams and the results of the
    commands whose sync or waiting rows are among them. Nothing else.
    """
    streams: set[str] = set()
    causes: set[bytes] = set()
    parked: list[Row] = []
    for row in rows:
        behind = row.stream in streams or (row.kind == RowKind.FINAL and row.cause in causes)
        if not (behind or row.topic in closed_topics or row.id in joining or row.id in refused):
            continue
        parked.append(row)
        if row.stream is not None:
            streams.add(row.stream)
        if row.cause is not None and row.kind in (RowKind.SYNC, RowKind.WAITING):
            causes.add(row.cause)
    return parked


def told_value(row: Row) -> bytes | None:
    """The waiting answer (`delivery.parked`) for a parked final result; None if none is due.

    None is due where something was told before, where no waiting answer may be told, or where the
    row is no final result. Derived from the final value alone: told again, it is the
    same bytes.
    """
    silent = row.told_before or row.told is not None or row.cause is None
    if row.kind != RowKind.FINAL or row.value is None or silent:
        return None
    final: dict[str, Any] = orjson.loads(row.value or b"null")
    body = final.get("body")
    shown = (
        dict(body) if isinstance(body, dict) and final.get("http_status") == 200 else {"log": None}
    )
    shown |= {"status": "pending", "message": _PARKED_MESSAGE}
    return orjson.dumps(
        final | {"outcome": "waiting", "http_status": 200, "code": "delivery.parked", "body": shown}
    )


def told_headers(row: Row) -> bytes:
    """The final result's headers with the id of the waiting answer (n = 0)."""
    headers = unpack_headers(row.headers)
    known = dict(headers)
    kind, receiver = known["ce_type"] or b"", known["ce_desttenant"] or b""
    new_id = event_id(row.cause or b"", kind.decode(), receiver.decode(), 0).encode()
    return pack_headers([(name, new_id if name == "ce_id" else value) for name, value in headers])


async def park(
    connection: Session,
    rows: Sequence[Row],
    refused: Mapping[int, str],
    doubtful: Collection[int] = (),
) -> None:
    """Move rows aside in one transaction, and store the waiting answers that are due.

    `refused` says for rows that the broker refused by themselves, why. Of `doubtful` ones nothing
    is told: a final result that is on its topic already must not be followed by a waiting one. The
    answers are rows of the outbox like any other, and their final results come after them; where
    their topic is closed too they are parked when they are fetched.
    """
    told = {
        row.id: value
        for row in rows
        if row.id not in doubtful and (value := told_value(row)) is not None
    }
    async with connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit = on")
        answers: dict[int, int] = {}
        if told:
            ids, _ = await draw(connection, len(told))
            answers = dict(zip(told, ids, strict=True))
        await connection.execute(
            _PARK,
            [row.id for row in rows],
            [answers.get(row.id) for row in rows],
            [told.get(row.id) for row in rows],
            [refused.get(row.id) for row in rows],
        )
        speaking = [row for row in rows if row.id in told]
        if speaking:
            await connection.execute(
                _TELL,
                [answers[row.id] for row in speaking],
                [row.shard for row in speaking],
                [row.topic for row in speaking],
                [row.cause for row in speaking],
                [row.key for row in speaking],
                [told_headers(row) for row in speaking],
                [told[row.id] for row in speaking],
            )
            # Whoever waits for the parked answer may read `told` now, also where the waiting
            # record itself cannot go out.
            await connection.execute("SELECT pg_notify($1, '')", PUBLISHED_CHANNEL)


async def joining(connection: Session, rows: Sequence[Row]) -> set[int]:
    """Which of `rows` follow a parked row of their stream, or are results of a parked command."""
    found = await connection.fetch(
        _JOINS,
        [row.id for row in rows],
        [int(row.kind) for row in rows],
        [row.stream for row in rows],
        [row.cause for row in rows],
    )
    return {record["id"] for record in found}


async def resume_page(
    connection: Session, shards: Sequence[int], closed_topics: Sequence[str], limit: int
) -> list[int]:
    """Move up to `limit` rows of topics that answer back into the outbox, lowest ids first.

    A final result comes after its command's other rows, a row behind a refused one stays. The ids
    moved; none means there is nothing to move now.
    """
    moved = await connection.fetch(_RESUME, shards, closed_topics, limit)
    return [record["id"] for record in moved]


async def forgive_refused(connection: Session, shards: Sequence[int], limit: int) -> None:
    """Let up to `limit` records that were refused by themselves be tried again."""
    await connection.execute(_FORGIVE, shards, limit)


async def any_parked(connection: Session, shards: Sequence[int]) -> bool:
    """Whether anything of these shards is parked."""
    found: bool = await connection.fetchval(_ANY, shards)
    return found
