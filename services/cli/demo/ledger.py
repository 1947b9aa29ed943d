"""The demonstration's own books: what was answered and delivered, counted from the topics.

A record may come again with the same ce_id and bytes (at least once); it is counted as a repeat.
The same id with other bytes, or a second id for one thing, is told as wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.cli.demo.reading import Seen, Watch

FINAL = ("done", "refused", "failed")


@dataclass(slots=True)
class _Once:
    """Records by their ce_id."""

    watch: Watch
    topics: tuple[str, ...]
    repeats: int = 0
    wrong: list[str] = field(default_factory=list)
    _known: dict[str, bytes] = field(default_factory=dict)
    _read: dict[str, int] = field(default_factory=dict)

    def fresh(self) -> Iterable[Seen]:
        """What was read since the last call and was not there before."""
        for topic in self.topics:
            records = self.watch.of(topic)
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


class Answers:
    """The results of one tenant, by command id."""

    def __init__(self, watch: Watch, topic: str) -> None:
        self._once = _Once(watch, (topic,))
        self.waiting: dict[str, Seen] = {}
        self.final: dict[str, Seen] = {}
        self.duplicates: list[str] = []

    @property
    def repeats(self) -> int:
        """Records that came again as they were."""
        return self._once.repeats

    @property
    def wrong(self) -> list[str]:
        """What contradicts the promises of the results topic."""
        return self._once.wrong

    def read_on(self) -> None:
        """Take in what has come since."""
        for seen in self._once.fresh():
            result = seen.document
            command, outcome = result["command_id"], result["outcome"]
            if outcome == "duplicate":
                self.duplicates.append(command)
                continue
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


class Deliveries:
    """The sync records of the destinations, by (destination's slug, the origin's number)."""

    def __init__(self, watch: Watch, slugs: Iterable[str]) -> None:
        self._once = _Once(watch, tuple(f"crossroads.sync.{slug}" for slug in slugs))
        self.orders: dict[tuple[str, str], Seen] = {}

    @property
    def repeats(self) -> int:
        """Records that came again as they were."""
        return self._once.repeats

    @property
    def wrong(self) -> list[str]:
        """What contradicts the promises of the sync topics."""
        return self._once.wrong

    def read_on(self) -> None:
        """Take in what has come since."""
        for seen in self._once.fresh():
            slug = seen.topic.removeprefix("crossroads.sync.")
            number = seen.document["order"]["origin_order_number"]
            if (slug, number) in self.orders:
                self.wrong.append(f"order {number} was delivered to {slug} a second time")
            sequence = seen.named.get("ce_sequence")
            if sequence != "1" or seen.document["sequence"] != 1:
                self.wrong.append(f"order {number} begins with sequence {sequence} at {slug}")
            if seen.key != seen.document["order_id"].encode():
                self.wrong.append(f"order {number} is not keyed by its order id")
            self.orders[slug, number] = seen
