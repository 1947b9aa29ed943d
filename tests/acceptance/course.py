"""What two companies say of one order, and what must come of it by the documents.

A small model of the rules, written from the documents and not from the hub's code: every command
ends `done` or `refused` with a code, and causes records for either side, in this order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance.words import Body, Order

GAP, REQUESTED, SENT, CANCELED, REJECTED = "gap", "requested", "sent", "canceled", "rejected"
DONE = ("done", None)
# They act at once on an order that is there, whatever waits in its lane (X06 to X08).
OVERTAKING = {"order.cancel", "order.receipt", "order.request-accept", "order.request-reject"}
RECEIPTS = {
    "received": "order.received",
    "failed": "order.failed",
    "rejected": "order.rejected",
}
PAPERS = {
    "order.update-status": "order.status-updated",
    "order.save-bol": "order.bol-saved",
    "order.save-drop": "order.drop-saved",
    "order.save-bol-image": "order.bol-photo-saved",
}

Ending = tuple[str, str | None]
# A member of a sync record, by its path, and what it must say.
Reads = tuple[str, Any] | None


@dataclass(frozen=True, slots=True)
class Said:
    """One command: by which tenant, and what its other side must read of it."""

    id: str
    operation: str
    by: str
    to: str
    body: Body
    reads: Reads = None

    @property
    def value(self) -> bytes:
        """What is sent."""
        return json.dumps(self.body, ensure_ascii=False).encode()

    @property
    def key(self) -> bytes:
        """The number of its order."""
        named = self.body.get("order", self.body)
        return str(named.get("order_number") or named["origin_order_number"]).encode()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A sync record that must come: its type, the command that caused it, what it must say."""

    type: str
    cause: str
    reads: Reads = None


@dataclass(slots=True)
class Pending:
    """The one change of an order that may be accepted or rejected."""

    by: str
    reads: Reads
    stale: bool = False


@dataclass(slots=True)
class Course:
    """One order from beginning to end; `take` its commands in the order they arrive.

    Nothing is known of it (`stage` None) until `created`; where it is `late` it waits for a mapping
    until `opened`; where it is `manual` its destination accepts it by hand.
    """

    order: Order
    origin: str
    destination: str
    manual: bool
    late: bool
    said: list[Said] = field(default_factory=list)
    endings: dict[str, Ending] = field(default_factory=dict)
    wanted: dict[str, list[Wanted]] = field(default_factory=dict)
    stage: str | None = None
    complete: bool = False
    number: str | None = None
    pending: Pending | None = None
    _lane: list[Said] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Either side has its list, be it empty."""
        self.wanted = {self.origin: [], self.destination: []}

    @property
    def create_id(self) -> str:
        return self.order.command_id

    def other(self, tenant: str) -> str:
        """The other side."""
        return self.destination if tenant == self.origin else self.origin

    def create(self) -> Said:
        """The create, as one thing that is said."""
        body = json.loads(self.order.body)
        return Said(self.create_id, "order.create", self.origin, self.destination, body)

    def take(self, said: Said) -> None:
        """A command arrives; K42: it is decided, or waits behind what waits."""
        self.said.append(said)
        overtakes = said.operation in OVERTAKING
        if self.stage is None or (self.stage in (GAP, REQUESTED) and not overtakes):
            self._lane.append(said)
        else:
            self._decide(said)

    def created(self) -> None:
        """The create arrives; what overtakes goes before the rest of what came earlier (17.3)."""
        if self.late:
            self.stage = GAP
        else:
            self._mapped()
        early = [each for each in self._lane if each.operation in OVERTAKING]
        self._lane = [each for each in self._lane if each not in early]
        for each in early:
            self._decide(each, waited=True)
        self._drain()

    def opened(self) -> None:
        """What it waits for is mapped (X05)."""
        if self.stage == GAP:
            self._mapped()
            self._drain()

    def _mapped(self) -> None:
        if self.manual:
            self.stage = REQUESTED
            self._tell(self.destination, "order.requested", self.create_id, self._number_reads)
        else:
            self._send()

    def _send(self) -> None:
        self.stage = SENT
        self.endings[self.create_id] = DONE
        self._tell(self.destination, "order.created", self.create_id, self._number_reads)

    @property
    def _number_reads(self) -> Reads:
        return "order.origin_order_number", self.order.number

    def _drain(self) -> None:
        """What waited has its turn, unless the order itself still waits."""
        if self.stage in (GAP, REQUESTED):
            return
        lane, self._lane = self._lane, []
        for each in lane:
            self._decide(each, waited=True)

    def _tell(self, receiver: str, type_: str, cause: str, reads: Reads = None) -> None:
        self.wanted[receiver].append(Wanted(f"crossroads.{type_}.v1", cause, reads))

    def _decide(self, said: Said, *, waited: bool = False) -> None:
        ending = _RULES[said.operation](self, said, waited)
        self.endings[said.id] = DONE if ending is None else ("refused", ending)
        if said.operation in OVERTAKING:
            self._drain()

    def _closed(self, waited: bool) -> str | None:
        """Why it takes nothing more; 17.4: what waited is told otherwise than what comes later."""
        if self.stage not in (CANCELED, REJECTED):
            return None
        return f"order.{self.stage}" if waited else f"request.order_{self.stage}"

    def _close(self, stage: str) -> None:
        # Its create where that still waits, and a change that is pending, end with it (X01, X08).
        self.endings.setdefault(self.create_id, ("refused", f"order.{stage}"))
        self.stage, self.pending = stage, None

    # What becomes of each operation: the code of a refusal, None where it is done.

    def _paper(self, said: Said, waited: bool) -> str | None:
        """K26: after complete papers are taken and statuses are not."""
        is_status = said.operation == "order.update-status"
        if closed := self._closed(waited):
            return closed
        if is_status and self.complete:
            return "request.order_already_complete"
        if said.body.get("progress_status") == "complete":
            self.complete, self.pending = True, None
        self._tell(self.other(said.by), PAPERS[said.operation], said.id, said.reads)
        return None

    def _update(self, said: Said, waited: bool) -> str | None:
        """X01: the origin's is applied, the destination's becomes a proposal."""
        if said.by == self.destination:
            return self._propose(said, waited)
        if closed := self._closed(waited):
            return closed
        if self.complete:
            return "request.order_already_complete"
        if self.pending is not None:
            self.pending.stale = True
        self._tell(self.other(said.by), "order.updated", said.id, said.reads)
        return None

    def _propose(self, said: Said, waited: bool) -> str | None:
        if closed := self._closed(waited):
            return closed
        if self.complete:
            return "request.order_already_complete"
        other = self.other(said.by)
        if self.pending is not None:
            for receiver in (other, said.by):
                self._tell(
                    receiver, "change.rejected", said.id, ("change.reason_code", "superseded")
                )
        self._tell(other, "change.proposed", said.id)
        self.pending = Pending(said.by, said.reads)
        return None

    def _accept(self, said: Said, waited: bool) -> str | None:
        if closed := waited and self._closed(waited):
            return closed
        pending = self.pending
        if pending is None:
            return "change.not_found"
        if pending.by == said.by:
            return "change.not_yours"
        if pending.stale:
            return "change.stale"
        self._tell(pending.by, "change.accepted", said.id, pending.reads)
        self.pending = None
        return None

    def _reject(self, said: Said, waited: bool) -> str | None:
        """X03; who withdraws what it proposed is told, too."""
        if closed := waited and self._closed(waited):
            return closed
        pending = self.pending
        if pending is None:
            return "change.not_found"
        told = (self.other(said.by), said.by) if pending.by == said.by else (pending.by,)
        for receiver in told:
            self._tell(receiver, "change.rejected", said.id, said.reads)
        self.pending = None
        return None

    def _cancel(self, said: Said, waited: bool) -> str | None:
        """X08; no two cancels of a course have one reason."""
        if closed := self._closed(waited):
            return closed
        if self.complete:
            return "request.order_already_complete"
        told = {SENT: self.other(said.by), REQUESTED: self.destination}.get(self.stage or "")
        if told is not None:
            self._tell(told, "order.canceled", said.id, said.reads)
        self._close(CANCELED)
        return None

    def _receipt(self, said: Said, waited: bool) -> str | None:
        if said.by != self.destination:
            return "request.not_allowed"
        if closed := self._closed(waited):
            return closed
        if self.stage != SENT:
            return "request.order_not_sent"
        if said.body["status"] == "rejected" and self.complete:
            return "request.order_already_complete"
        number = said.body.get("destination_order_number")
        if number is not None and self.number not in (None, number):
            return "request.invalid"
        self.number = self.number or number
        self._tell(self.origin, RECEIPTS[said.body["status"]], said.id, said.reads)
        if said.body["status"] == "rejected":
            self._close(REJECTED)
        return None

    def _request(self, said: Said, waited: bool) -> str | None:
        """X06: accepted it is sent, and its create done; rejected its create is refused."""
        if said.by != self.destination:
            return "request.not_allowed"
        if closed := self._closed(waited):
            return closed
        if self.stage != REQUESTED:
            return "request.order_not_requested"
        if said.operation == "order.request-accept":
            self.number = said.body["destination_order_number"]
            self._tell(self.origin, "order.accepted", said.id, said.reads)
            self._send()
        else:
            self._tell(self.origin, "order.rejected", said.id, said.reads)
            self._close(REJECTED)
        return None


_RULES: Mapping[str, Callable[[Course, Said, bool], str | None]] = {
    **dict.fromkeys(PAPERS, Course._paper),
    "order.update": Course._update,
    "change.propose": Course._propose,
    "change.accept": Course._accept,
    "change.reject": Course._reject,
    "order.cancel": Course._cancel,
    "order.receipt": Course._receipt,
    "order.request-accept": Course._request,
    "order.request-reject": Course._request,
}
