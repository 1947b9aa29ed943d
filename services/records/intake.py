"""How far order-intake has come, and how long it has kept up with its input, all in all (K42)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from aiokafka import TopicPartition

from services.kit.database import Connection

# Seconds. Input that is read up to so long ago is kept up with, and no look counts for more: were
# nobody there to look, that time does not count.
KEEPS_UP = 10.0

_NOTE = """
INSERT INTO intake_sights AS s (topic, partition, cluster_id, reached_at)
SELECT topic, partition, $1, now() - make_interval(secs => behind)
FROM unnest($2::text[], $3::integer[], $4::double precision[]) AS seen (topic, partition, behind)
ORDER BY topic, partition
ON CONFLICT (topic, partition) DO UPDATE
SET cluster_id = excluded.cluster_id, reached_at = excluded.reached_at
WHERE s.cluster_id <> excluded.cluster_id OR s.reached_at < excluded.reached_at
"""
_COUNT = """
UPDATE intake_clock AS c SET looked_at = greatest(now(), looked_at),
    kept_up_at = CASE WHEN seen.behind THEN kept_up_at ELSE greatest(now(), kept_up_at) END,
    counted = counted + CASE WHEN seen.behind THEN 0
        ELSE greatest(0, least($4, extract(epoch FROM now() - looked_at)::double precision)) END
FROM (
    SELECT EXISTS (
        SELECT FROM unnest($2::text[], $3::integer[]) AS input (topic, partition)
        WHERE NOT EXISTS (
            SELECT FROM intake_sights AS s
            WHERE s.topic = input.topic AND s.partition = input.partition
              AND s.cluster_id = $1 AND s.reached_at > now() - make_interval(secs => $4))
    ) AS behind
) AS seen
"""
_STANDS = """
SELECT count(*) AS n, (SELECT kept_up_at FROM intake_clock) AS kept_up_at
FROM lane_commands WHERE wait_number IS NOT NULL
HAVING count(*) > 0 AND NOT EXISTS (
    SELECT FROM intake_clock WHERE kept_up_at > now() - make_interval(secs => $1))
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How many commands wait by a clock that stands, and when it last ran; None: never."""

    commands: int
    kept_up_at: datetime | None


async def standing(connection: Connection, seconds: float) -> Standing | None:
    """Whether commands wait for unknown numbers while the clock has stood for so long."""
    row = await connection.fetchrow(_STANDS, seconds)
    return None if row is None else Standing(row["n"], row["kept_up_at"])


async def note(
    connection: Connection, cluster_id: str, behind: Mapping[TopicPartition, float]
) -> None:
    """Note up to when all that had arrived on these partitions is processed, in seconds ago.

    What another process saw later stays.
    """
    seen = sorted(behind)
    if seen:
        await connection.execute(
            _NOTE,
            cluster_id,
            [each.topic for each in seen],
            [each.partition for each in seen],
            [behind[each] for each in seen],
        )


async def count(
    connection: Connection, cluster_id: str, partitions: Collection[TopicPartition]
) -> None:
    """Count the time since the last look, if all these partitions are kept up with.

    It counts once, whoever looks: the clock's row is the lock. Without a partition nothing counts.
    """
    if partitions:
        await connection.execute(
            _COUNT,
            cluster_id,
            [each.topic for each in partitions],
            [each.partition for each in partitions],
            KEEPS_UP,
        )
