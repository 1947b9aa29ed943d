"""Which of a batch's rows may go out when.

First everything but final results; then the final results whose command has nothing left to be
acknowledged: a result says that its sync records are on their topics (guarantee of the contract).
"""

from collections.abc import Collection, Sequence

from services.kit.outbox import RowKind
from services.relay.rows import Row


def split(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The first wave, and the final results; both by id."""
    first = [row for row in rows if row.kind != RowKind.FINAL]
    return first, [row for row in rows if row.kind == RowKind.FINAL]


def ready_finals(
    finals: Sequence[Row],
    first: Sequence[Row],
    acknowledged: Collection[int],
    waiting: Collection[int],
) -> list[Row]:
    """The final results that may go out now.

    `first` is the first wave, `acknowledged` ids of it; a command whose sync or waiting row is not
    among them keeps its result back. `waiting` are the ids named by `after_id` that are still in a
    table.
    """
    unfinished = {
        row.cause
        for row in first
        if row.kind != RowKind.DEAD_LETTER and row.cause is not None and row.id not in acknowledged
    }
    return [row for row in finals if row.cause not in unfinished and row.after_id not in waiting]
