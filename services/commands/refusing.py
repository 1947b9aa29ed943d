"""An operator ends the head of a lane, with a reason (protocol §3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from schemas.codes import Code
from services.commands import endings
from services.commands.endings import Ending
from services.domain import refusals
from services.domain.effects import Event
from services.kit.database import Connection
from services.records import gaps, history, lanes

# Who emits what an operator's command causes.
SERVICE = "operator"


@dataclass(frozen=True, slots=True)
class Refused:
    """The command that was ended, and how many still wait behind it."""

    tenant_id: str
    command_id: str
    operation: str
    left: int


async def refuse_head(
    connection: Connection, order_id: str, reason: str, moment: datetime
) -> Refused | None:
    """End the first command in the lane of an order with `lane.refused`; None where none waits.

    What stands behind it has its turn. Where it is the order's own create, the order can never be
    sent, and what waits for it is refused in turn.
    """
    await lanes.hold(connection, order_id)
    heads = await lanes.turns(connection, [order_id], 1)
    if not heads:
        return None
    head = heads[0]
    identity = (head.tenant_id, head.command_id)
    text = refusals.text(Code.LANE_REFUSED, reason=reason)
    ending = Ending(
        answer=refusals.refused(Code.LANE_REFUSED, text),
        title="Ended by an operator",
        message=text,
        short="Ended by an operator",
    )
    await endings.end(
        connection, SERVICE, identity, head.record, ending, moment=moment, order_id=order_id
    )
    await lanes.leave(connection, [head.lane_id])
    emptied = await gaps.release(connection, [order_id])
    left = await lanes.head_ended(connection, order_id, *identity, text)
    await gaps.forget(connection, emptied)
    await history.write_events(
        connection, [(order_id, *identity, Event("refused", {"reason": reason}))]
    )
    await lanes.wake_workers(connection)
    return Refused(*identity, head.operation, left)
