"""Which statements, requests and answers are the steps of each chapter."""

from dataclasses import dataclass

from tests.acceptance.kill_points_wire import (
    AFTER,
    BEFORE,
    FETCH,
    OFFSET_COMMIT,
    PRODUCE,
    TRANSACTION,
)

BATCH, LANE_TURN, RELAY_ROUND = ORDER_CHAPTERS = ("batch", "lane turn", "relay round")
PROGRESS, PROGRESS_TURN, TAKE_OVER = PROGRESS_CHAPTERS = (
    "progress batch", "progress turn", "take-over"
)  # fmt: skip
CHANGES, SETTLING = MIXED_CHAPTERS = ("batch of changes", "settling")
CHAPTERS = (*ORDER_CHAPTERS, *PROGRESS_CHAPTERS, *MIXED_CHAPTERS)
KILLED, CUT = FAULTS = ("killed", "cut off")


@dataclass(frozen=True, slots=True)
class Point:
    """Where something fails: the number and the side of a step; and how.

    KILLED: the process gets SIGKILL. CUT: the connection is lost, and the process lives.
    """

    chapter: str
    at: int
    label: str
    side: str
    fault: str

    def __str__(self) -> str:
        return f"{self.chapter}, {self.fault} {self.side} step {self.at} ({self.label[:60]})"


def points_of(chapter: str, labels: list[str]) -> list[Point]:
    """Every point of a chapter with these steps."""
    return [
        Point(chapter, at, label, side, fault)
        for at, label in enumerate(labels)
        # What the broker sends by itself has one side: it is not delivered.
        for side in ((BEFORE,) if label.startswith("answer") else (BEFORE, AFTER))
        for fault in FAULTS
    ]


class BatchSteps:
    """The batch: its fetch, every statement of its transaction, and the group's offset."""

    def __init__(self, tag: str) -> None:
        # As the orders' numbers begin: an answer without records may name the topics.
        self._tag = f"{tag}-".encode()
        self._session: int | None = None
        self._fetched = self._over = False

    def statement(self, session: int, text: str) -> bool:
        # Placing locks marks, too, but not when the records are there already.
        if (
            self._fetched
            and self._session is None
            and "from stream_positions p join unnest" in text
        ):
            self._session = session
        if session != self._session or self._over:
            return False
        self._over = text.startswith("COMMIT")
        return True

    def request(self, key: int, _: bytes) -> bool:
        return key == OFFSET_COMMIT and self._over

    def answer(self, key: int, body: bytes) -> bool:
        if key != FETCH or self._fetched or self._tag not in body:
            return False
        self._fetched = True
        return True


class TurnSteps:
    """Waking who waited on a closed gap, and the turn that follows, to the turn's commit."""

    def __init__(self) -> None:
        self._inside: set[int] = set()
        self._turns = False
        self._over = False

    def statement(self, session: int, text: str) -> bool:
        if self._over:
            return False
        turn = text.startswith("SELECT l.id, l.order_id, l.tenant_id")
        if turn or text.startswith("SELECT w.order_id FROM gap_waiters AS w JOIN orders"):
            self._inside.add(session)
            self._turns = self._turns or turn
        if session not in self._inside:
            return False
        if text.startswith("COMMIT"):
            self._inside.discard(session)
            self._over = self._turns
        return True

    def request(self, *_: object) -> bool:
        return False

    def answer(self, *_: object) -> bool:
        return False


class TakeOverSteps:
    """A batch that lets what waits in lanes go on, or ends it, and the turn that follows."""

    def __init__(self, tag: str) -> None:
        self._batch, self._turn = BatchSteps(tag), TurnSteps()

    def statement(self, session: int, text: str) -> bool:
        found = self._batch.statement(session, text), self._turn.statement(session, text)
        return any(found)

    def request(self, key: int, body: bytes) -> bool:
        return self._batch.request(key, body)

    def answer(self, key: int, body: bytes) -> bool:
        return self._batch.answer(key, body)


class RelaySteps:
    """A relay from its start: taking its shards, and rounds until nothing is left."""

    _TIMED = ("SELECT 1", "SELECT count(*) AS records")

    def __init__(self) -> None:
        self._produced = 0
        self._over = False

    def statement(self, _: int, text: str) -> bool:
        if self._over or text.startswith(self._TIMED):
            return False
        # Results go out last: what follows their deletion is an idle relay's.
        self._over = self._produced > 1 and "DELETE FROM outbox" in text
        return True

    def request(self, key: int, _: bytes) -> bool:
        self._produced += key == PRODUCE
        return key == PRODUCE and not self._over

    def answer(self, *_: object) -> bool:
        return False


class ExactRelaySteps:
    """The same of a relay that delivers exactly once: also what its transactions ask for."""

    def __init__(self) -> None:
        self._relay = RelaySteps()
        self._deleted = 0

    def statement(self, session: int, text: str) -> bool:
        if self._deleted > 1:
            return False
        # Of syncs and waiting results, and then of the final ones.
        self._deleted += "DELETE FROM outbox" in text
        return self._relay.statement(session, text) or self._deleted > 0

    def request(self, key: int, _: bytes) -> bool:
        return key in TRANSACTION and self._deleted < 2

    def answer(self, *_: object) -> bool:
        return False
