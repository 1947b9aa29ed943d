"""What the relay asks of a way to deliver.

At least once: services/relay/at_least_once.py; exactly once: services/relay/exactly_once.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.relay.rows import Row
from services.relay.session import LockSession


@dataclass(slots=True)
class Outcome:
    """What became of the rows of one wave; a row in none of the three is to be sent again.

    `acknowledged` are ids; `refused` says by id why the broker does not take that very record;
    `closed` says by topic why it takes nothing now. `doubtful` rows were sent, now or before, and
    may be on their topics although nobody said so.
    """

    acknowledged: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)


class Delivery(Protocol):
    """Publishes waves of rows. One wave at a time.

    `results_ride_along`: final results whose commands have nothing left go out with the next rows
    of others, instead of in a wave of their own that ends the round: each wave has its price.
    """

    results_ride_along: bool

    async def start(self) -> None:
        """Connect. Raises BrokerAway; SettingsInvalid where this broker cannot deliver so."""

    async def stop(self) -> None:
        """Disconnect; what is under way may still arrive."""

    async def take_over(self, session: LockSession, shards: Sequence[int]) -> None:
        """Get ready for rows of `shards`, which the session has just acquired.

        Rows that are found to be published already are deleted. Raises BrokerAway, DatabaseAway,
        and ServiceMustStop where nobody can know what was published.
        """

    async def publish(self, rows: Sequence[Row]) -> Outcome:
        """Send `rows` (by id) and say what became of each, after a bounded time.

        Rows of one topic and key are sent in their order, and none after one of them that was
        neither acknowledged nor refused. Raises BrokerAway when nothing can be said.
        """

    async def answers(self, topic: str) -> bool:
        """Whether the topic is there again, as far as can be known without sending to it."""

    async def broker_there(self) -> bool:
        """Whether any broker answers."""
