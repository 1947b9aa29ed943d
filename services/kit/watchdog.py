"""Tells a reader that stands still from one that has nothing to do.

A consumer can stay stuck after a broker's restart without any error. Pure: it is told what was
seen and when, and answers.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Partition = TypeVar("Partition", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at an assigned partition.

    `lag` in records to the last stable offset; `progress` is any number that changes when the
    partition moves. `refused` partitions wait for an operator: they stall, and end nothing.
    """

    lag: int
    progress: object
    refused: bool = False


@dataclass(slots=True)
class _Still:
    progress: object
    since: float


class Watchdog(Generic[Partition]):
    """Stalled: lag and no move for `stall_seconds` while database and broker answered."""

    def __init__(self, *, stall_seconds: float, end_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._end_seconds = end_seconds
        self._still: dict[Partition, _Still] = {}
        self._refused: set[Partition] = set()
        self._now = 0.0

    def look(self, now: float, sights: Mapping[Partition, Sight]) -> None:
        """Takes a look at all assigned partitions at `now` (monotonic seconds)."""
        self._now = now
        self._refused = {partition for partition, sight in sights.items() if sight.refused}
        still: dict[Partition, _Still] = {}
        for partition, sight in sights.items():
            if sight.lag <= 0 or sight.refused:
                continue
            before = self._still.get(partition)
            moved = before is None or before.progress != sight.progress
            since = now if moved or before is None else before.since
            still[partition] = _Still(sight.progress, since)
        self._still = still

    def blind(self) -> None:
        """The database or the broker did not answer: whoever stands still is excused."""
        self._still.clear()

    def stalled(self) -> set[Partition]:
        """The partitions that stand still for `stall_seconds`, and the refused ones."""
        return self._refused | self._beyond(self._stall_seconds)

    def hopeless(self) -> set[Partition]:
        """The partitions that stand still for `end_seconds`: the process should end."""
        return self._beyond(self._end_seconds)

    def _beyond(self, seconds: float) -> set[Partition]:
        return {
            partition
            for partition, still in self._still.items()
            if self._now - still.since >= seconds
        }
