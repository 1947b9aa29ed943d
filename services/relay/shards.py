"""Who owns which shard: session-level advisory locks, shared out evenly among the relays."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.kit.database import Connection, Session

# The first half of the two-part advisory numbers; the second is the shard, or the presence.
_LOCK_CLASS = 0x0C05_5201
_PRESENCE = 1_000_000

_VIEW = """
SELECT (SELECT shards FROM outbox_settings) AS shards, pg_backend_pid() AS me,
       ARRAY(SELECT DISTINCT pid FROM pg_locks
             WHERE locktype = 'advisory' AND granted AND objsubid = 2
               AND classid::bigint = $1 AND objid::bigint = $2
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
             ORDER BY pid) AS relays
"""


def share(shards: int, relays: Sequence[int], me: int) -> int:
    """How many of `shards` the relay `me` should own; over all `relays` they add up to `shards`.

    `relays` are the backend pids of all, sorted; each gets the whole part, the first ones one more.
    """
    each, rest = divmod(shards, len(relays))
    return each + (1 if relays.index(me) < rest else 0)


async def hold(connection: Connection, shard: int) -> bool:
    """Own a shard until the transaction ends; False where a relay owns it."""
    held: bool = await connection.fetchval(
        "SELECT pg_try_advisory_xact_lock($1::int, $2::int)", _LOCK_CLASS, shard
    )
    return held


@dataclass(slots=True)
class Moves:
    """What a look at the shards changed."""

    acquired: list[int]
    released: list[int]


class Shards:
    """The shards one session owns. They are gone with the session."""

    def __init__(self) -> None:
        self.owned: list[int] = []

    async def announce(self, connection: Session) -> None:
        """Count this session among the relays, for as long as it lives."""
        await connection.execute(
            "SELECT pg_advisory_lock_shared($1::int, $2::int)", _LOCK_CLASS, _PRESENCE
        )

    async def rebalance(self, connection: Session) -> Moves:
        """Release what is above this relay's share, take free shards up to it.

        To be called between rounds: nothing of a released shard may be under way.
        """
        view = await connection.fetchrow(_VIEW, _LOCK_CLASS, _PRESENCE)
        if view is None or view["me"] not in view["relays"]:
            return Moves([], [])
        mine = share(view["shards"], view["relays"], view["me"])
        released = self.owned[mine:]
        for shard in released:
            await connection.execute(
                "SELECT pg_advisory_unlock($1::int, $2::int)", _LOCK_CLASS, shard
            )
        self.owned = self.owned[:mine]
        acquired: list[int] = []
        for shard in range(view["shards"]):
            if len(self.owned) >= mine:
                break
            if shard in self.owned or shard in released:
                continue
            taken = await connection.fetchval(
                "SELECT pg_try_advisory_lock($1::int, $2::int)", _LOCK_CLASS, shard
            )
            if taken:
                self.owned.append(shard)
                acquired.append(shard)
        return Moves(acquired, released)
