"""Mapping gaps and who waits on them (X05): registering, closing, waking in pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from services.domain.effects import Gap
from services.kit.database import Connection

PAGE = 1000

_REGISTER = """
INSERT INTO gaps (tenant_id, system, entity, key_kind, key, message, candidates, wake_on)
SELECT tenant_id, system, entity, key_kind, key, message, candidates,
       ARRAY(SELECT jsonb_array_elements_text(wake_on::jsonb))
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::json[],
            $8::text[])
     AS new (tenant_id, system, entity, key_kind, key, message, candidates, wake_on)
ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (tenant_id, system, entity, key_kind, key) WHERE closed_at IS NULL
DO UPDATE SET last_seen = now(), message = excluded.message, candidates = excluded.candidates,
    wake_on = (SELECT array_agg(DISTINCT token)
               FROM unnest(gaps.wake_on || excluded.wake_on) AS token)
RETURNING id, tenant_id, system, entity, key_kind, key
"""

_HOLD = """
INSERT INTO gap_waiters (gap_id, order_id)
SELECT DISTINCT gap_id, order_id FROM unnest($1::bigint[], $2::text[]) AS new (gap_id, order_id)
ORDER BY 1, 2
ON CONFLICT DO NOTHING
"""


async def hold(connection: Connection, waiting: Sequence[tuple[str, Gap]]) -> None:
    """Register the gaps of these (order id, gap) and let each order wait on all of its own.

    The caller holds the gaps' advisory numbers exclusively and has looked for them again since.
    """
    if not waiting:
        return
    gaps = {_identity(gap): gap for _, gap in waiting}
    rows = await connection.fetch(
        _REGISTER,
        *(list(column) for column in zip(*gaps, strict=True)),
        [gap.message for gap in gaps.values()],
        [orjson.dumps(gap.candidates).decode() for gap in gaps.values()],
        [orjson.dumps(gap.wake_on).decode() for gap in gaps.values()],
    )
    ids = {tuple(row)[1:]: row["id"] for row in rows}
    await connection.execute(
        _HOLD,
        [ids[_identity(gap)] for _, gap in waiting],
        [order_id for order_id, _ in waiting],
    )


def _identity(gap: Gap) -> tuple[str, str, str, str, str]:
    return (gap.tenant_id, gap.system, gap.entity, gap.kind, gap.key)


_RELEASE = """
WITH gone AS (
    DELETE FROM gap_waiters WHERE order_id = ANY($1::text[]) RETURNING gap_id
)
SELECT DISTINCT gap_id FROM gone
"""
_LOCK = "SELECT FROM gaps WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE"
_FORGET = """
DELETE FROM gaps AS g WHERE g.id = ANY($1::bigint[])
    AND NOT EXISTS (SELECT FROM gap_waiters AS w WHERE w.gap_id = g.id)
"""


async def release(connection: Connection, order_ids: Iterable[str]) -> list[int]:
    """These orders wait on nothing now; the gaps they waited on, which may be without a waiter."""
    wanted = sorted(set(order_ids))
    if not wanted:
        return []
    rows = await connection.fetch(_RELEASE, wanted)
    return [row["gap_id"] for row in rows]


async def forget(connection: Connection, gap_ids: Sequence[int]) -> None:
    """Delete those of these gaps that hold nobody any more."""
    if gap_ids:
        # Locked in a statement of its own: who began to wait and committed meanwhile is seen then.
        await connection.execute(_LOCK, sorted(gap_ids))
        await connection.execute(_FORGET, sorted(gap_ids))


async def forget_unheld(connection: Connection) -> None:
    """Delete open gaps that hold nobody any more (their orders were canceled, or found a way)."""
    rows = await connection.fetch(
        "SELECT id FROM gaps AS g WHERE NOT EXISTS"
        " (SELECT FROM gap_waiters AS w WHERE w.gap_id = g.id)"
        " ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED"
    )
    await connection.execute(_FORGET, [row["id"] for row in rows])


_CLOSE = """
WITH closing AS (
    SELECT id FROM gaps WHERE closed_at IS NULL AND wake_on && $1::text[] ORDER BY id FOR UPDATE
)
UPDATE gaps AS g SET closed_at = now() FROM closing WHERE g.id = closing.id RETURNING g.id
"""


async def close(connection: Connection, tokens: Iterable[str]) -> int:
    """Close the gaps that an upsert of these tokens may have closed; how many.

    The caller holds the tokens' advisory numbers shared. Nobody is woken yet: see `wake_page`.
    """
    wanted = sorted(set(tokens))
    return len(await connection.fetch(_CLOSE, wanted)) if wanted else 0


_CLOSED = """
SELECT id FROM gaps WHERE closed_at IS NOT NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
# An order somebody works on is left for the next page instead of being waited for: the waker
# never waits, so it can be in no deadlock.
_PAGE = """
SELECT w.order_id FROM gap_waiters AS w JOIN orders AS o ON o.id = w.order_id
WHERE w.gap_id = $1 ORDER BY w.order_id LIMIT $2 FOR UPDATE OF o SKIP LOCKED
"""
_WAKE = "UPDATE orders SET lane_runnable = true WHERE id = ANY($1::text[])"
_WOKEN = "DELETE FROM gap_waiters WHERE gap_id = $1 AND order_id = ANY($2::text[])"
_DRAINED = """
DELETE FROM gaps AS g WHERE g.id = $1
    AND NOT EXISTS (SELECT FROM gap_waiters AS w WHERE w.gap_id = g.id)
"""


async def wake_page(connection: Connection) -> int | None:
    """Wake up to PAGE orders of one closed gap; how many, or None when no gap is closed.

    Every one of them is woken, whatever else it misses: at its turn all its keys are looked up
    again. The gap's row goes with its last waiter.
    """
    gap_id = await connection.fetchval(_CLOSED)
    if gap_id is None:
        return None
    page = [row["order_id"] for row in await connection.fetch(_PAGE, gap_id, PAGE)]
    if page:
        await connection.execute(_WAKE, page)
        await connection.execute(_WOKEN, gap_id, page)
    await connection.execute(_DRAINED, gap_id)
    return len(page)


# A mapping is there, and the gap it would have closed is open all the same.
_CLOSABLE = """
UPDATE gaps SET closed_at = now() WHERE id IN (
    SELECT g.id FROM gaps AS g
    WHERE g.closed_at IS NULL AND (
        (g.key_kind = 'source_id' AND EXISTS (
            SELECT FROM mappings AS m WHERE m.tenant_id = g.tenant_id AND m.system = g.system
            AND m.entity = g.entity AND m.source_id = g.key))
        OR (g.key_kind = 'mapped_goid' AND EXISTS (
            SELECT FROM mappings AS m WHERE m.tenant_id = g.tenant_id AND m.system = g.system
            AND m.goid = g.key)))
    FOR UPDATE SKIP LOCKED
) RETURNING id
"""


async def close_overlooked(connection: Connection) -> int:
    """Close gaps whose mapping is there although nobody closed them; how many. It must stay 0."""
    return len(await connection.fetch(_CLOSABLE))
