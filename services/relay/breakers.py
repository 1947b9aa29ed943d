"""Breakers: which topics take no records now, and when to ask them again. One per topic."""

from collections.abc import Iterable
from dataclasses import dataclass

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 10.0
# A topic that is refused again so soon after it seemed well has not been well.
RELAPSE_SECONDS = 30.0


@dataclass(slots=True)
class _Breaker:
    reason: str
    delay: float
    due: float
    closed_at: float | None = None


class Breakers:
    """The open breakers of one relay. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._breakers: dict[str, _Breaker] = {}

    def open(self, topic: str, reason: str, now: float) -> bool:
        """Open a topic's breaker; False if it was open. A relapse waits twice as long."""
        known = self._breakers.get(topic)
        if known is not None and known.closed_at is None:
            return False
        delay = FIRST_SECONDS
        if known and known.closed_at is not None and now - known.closed_at < RELAPSE_SECONDS:
            delay = min(known.delay * 2, LONGEST_SECONDS)
        self._breakers[topic] = _Breaker(reason, delay, now + delay)
        return True

    def topics(self) -> list[str]:
        """The topics that take nothing now, sorted."""
        return sorted(topic for topic, each in self._breakers.items() if each.closed_at is None)

    def due(self, now: float) -> list[str]:
        """The open ones that should be asked now."""
        return [topic for topic in self.topics() if self._breakers[topic].due <= now]

    def refused(self, topic: str, now: float) -> None:
        """The topic was asked and still takes nothing: wait twice as long, up to 10 s."""
        breaker = self._breakers[topic]
        breaker.delay = min(breaker.delay * 2, LONGEST_SECONDS)
        breaker.due = now + breaker.delay

    def close(self, topic: str, now: float) -> None:
        """The topic answers. What it had waited is remembered for a relapse."""
        self._breakers[topic].closed_at = now

    def forget_old(self, now: float) -> None:
        """Drop closed breakers nobody needs to remember."""
        self._breakers = {
            topic: each
            for topic, each in self._breakers.items()
            if each.closed_at is None or now - each.closed_at < RELAPSE_SECONDS
        }

    def next_due(self) -> float | None:
        """When the next one should be asked; None where none is open."""
        times: Iterable[float] = (
            each.due for each in self._breakers.values() if each.closed_at is None
        )
        return min(times, default=None)
