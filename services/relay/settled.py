"""The settled mark: the id below which the outbox has nothing left to publish.

Scanning from it keeps the relay off the dead rows at the left edge of the index, which a long-open
snapshot keeps there for as long as it lives. Ids become visible out of order: a transaction that
drew a low id may commit late. So the mark never follows the highest id seen. It may rise to a
sequence value L only by this proof:

1. L was read; afterwards the deleting transaction took its transaction id X. A writer has its xid
   before it draws an id, so whoever drew an id up to L has an xid below X.
2. A later fetch had a snapshot that sees whatever those writers left, for all of them have ended:
   either its xmin lies above X, or nobody is left, when it begins, of those who held the outbox's
   lock for writing at some moment after L was read. A writer takes that lock before it draws an
   id, and loses it after its end can be seen.
3. That fetch returned every row up to L that it saw, and those rows are gone now.

The xmin costs nothing to ask for, but any transaction that has written, wherever in the server,
holds it back for as long as it is open. So when it does not rise, the locks are asked for.
"""

from collections.abc import Collection
from dataclasses import dataclass

# Rounds that a claim may wait for its xmin: the batches of the hub itself take that long.
_PATIENCE_ROUNDS = 3


@dataclass(slots=True)
class _Claim:
    last_id: int
    xid: int
    rounds: int = 0
    writers: frozenset[str] | None = None

    @property
    def free(self) -> bool:
        return self.writers is not None and not self.writers


class SettledMark:
    """The mark of one relay over all the shards it owns; 0 after each acquisition."""

    def __init__(self) -> None:
        self.value = 0
        self._claim: _Claim | None = None
        self._next: _Claim | None = None
        self._free = False
        self._impatient = False

    @property
    def asks(self) -> bool:
        """Whether to say who is `writing`: the xmin has not risen for some rounds."""
        claim = self._claim
        return claim is not None and (self._impatient or claim.rounds >= _PATIENCE_ROUNDS)

    def restart(self) -> None:
        """Begin from 0: another shard was acquired, or the session was lost."""
        self.value = 0
        self._claim = self._next = None
        self._free = self._impatient = False

    def lower(self, row_id: int) -> None:
        """A row with this id came back into the outbox (it was parked)."""
        self.value = min(self.value, row_id - 1)

    def deleted(self, last_id: int, xid: int) -> None:
        """Transaction `xid` deleted rows; it began after the sequence stood at `last_id`.

        While one claim waits for its proof only the newest of the others is kept.
        """
        claim = _Claim(last_id, xid)
        if self._claim is None:
            self._claim = claim
        else:
            self._next = claim

    def writing(self, writers: Collection[str]) -> None:
        """These transactions hold the outbox's lock for writing; asked for after the fetch."""
        for claim in (self._claim, self._next):
            if claim is not None:
                before = writers if claim.writers is None else claim.writers
                claim.writers = frozenset(before) & frozenset(writers)

    def advance(self, xmin: int, reached: int | None, lowest_left: int | None) -> None:
        """Raise the mark as far as one round proves, after the round.

        `xmin` is of the round's fetching snapshot; `reached` the last id the fetch returned where
        a limit cut it short, None where it returned all; `lowest_left` the lowest id that it
        returned and that is still in the outbox.
        """
        claim = self._claim
        if claim is None:
            return
        by_xmin = xmin > claim.xid
        if not (by_xmin or self._free):
            claim.rounds += 1
            # What was found during this round can prove only a fetch that begins after it.
            self._free = claim.free
            return
        self._impatient = not by_xmin
        proven = claim.last_id
        if reached is not None:
            proven = min(proven, reached)
        if lowest_left is not None:
            proven = min(proven, lowest_left - 1)
        self.value = max(self.value, proven)
        if proven == claim.last_id:
            self._claim, self._next = self._next, None
            self._free = self._claim is not None and self._claim.free
