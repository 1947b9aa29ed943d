"""The numbers a partition's batches carry, by which a broker knows a batch it has stored already.

A broker that gives out producer ids remembers, for each id and partition, the numbers of the last
batches. It acknowledges a batch whose numbers it has without storing it, and refuses one that
leaves a gap. So numbers that may have been stored with some rows must never be sent with others:
those would be acknowledged and lost. Here numbers stay with their rows until the broker has said
what became of them; where that cannot be, the partition goes on under another producer id from 0.
"""

from dataclasses import dataclass

# Of one partition. What falls out of this memory is sent as new, and may be a repeat.
_MOST_DOUBTFUL = 4
_LAST_SEQUENCE = 2**31 - 1

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Producer:
    """What a broker gave out; means something in its cluster only."""

    id: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of a batch: whose, and the number of its first record."""

    producer: Producer
    sequence: int


@dataclass(slots=True)
class Doubtful:
    """A batch that was sent and may be stored: the ids of its rows in their order."""

    ids: tuple[int, ...]
    numbers: Numbers
    sent: int = 1


UNNUMBERED = Numbers(Producer(-1, -1), -1)


class Numbering:
    """Numbers for batches; one batch of a partition under way at a time. Places are partitions."""

    def __init__(self) -> None:
        self._cluster: str | None = None
        self._numbered = False
        self._producer: Producer | None = None
        self._next: dict[Place, Numbers] = {}
        self._doubtful: dict[Place, list[Doubtful]] = {}

    @property
    def cluster(self) -> str | None:
        """The cluster that numbered batches may go to; None where batches are not numbered."""
        return self._cluster if self._numbered else None

    @property
    def wants_producer(self) -> bool:
        """Whether a new producer id is needed before anything is sent."""
        return self._numbered and self._producer is None

    def begin(self, cluster: str | None, producer: Producer | None) -> None:
        """Number from 0 under `producer`; not at all where there is none.

        What is in doubt stays so in the same cluster, under its old numbers.
        """
        known = {each.numbers.producer for some in self._doubtful.values() for each in some}
        if producer is None or cluster is None or cluster != self._cluster or producer in known:
            self._doubtful.clear()
        self._next.clear()
        self._cluster, self._producer = cluster, producer
        self._numbered = producer is not None and cluster is not None

    def renew(self, producer: Producer) -> None:
        """Take a new id for the partitions that lost their numbers."""
        self._producer = producer

    def in_doubt(self, place: Place) -> bool:
        """Whether anything sent to the partition may be stored without our knowing."""
        return place in self._doubtful

    def first(self, place: Place, ids: set[int]) -> list[Doubtful]:
        """Which batches must be sent again as they were before any other of the rows `ids`.

        A batch of which only some rows are there now cannot be recognised any more: it is
        forgotten. One of which none is there is kept. Neither's numbers go to other rows.
        """
        again, kept = [], []
        for batch in self._doubtful.get(place, ()):
            if ids.issuperset(batch.ids):
                again.append(batch)
            else:
                self._leave(place, batch.numbers)
                if not ids.isdisjoint(batch.ids):
                    continue
            kept.append(batch)
        self._keep(place, kept)
        return again

    def ready(self, place: Place) -> bool:
        """Whether a batch can be numbered without a new producer id."""
        return not self._numbered or self._producer is not None or place in self._next

    def next(self, place: Place) -> Numbers:
        """The numbers of the partition's next new batch; the partition must be `ready`."""
        if not self._numbered:
            return UNNUMBERED
        numbers = self._next.get(place)
        if numbers is None:
            if self._producer is None:
                raise ValueError(f"No producer id for {place}.")
            numbers = self._next[place] = Numbers(self._producer, 0)
        return numbers

    def sent(self, place: Place, numbers: Numbers, ids: tuple[int, ...]) -> None:
        """The rows are about to be sent under `numbers`: from now on in doubt."""
        if not self._numbered:
            return
        batches = self._doubtful.setdefault(place, [])
        for batch in batches:
            if batch.numbers == numbers:
                if batch.ids != ids:
                    raise ValueError(f"{numbers} belong to other rows.")
                batch.sent += 1
                return
        batches.append(Doubtful(ids, numbers))
        del batches[:-_MOST_DOUBTFUL]

    def acknowledged(self, place: Place, numbers: Numbers) -> None:
        """The broker has the batch."""
        batch = self._forget(place, numbers)
        if batch is not None and self._next.get(place) == numbers:
            after = numbers.sequence + len(batch.ids) & _LAST_SEQUENCE
            self._next[place] = Numbers(numbers.producer, after)

    def refused(self, place: Place, numbers: Numbers) -> None:
        """The broker has not stored the batch this time, and will not."""
        batch = self._forget(place, numbers)
        if batch is not None and batch.sent > 1:
            self._leave(place, numbers)

    def lost(self, place: Place, numbers: Numbers) -> None:
        """The broker does not go by these numbers (any more)."""
        self._forget(place, numbers)
        self._leave(place, numbers)

    def _leave(self, place: Place, numbers: Numbers) -> None:
        """Let no other batch have `numbers`."""
        if self._next.get(place) != numbers:
            return
        del self._next[place]
        # A partition never comes back to an id: its numbering would begin where it had been.
        if numbers.producer == self._producer:
            self._producer = None

    def _forget(self, place: Place, numbers: Numbers) -> Doubtful | None:
        batches = self._doubtful.get(place, [])
        found = next((each for each in batches if each.numbers == numbers), None)
        if found is not None:
            self._keep(place, [each for each in batches if each is not found])
        return found

    def _keep(self, place: Place, batches: list[Doubtful]) -> None:
        if batches:
            self._doubtful[place] = batches
        else:
            self._doubtful.pop(place, None)
