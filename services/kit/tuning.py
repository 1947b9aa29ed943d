"""The stream's times and bounds."""

from dataclasses import dataclass, field

from services.kit.faults import FaultBound


@dataclass(frozen=True, slots=True)
class Tuning:
    """Times in seconds; the defaults are for production, tests shorten them.

    `shorter_grace`: how long a log may seem to end below its mark before it counts as made anew.
    `recheck`: between two looks at partitions that may not be read. `max_backoff`: between tries
    while the database or the broker is away. `look_every`: between two looks at lag. `stall`, then
    `end`: how long a partition with lag may stand still until the service is not ready, and until
    it ends. `drain`: how long `stop` waits for the batch in hand.
    """

    shorter_grace: float = 5.0
    recheck: float = 2.0
    max_backoff: float = 5.0
    look_every: float = 2.0
    stall: float = 60.0
    end: float = 180.0
    drain: float = 10.0
    bound: FaultBound = field(default_factory=FaultBound)
