"""The demonstration's own books: what was answered and delivered, counted from the topics.

A record may come again with the same ce_id and bytes (at least once); it is counted as a repeat.
The same id with other bytes, or a second id for one thing, is told as wrong.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from services.cli.demo.reading import Seen, Watch

FINAL = ("done", "refused", "failed")
CREATED = "crossroads.order.created.v1"
# What a driver's statuses and papers are told as.
WAYS = frozenset(
    f"crossroads.order.{said}.v1"
    for said in ("status-updated", "bol-saved", "drop-saved", "bol-photo-saved")
)


class Book(ABC):
    """What was read of some topics, each record once.

    `repeats` counts records that came again as they were; `wrong` says what contradicts what these
    topics promise.
    """

    def __init__(self, watch: Watch, *topics: str) -> None:
        self.repeats = 0
        self.wrong: list[str] = []
        self._watch = watch
        self._topics = topics
        self._known: dict[str, bytes] = {}
        self._read: dict[str, int] = {}

    def read_on(self) -> None:
        """Take in what has come since."""
        for seen in self._fresh():
            self._take(seen)

    @abstractmethod
    def _take(self, seen: Seen) -> None:
        """Count one record that was not there before."""

    def _fresh(self) -> Iterable[Seen]:
        """What was read since the last call and was not there before."""
        for topic in self._topics:
            records = self._watch.of(topic)
            start, self._read[topic] = self._read.get(topic, 0), len(records)
            for seen in records[start:]:
                ce_id = seen.named["ce_id"]
                before = self._known.setdefault(ce_id, seen.value)
                if before is seen.value:
                    yield seen
                    continue
                self.repeats += 1
                if before != seen.value:
                    self.wrong.append(f"{ce_id} on {topic} came again with other bytes")


class Answers(Book):
    """The results of one tenant, by command id."""

    def __init__(self, watch: Watch, topic: str) -> None:
        super().__init__(watch, topic)
        self.waiting: dict[str, Seen] = {}
        self.final: dict[str, Seen] = {}
        self.duplicates: list[str] = []

    def _take(self, seen: Seen) -> None:
        result = seen.document
        command, outcome = result["command_id"], result["outcome"]
        if outcome == "duplicate":
            self.duplicates.append(command)
            return
        book = self.final if outcome in FINAL else self.waiting
        if command in book:
            self.wrong.append(f"{command} was told {outcome} a second time")
        book[command] = seen

    def code(self, command: str) -> str | None:
        """The code of a final answer."""
        code: str | None = self.final[command].document["code"]
        return code

    def of_outcome(self, outcome: str) -> set[str]:
        """The commands with this final outcome."""
        return {c for c, seen in self.final.items() if seen.document["outcome"] == outcome}


class Syncs(Book):
    """Sync records, whoever they are for: each order's in sequence, under its id.

    `others` are those that the book is not about, by (receiver's slug, the command that caused it,
    type).
    """

    def __init__(self, watch: Watch, slugs: Iterable[str]) -> None:
        super().__init__(watch, *(f"crossroads.sync.{slug}" for slug in slugs))
        self._last: dict[tuple[str, str], int] = {}
        self.others: dict[tuple[str, str, str], Seen] = {}

    def _take(self, seen: Seen) -> None:
        order_id, cause = seen.document["order_id"], seen.named["ce_causationid"]
        sequence = seen.document["sequence"]
        due = self._last.get((seen.topic, order_id), 0) + 1
        self._last[seen.topic, order_id] = sequence
        if (seen.named.get("ce_sequence"), sequence) != (str(due), due):
            self.wrong.append(f"{cause} has sequence {sequence}, not {due}")
        if seen.key != order_id.encode():
            self.wrong.append(f"{cause} is not keyed by its order id")

    def _keep(self, seen: Seen) -> None:
        slug = seen.topic.removeprefix("crossroads.sync.")
        cause, kind = seen.named["ce_causationid"], seen.named["ce_type"]
        if (slug, cause, kind) in self.others:
            self.wrong.append(f"{cause} was told to {slug} as {kind} a second time")
        self.others[slug, cause, kind] = seen


class Deliveries(Syncs):
    """The destinations' orders, by (destination's slug, the origin's number)."""

    def __init__(self, watch: Watch, slugs: Iterable[str]) -> None:
        super().__init__(watch, slugs)
        self.orders: dict[tuple[str, str], Seen] = {}

    def _take(self, seen: Seen) -> None:
        super()._take(seen)
        if seen.named["ce_type"] != CREATED:
            self._keep(seen)
            return
        slug = seen.topic.removeprefix("crossroads.sync.")
        number = seen.document["order"]["origin_order_number"]
        if (slug, number) in self.orders:
            self.wrong.append(f"order {number} was delivered to {slug} a second time")
        self.orders[slug, number] = seen


class Ways(Syncs):
    """What the sender of the orders was told of their ways, by the command that caused it."""

    def __init__(self, watch: Watch, slug: str) -> None:
        super().__init__(watch, [slug])
        self.told: dict[str, Seen] = {}

    def _take(self, seen: Seen) -> None:
        cause = seen.named["ce_causationid"]
        if seen.named["ce_type"] not in WAYS:
            super()._take(seen)
            self._keep(seen)
            return
        if cause in self.told:
            self.wrong.append(f"{cause} was told a second time")
        self.told[cause] = seen
        super()._take(seen)
