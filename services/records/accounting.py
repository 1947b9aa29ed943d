"""The books, counted in the database: what `crossroads audit`, `doctor`, tests and a metric share.

To be run in one snapshot (REPEATABLE READ), or what happens between two statements looks like a
fault. It reads every command that is remembered: three seconds a million, measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from services.domain.accounting import Accounting, Counts
from services.domain.accounting import Violations as DecidedViolations
from services.kit.database import Connection
from services.kit.metrics import ACCOUNTING_VIOLATIONS
from services.records import lanes, numbers, retention, tallies

# Told means published: a final answer whose record is unsent or parked still waits.
_OPERATIONS = """
WITH unsent AS (SELECT id FROM outbox UNION ALL SELECT id FROM outbox_parked)
SELECT c.operation,
    count(*) AS accepted,
    count(*) FILTER (WHERE c.outcome = 'done' AND u.id IS NULL) AS done,
    count(*) FILTER (WHERE c.outcome = 'refused' AND u.id IS NULL) AS refused,
    count(*) FILTER (WHERE c.outcome = 'failed' AND u.id IS NULL) AS failed,
    count(*) FILTER (WHERE c.outcome = 'waiting'
                     OR (u.id IS NOT NULL AND c.outcome IN ('done', 'refused', 'failed')))
        AS waiting
FROM commands AS c LEFT JOIN unsent AS u ON u.id = c.result_id
GROUP BY c.operation
"""


@dataclass(frozen=True, slots=True)
class Violations(DecidedViolations):
    """What must not be and can be seen in the database alone, besides the rest."""

    sent_but_not_done: int = field(
        default=0, metadata={"says": "orders were sent although their create is not done"}
    )
    done_but_not_sent: int = field(
        default=0, metadata={"says": "creates are done although their order was not sent"}
    )
    sequences_disagree: int = field(
        default=0,
        metadata={"says": "orders count records to a side they have no record for, or the reverse"},
    )
    waiters_without_lane: int = field(
        default=0, metadata={"says": "orders wait for a gap with nothing in their lane"}
    )
    lanes_miscounted: int = field(
        default=0,
        metadata={"says": "orders miscount what waits in their lane"},
    )
    waiting_for_known_numbers: int = field(
        default=0, metadata={"says": "commands wait for an order number that an order has"}
    )
    lanes_asleep: int = field(
        default=0,
        metadata={"says": "lanes wait for no gap and no acceptance, and are not due a turn"},
    )


_CHECKS = {
    "undecided": """
        SELECT count(*) FROM commands
        WHERE outcome NOT IN ('waiting', 'done', 'refused', 'failed')
    """,
    "waiting_nowhere": """
        SELECT count(*) FROM commands AS c
        WHERE c.outcome = 'waiting'
          AND NOT EXISTS (SELECT FROM lane_commands AS l
                          WHERE l.tenant_id = c.tenant_id AND l.command_id = c.command_id)
          AND NOT EXISTS (SELECT FROM reference_waiting AS w
                          WHERE w.tenant_id = c.tenant_id AND w.command_id = c.command_id)
          AND NOT EXISTS (SELECT FROM orders AS o
                          WHERE o.id = c.order_id AND o.origin_id = c.tenant_id
                            AND o.command_id = c.command_id AND o.delivery = 'requested')
    """,
    "placed_but_final": """
        SELECT count(*)
        FROM (SELECT tenant_id, command_id FROM lane_commands
              UNION ALL SELECT tenant_id, command_id FROM reference_waiting) AS placed
        LEFT JOIN commands AS c USING (tenant_id, command_id)
        WHERE c.outcome IS DISTINCT FROM 'waiting'
    """,
    "final_without_answer": """
        SELECT count(*) FROM commands
        WHERE outcome IN ('done', 'refused', 'failed')
          AND (body IS NULL OR http_status IS NULL OR final_at IS NULL OR result_id IS NULL)
    """,
    "gaps_without_waiters": """
        SELECT count(*) FROM gaps AS g
        WHERE g.closed_at IS NULL
          AND NOT EXISTS (SELECT FROM gap_waiters AS w WHERE w.gap_id = g.id)
    """,
    # A closed gap still has its waiters: they are about to be woken.
    "unmapped_without_gap": """
        SELECT count(*) FROM orders AS o
        WHERE o.delivery = 'unsent' AND NOT o.lane_runnable
          AND NOT EXISTS (SELECT FROM gap_waiters AS w WHERE w.order_id = o.id)
    """,
    "sent_without_documents": """
        SELECT count(*) FROM orders
        WHERE delivery = 'sent' AND (destination_document IS NULL OR master_document IS NULL)
    """,
    "lanes_repaired": "SELECT count(*) FROM lane_repairs",
    "sent_but_not_done": """
        SELECT count(*) FROM orders AS o
        JOIN commands AS c ON c.tenant_id = o.origin_id AND c.command_id = o.command_id
        WHERE o.delivery = 'sent' AND c.outcome <> 'done'
    """,
    "done_but_not_sent": """
        SELECT count(*) FROM orders AS o
        JOIN commands AS c ON c.tenant_id = o.origin_id AND c.command_id = o.command_id
        WHERE o.delivery IN ('unsent', 'requested') AND c.outcome = 'done'
    """,
    "sequences_disagree": """
        SELECT count(*) FROM orders
        WHERE (origin_sequence > 0) <> (origin_outbox_id IS NOT NULL)
           OR (destination_sequence > 0) <> (destination_outbox_id IS NOT NULL)
    """,
    "waiters_without_lane": """
        SELECT count(DISTINCT w.order_id) FROM gap_waiters AS w
        WHERE NOT EXISTS (SELECT FROM lane_commands AS l WHERE l.order_id = w.order_id)
    """,
    "lanes_miscounted": """
        SELECT count(*)
        FROM (SELECT id, waiting FROM orders WHERE waiting > 0) AS o
        FULL JOIN (SELECT order_id, count(*) AS n FROM lane_commands
                   WHERE order_id IS NOT NULL GROUP BY order_id) AS l ON l.order_id = o.id
        WHERE coalesce(o.waiting, 0) <> coalesce(l.n, 0)
    """,
    "waiting_for_known_numbers": numbers.COUNT_KNOWN,
    "lanes_asleep": lanes.COUNT_UNFLAGGED,
}


async def violations(connection: Connection) -> Violations:
    """How often each thing is found that must not be."""
    return Violations(**{name: await connection.fetchval(sql) for name, sql in _CHECKS.items()})


async def count(connection: Connection) -> Accounting:
    """Everything there is to account for; `services.domain.accounting.problems` judges it.

    Commands count for ever: those that are no longer remembered by what was counted of them when
    they were forgotten. An id that was sent anew after that counts again.
    """
    operations = {
        row["operation"]: {name: row[name] for name in Counts.__slots__}
        for row in await connection.fetch(_OPERATIONS)
    }
    forgotten = await retention.forgotten(connection)
    for operation, outcomes in forgotten.items():
        counts = operations.setdefault(operation, dict.fromkeys(Counts.__slots__, 0))
        for outcome, n in outcomes.items():
            counts[outcome] += n
            counts["accepted"] += n
    counted = await tallies.totals(connection)
    return Accounting(
        operations={operation: Counts(**counts) for operation, counts in operations.items()},
        duplicates=counted.get(tallies.DUPLICATE, 0),
        dead_letters=counted.get(tallies.DEAD_LETTER, 0),
        forgotten=sum(sum(outcomes.values()) for outcomes in forgotten.values()),
        violations=await violations(connection),
    )


def expose(found: DecidedViolations) -> None:
    """Set the metric of what must not be; all zero in a consistent database."""
    for member in fields(found):
        ACCOUNTING_VIOLATIONS.labels(member.name).set(getattr(found, member.name))
