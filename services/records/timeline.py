"""The timeline of an order: commands, steps, waits, gaps, turns, records, each with time and cause.

A command leaves a line when it was asked and one when it was answered; between them stands what it
did to the order, and what was told of it. Records are lines of their own, which say whether the
broker has them. Nothing is kept of a gap that was closed but what was said of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson

from services.domain.effects import Event, Sync
from services.kit.database import Connection

# Members of an event's detail beside what the decision says: that the command had waited for its
# turn, and the records it caused.
_WAITED = "waited"
_RECORDS = "records"

# An order's papers may be many: of what happened and of the log the newest are told.
_MOST = 1000
# Partitions are monthly and begin long before; the clocks of processes differ by less.
_EARLIER = timedelta(hours=1)
_RANK = {"asked": 0, "gap": 2, "record": 3, "waits": 4, "log": 5, "answered": 6}


@dataclass(slots=True)
class Line:
    """One line. `tenant_id` caused it; `to` is whom a record is for, None on all other lines."""

    at: datetime
    kind: str
    tenant_id: str | None
    command_id: str | None
    detail: dict[str, Any] = field(default_factory=dict)
    to: str | None = None


_EVENTS = f"""
SELECT created_at, kind, tenant_id, command_id, detail FROM order_events
WHERE order_id = $1 AND created_at >= $2 ORDER BY created_at DESC LIMIT {_MOST}
"""
_LOG = f"""
SELECT created_at, id, tenant_id, command_id, entry FROM log_entries
WHERE order_id = $1 AND created_at >= $2 ORDER BY created_at DESC LIMIT {_MOST}
"""
_LANE = """
SELECT tenant_id, command_id, operation, reason, arrived_at FROM lane_commands
WHERE order_id = $1 ORDER BY id
"""
_GAPS = """
SELECT g.tenant_id, g.system, g.entity, g.key_kind, g.key, g.first_seen, g.closed_at
FROM gap_waiters AS w JOIN gaps AS g ON g.id = w.gap_id WHERE w.order_id = $1 ORDER BY g.id
"""
_COMMANDS = """
SELECT c.tenant_id, c.command_id, c.operation, c.outcome, c.code, c.accepted_at, c.final_at
FROM unnest($1::text[], $2::text[]) AS wanted (tenant_id, command_id)
JOIN commands AS c USING (tenant_id, command_id)
"""
_KEPT = """
SELECT id, false AS parked FROM outbox WHERE id = ANY($1::bigint[])
UNION ALL SELECT id, true FROM outbox_parked WHERE id = ANY($1::bigint[])
"""


async def of_order(
    connection: Connection, order_id: str, since: datetime, create: tuple[str, str]
) -> list[Line]:
    """All lines of an order in the order of their times.

    `since` is when it was created, `create` are the tenant and the id of the command that did.
    """
    begin = since - _EARLIER
    events = await connection.fetch(_EVENTS, order_id, begin)
    logs = await connection.fetch(_LOG, order_id, begin)
    lane = await connection.fetch(_LANE, order_id)
    lines = [line for row in reversed(events) for line in _happened(row)]
    lines += [_logged(row) for row in reversed(logs)]
    lines += [_waits(row) for row in lane]
    lines += [line for row in await connection.fetch(_GAPS, order_id) for line in _gap(row)]
    by = {(row["tenant_id"], row["command_id"]) for row in (*events, *logs, *lane)}
    wanted = sorted(each for each in by | {create} if None not in each)
    rows = await connection.fetch(_COMMANDS, [each[0] for each in wanted], [e[1] for e in wanted])
    lines += [line for row in rows for line in _asked(row)]
    await _say_state(connection, lines)
    return sorted(lines, key=lambda line: (line.at, _RANK.get(line.kind, 1)))


def with_records(
    events: Sequence[Event], records: Sequence[tuple[Sync, int, int]], *, waited: bool
) -> Sequence[Event]:
    """The events of a command as they are kept: the last one knows what was told because of it.

    `records` are sync records with their sequence numbers and outbox ids; `waited` says that the
    command had its turn after a wait.
    """
    if not records and not (waited and events):
        return events
    last = events[-1] if events else Event("told", {})
    detail = dict(last.detail)
    if waited:
        detail[_WAITED] = True
    if records:
        detail[_RECORDS] = [
            {"type": sync.type, "to": sync.receiver.slug, "sequence": sequence, "row": row}
            for sync, sequence, row in records
        ]
    return [*events[:-1], Event(last.kind, detail)]


def seen_by(lines: Iterable[Line], tenant_ids: Sequence[str], slugs: Sequence[str]) -> list[Line]:
    """The lines these tenants may see: what their commands did, and what was sent to them.

    Of a record that another tenant's command caused its id is left out. A gap is its tenant's own.
    """
    seen = []
    for line in lines:
        if line.tenant_id in tenant_ids:
            seen.append(line)
        elif line.kind == "record" and line.to in slugs:
            seen.append(Line(line.at, line.kind, line.tenant_id, None, line.detail, line.to))
    return seen


def _happened(row: asyncpg.Record) -> list[Line]:
    """An event, and a line for each of its records."""
    detail = orjson.loads(row["detail"])
    records = detail.pop(_RECORDS, ())
    who = (row["tenant_id"], row["command_id"])
    lines = [Line(row["created_at"], row["kind"], *who, detail)]
    for record in records:
        told = {name: record[name] for name in ("type", "to", "sequence", "row")}
        lines.append(Line(row["created_at"], "record", *who, told, record["to"]))
    return lines


def _logged(row: asyncpg.Record) -> Line:
    entry = orjson.loads(row["entry"])
    told = {
        "log_id": row["id"],
        "status": entry.get("status"),
        "title": entry.get("title"),
        "message": (entry.get("detail") or {}).get("message"),
    }
    return Line(row["created_at"], "log", row["tenant_id"], row["command_id"], told)


def _waits(row: asyncpg.Record) -> Line:
    told = {"operation": row["operation"], "reason": row["reason"]}
    return Line(row["arrived_at"], "waits", row["tenant_id"], row["command_id"], told)


def _gap(row: asyncpg.Record) -> list[Line]:
    told = {name: row[name] for name in ("system", "entity", "key_kind", "key")}
    lines = [Line(row["first_seen"], "gap", row["tenant_id"], None, told)]
    if row["closed_at"] is not None:
        lines.append(Line(row["closed_at"], "gap-closed", row["tenant_id"], None, told))
    return lines


def _asked(row: asyncpg.Record) -> list[Line]:
    who, asked = (row["tenant_id"], row["command_id"]), {"operation": row["operation"]}
    lines = [Line(row["accepted_at"], "asked", *who, asked)]
    if row["final_at"] is not None:
        told = {**asked, "outcome": row["outcome"], "code": row["code"]}
        lines.append(Line(row["final_at"], "answered", *who, told))
    return lines


async def _say_state(connection: Connection, lines: Iterable[Line]) -> None:
    """Whether each record was acknowledged: it then stands in neither table (K40)."""
    records = [line for line in lines if line.kind == "record"]
    rows = await connection.fetch(_KEPT, [line.detail["row"] for line in records])
    kept = {row["id"]: "parked" if row["parked"] else "unsent" for row in rows}
    for line in records:
        line.detail["state"] = kept.get(line.detail.pop("row"), "acknowledged")
