"""The chain of polls: what the consumer is known to have handed over without a hole.

Kafka's offsets have gaps by nature (transaction markers, aborted records, compaction), so a gap
between two records says nothing. What says something is the consumer's position: a poll that does
not begin where the one before it ended has skipped or repeated something, and nothing it returned
may be stored. Comparing the first record's offset with the mark instead would refuse for ever what
follows an aborted stretch.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Partition = TypeVar("Partition", bound=Hashable)


@dataclass(slots=True)
class Stretch:
    """One partition's unbroken coverage: every record in [covered_from, end) was handed over."""

    covered_from: int
    end: int
    intact: bool = True

    def holds(self, first: int, last: int) -> bool:
        """Whether records from offset `first` to `last` lie within what was covered."""
        return self.intact and self.covered_from <= first <= last < self.end


class Chain(Generic[Partition]):
    """The stretches of all placed partitions. A partition that was not begun has none."""

    def __init__(self) -> None:
        self._stretches: dict[Partition, Stretch] = {}

    def begin(self, partition: Partition, offset: int) -> None:
        """The consumer was set to `offset`: coverage starts anew there."""
        self._stretches[partition] = Stretch(offset, offset)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """The partitions were taken away, or wait to be placed: nothing is known of them."""
        for partition in list(partitions):
            self._stretches.pop(partition, None)

    def partitions(self) -> list[Partition]:
        """The partitions that were begun and not forgotten, broken ones included."""
        return list(self._stretches)

    def stretch(self, partition: Partition) -> Stretch | None:
        """The partition's coverage, or None when it was not begun."""
        return self._stretches.get(partition)

    def polled(self, before: Mapping[Partition, int], after: Mapping[Partition, int]) -> None:
        """Takes a poll, an empty one too, by the positions before and after it.

        A begun partition that is missing on either side, whose poll did not begin where the last
        one ended, or that went backwards is broken, alone.
        """
        for partition, stretch in self._stretches.items():
            start, end = before.get(partition), after.get(partition)
            if start is None or end is None or start != stretch.end or end < start:
                stretch.intact = False
            elif stretch.intact:
                stretch.end = end

    def failed(self) -> None:
        """A poll failed: records may be lost with the failure, so every stretch is broken."""
        for stretch in self._stretches.values():
            stretch.intact = False

    def broken(self) -> list[Partition]:
        """The partitions that must be placed anew before anything of them is taken."""
        return [partition for partition, held in self._stretches.items() if not held.intact]
