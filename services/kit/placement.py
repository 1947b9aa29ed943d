"""Where a reader begins on a partition: pure decisions from the mark and the ends of the log."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["go-on", "lost", "shorter"]


@dataclass(frozen=True, slots=True)
class LogEnds:
    """The first offset a log still holds, and the one behind its last stable record."""

    start: int
    end: int


def judge(mark: int, log: LogEnds) -> Verdict:
    """What a mark means for a log.

    `go-on`: read from the mark. `lost`: retention removed records that nobody read; only an
    operator may accept that. `shorter`: the log ends below the mark, so it is another log than the
    one the mark was made on, and is read from its start.
    """
    if mark > log.end:
        return "shorter"
    return "lost" if mark < log.start else "go-on"


def source_cluster(cluster_id: str, lineage: int) -> str:
    """The cluster id that records' identities are derived from.

    A topic that was made anew under the same cluster id repeats its offsets; its lineage keeps the
    derived ids apart.
    """
    return cluster_id if lineage == 0 else f"{cluster_id}~{lineage}"
