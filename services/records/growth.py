"""Whether tables stay small: what vacuum leaves, what holds it back, whether it runs at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.kit.database import Connection

# The hub's own transactions end after 20 s at the latest (kit.database.LIMITS).
HELD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who keeps dead rows from being removed, or the outbox's mark from rising.

    `kind` is `snapshot` (of this database), `transaction` (one that has written, of any database),
    `prepared` or `slot`; `pid` and `since` are None where there is no session behind it.
    """

    kind: str
    name: str
    pid: int | None
    since: datetime | None
    state: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table's rows as the statistics have them, its size in bytes, and its last vacuum."""

    name: str
    live: int
    dead: int
    size: int
    vacuumed_at: datetime | None

    @property
    def rotten(self) -> bool:
        """Whether there are more dead rows than full load leaves between two vacuums.

        The outbox sees up to 20,000 rows a second come and go, and a vacuum a minute.
        """
        if self.name == "outbox":
            return self.dead > 3_000_000
        return self.dead > 50_000 + 100 * self.live


# A snapshot holds back the vacuum of its own database only; a transaction with an id holds back
# every snapshot's xmin, on which the relay's mark waits.
_HOLDERS = """
SELECT CASE WHEN backend_xid IS NULL THEN 'snapshot' ELSE 'transaction' END AS kind,
    coalesce(nullif(application_name, ''), backend_type) AS name, pid, xact_start AS since,
    coalesce(state, '') AS state
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND xact_start < now() - make_interval(secs => $1)
  AND backend_type <> 'autovacuum worker'
  AND (backend_xid IS NOT NULL OR (backend_xmin IS NOT NULL AND datname = current_database()))
UNION ALL
SELECT 'prepared', gid, NULL, prepared, 'prepared' FROM pg_prepared_xacts
WHERE prepared < now() - make_interval(secs => $1)
UNION ALL
SELECT 'slot', slot_name, active_pid, NULL, CASE WHEN active THEN 'active' ELSE 'inactive' END
FROM pg_replication_slots WHERE xmin IS NOT NULL AND age(xmin) > 1000000
ORDER BY since
"""
_TABLES = """
SELECT relname AS name, n_live_tup AS live, n_dead_tup AS dead,
    pg_total_relation_size(relid) AS size,
    greatest(last_vacuum, last_autovacuum) AS vacuumed_at
FROM pg_stat_user_tables
WHERE schemaname = current_schema() AND relname = ANY($1::text[])
ORDER BY relname
"""
_OFF = """
SELECT name FROM pg_settings
WHERE name IN ('autovacuum', 'track_counts') AND setting = 'off'
UNION ALL
SELECT c.relname FROM pg_class AS c, unnest(c.reloptions) AS option
WHERE c.relnamespace = current_schema()::regnamespace
  AND split_part(option, '=', 1) = 'autovacuum_enabled'
  AND NOT split_part(option, '=', 2)::boolean
ORDER BY 1
"""
# What is written at every batch or turn: rows that come and go, or are updated again and again.
BUSY = ("outbox", "outbox_parked", "stream_positions", "tallies", "lane_commands", "gap_waiters")


async def holders(connection: Connection, *, seconds: float = HELD_SECONDS) -> list[Holder]:
    """Who has held back vacuum for longer than `seconds`, the longest first.

    Of other roles' sessions a role without pg_read_all_stats sees nothing.
    """
    return [Holder(*row) for row in await connection.fetch(_HOLDERS, seconds)]


async def busy_tables(connection: Connection) -> list[Table]:
    """The tables that would rot first."""
    return [Table(*row) for row in await connection.fetch(_TABLES, list(BUSY))]


async def without_vacuum(connection: Connection) -> list[str]:
    """Settings and tables that say that nothing is vacuumed by itself."""
    return [row["name"] for row in await connection.fetch(_OFF)]
