"""Advisory numbers: how a waiter and whoever may wake it see each other (protocol §3, §4).

Neither side can see the other's uncommitted row. So tokens hash into 256 numbers a race; who makes
progress possible takes them shared before it looks for waiters, who is about to wait takes them
exclusively and looks again in a later statement. All are held until the transaction ends.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from enum import IntEnum

from services.kit.database import Connection

NUMBERS = 256


class Race(IntEnum):
    """Which pair of sides the numbers keep apart; also the first half of the lock's key."""

    ORDER_UNKNOWN = 7001
    MAPPING_MISSING = 7002
    PARENT_MISSING = 7003
    SAME_ROW = 7004


class LocksNeeded(Exception):
    """These numbers could not be had at once: roll back, and run again with them taken first.

    `shared` are those that were held besides: they have to be taken with these, in one order.
    """

    def __init__(
        self,
        numbers: frozenset[tuple[Race, int]],
        shared: frozenset[tuple[Race, int]] = frozenset(),
    ) -> None:
        self.numbers = numbers
        self.shared = shared
        super().__init__(f"{len(numbers)} advisory numbers are held by somebody else")


def numbers_of(race: Race, tokens: Iterable[str]) -> frozenset[tuple[Race, int]]:
    """The numbers that stand for these tokens."""
    return frozenset((race, zlib.crc32(token.encode()) % NUMBERS) for token in tokens)


_TAKE = """
SELECT {function}(race, number)
FROM unnest($1::int[], $2::int[]) WITH ORDINALITY AS wanted (race, number, at)
ORDER BY at
"""


async def take_exclusive(connection: Connection, numbers: frozenset[tuple[Race, int]]) -> None:
    """Take all of them in order, waiting for their holders; only before any order row is locked."""
    await _take(connection, "pg_advisory_xact_lock", numbers)


_TAKE_BOTH = """
SELECT CASE WHEN exclusive THEN pg_advisory_xact_lock(race, number)
    ELSE pg_advisory_xact_lock_shared(race, number) END
FROM unnest($1::int[], $2::int[], $3::boolean[]) WITH ORDINALITY
    AS wanted (race, number, exclusive, at)
ORDER BY at
"""


async def take_both(
    connection: Connection,
    exclusive: frozenset[tuple[Race, int]],
    shared: frozenset[tuple[Race, int]],
) -> None:
    """Take these exclusively and those shared, all in one order; before any order row is locked.

    One kind after the other, two that want the same numbers crosswise would wait in a circle.
    """
    ordered = sorted(exclusive | shared)
    if ordered:
        await connection.execute(
            _TAKE_BOTH,
            [int(race) for race, _ in ordered],
            [number for _, number in ordered],
            [each in exclusive for each in ordered],
        )


async def take_shared(connection: Connection, numbers: frozenset[tuple[Race, int]]) -> None:
    """Take all of them shared, in order, waiting for whoever is about to wait."""
    await _take(connection, "pg_advisory_xact_lock_shared", numbers)


async def try_exclusive(connection: Connection, numbers: frozenset[tuple[Race, int]]) -> None:
    """Take all of them without waiting. Raises LocksNeeded where one is held by somebody else."""
    taken = await _take(connection, "pg_try_advisory_xact_lock", numbers)
    if not all(taken):
        raise LocksNeeded(numbers)


async def _take(
    connection: Connection, function: str, numbers: frozenset[tuple[Race, int]]
) -> list[bool | None]:
    if not numbers:
        return []
    ordered = sorted(numbers)
    rows = await connection.fetch(
        _TAKE.format(function=function),
        [int(race) for race, _ in ordered],
        [number for _, number in ordered],
    )
    return [row[0] for row in rows]
