"""Counts of what leaves no row of its own: duplicates answered, dead letters stored."""

from __future__ import annotations

from collections.abc import Mapping

from services.kit.database import Connection

DUPLICATE = "duplicate"
DEAD_LETTER = "dead_letter"
# Woken commands that had their turn.
TURN = ("turn", "commands")

_ADD = """
INSERT INTO tallies (service, kind, reason, n)
SELECT $1, kind, reason, n
FROM unnest($2::text[], $3::text[], $4::bigint[]) AS new (kind, reason, n)
ORDER BY kind, reason
ON CONFLICT (service, kind, reason) DO UPDATE SET n = tallies.n + excluded.n
"""


async def add(connection: Connection, service: str, counts: Mapping[tuple[str, str], int]) -> None:
    """Add to the counts of (kind, reason): a duplicate's reason is its operation.

    To be called last in the caller's transaction: the rows stay locked until it ends, and the next
    batch of the same service waits for them.
    """
    wanted = sorted((key, n) for key, n in counts.items() if n)
    if wanted:
        await connection.execute(
            _ADD,
            service,
            [kind for (kind, _), _ in wanted],
            [reason for (_, reason), _ in wanted],
            [n for _, n in wanted],
        )


async def one(connection: Connection, service: str, key: tuple[str, str]) -> int:
    """The count of one (kind, reason) of a service."""
    found: int | None = await connection.fetchval(
        "SELECT n FROM tallies WHERE service = $1 AND kind = $2 AND reason = $3", service, *key
    )
    return found or 0


async def totals(connection: Connection) -> dict[str, int]:
    """The sum of each kind over all services and reasons."""
    rows = await connection.fetch("SELECT kind, sum(n)::bigint AS n FROM tallies GROUP BY kind")
    return {row["kind"]: row["n"] for row in rows}
