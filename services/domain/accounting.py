"""Whether the books balance: the invariants that tests, `crossroads audit` and a metric share.

Whoever counts fills an `Accounting`; `problems` says in sentences what does not add up.
"""

from __future__ import annotations

from collections.abc import Mapping as Members
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of an operation's commands; `accepted` counts distinct command ids."""

    accepted: int = 0
    done: int = 0
    waiting: int = 0
    refused: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Violations:
    """How often each thing was found that must not be. All zero in a consistent database."""

    undecided: int = field(default=0, metadata={"says": "commands were stored without any outcome"})
    waiting_nowhere: int = field(
        default=0,
        metadata={"says": "commands wait in no lane, for no acceptance and for no parent"},
    )
    placed_but_final: int = field(
        default=0, metadata={"says": "commands stand in a lane although their answer is final"}
    )
    final_without_answer: int = field(
        default=0, metadata={"says": "commands are final without an answer to return again"}
    )
    gaps_without_waiters: int = field(default=0, metadata={"says": "open mapping gaps hold nobody"})
    unmapped_without_gap: int = field(
        default=0,
        metadata={
            "says": "orders are not mapped, wait on no open gap and are not due to be looked at"
        },
    )
    sent_without_documents: int = field(
        default=0, metadata={"says": "orders were sent without a destination document"}
    )
    lanes_repaired: int = field(
        default=0, metadata={"says": "lanes had work that nobody had flagged"}
    )


@dataclass(frozen=True, slots=True)
class Accounting:
    """The counts of every operation, and what must be zero."""

    operations: Members[str, Counts]
    duplicates: int = 0
    dead_letters: int = 0
    # Commands counted above that are no longer remembered: their time was over.
    forgotten: int = 0
    violations: Violations = field(default_factory=Violations)


def problems(accounting: Accounting) -> list[str]:
    """Every sentence on what does not balance; empty when everything does.

    accepted = done + waiting + refused + failed for each operation, no count below zero, and each
    of the violations zero.
    """
    found = []
    for operation, counts in accounting.operations.items():
        told = counts.done + counts.waiting + counts.refused + counts.failed
        if counts.accepted != told:
            found.append(f"{operation}: {counts.accepted} accepted, but {told} told of")
        if any(getattr(counts, member.name) < 0 for member in fields(counts)):
            found.append(f"{operation}: a count is below zero")
    for member in fields(accounting.violations):
        count = getattr(accounting.violations, member.name)
        if count != 0:
            found.append(f"{member.name}: {count} {member.metadata['says']}")
    return found


def report(accounting: Accounting) -> dict[str, Any]:
    """What `crossroads audit --json` prints; `forgotten` only where something was."""
    told: dict[str, Any] = {
        "balanced": not problems(accounting),
        "operations": {
            operation: {member.name: getattr(counts, member.name) for member in fields(counts)}
            for operation, counts in sorted(accounting.operations.items())
        },
        "duplicates": accounting.duplicates,
        "dead_letters": accounting.dead_letters,
    }
    return told | ({"forgotten": accounting.forgotten} if accounting.forgotten else {})
