"""What a decision causes. Nothing here is done yet: the pipeline stores all of it at once."""

from __future__ import annotations

from collections.abc import Mapping as Members
from dataclasses import dataclass, field
from typing import Any

from services.domain.tenants import Pair, Tenant
from services.domain.world import Blob, ChangeState, Mapping, MasterRecord, OrderState


@dataclass(slots=True)
class Answer:
    """What the caller is told: the outcome, HTTP's status and body, and a stable code."""

    outcome: str
    http_status: int
    code: str | None
    body: Members[str, Any]


@dataclass(frozen=True, slots=True)
class Gap:
    """A key nobody can map yet (X05): one row a (tenant, system, entity, kind, key).

    `wake_on` are the tokens (services.domain.tokens) whose upsert may close it.
    """

    tenant_id: str
    system: str
    entity: str
    kind: str
    key: str
    message: str
    wake_on: tuple[str, ...]
    candidates: tuple[str, ...] = ()


@dataclass(slots=True)
class Sync:
    """A record for a tenant's system; order id and sequence are added when it is stored."""

    receiver: Tenant
    type: str
    members: Members[str, Any]
    routing: Members[str, Any]


@dataclass(slots=True)
class Event:
    """A line of the order's timeline."""

    kind: str
    detail: Members[str, Any]


@dataclass(frozen=True, slots=True)
class Upsert:
    """Reference data to be written; `tokens` are those of the row as it was and as it becomes."""

    tenant: Tenant | None = None
    pair: Pair | None = None
    record: MasterRecord | None = None
    mapping: Mapping | None = None
    tokens: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParentMissing:
    """An upsert that waits for what it refers to; a newer one of its key replaces it."""

    entity_key: str
    wake_on: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnknownNumber:
    """No order of these two tenants has this number yet (K42): what the command waits for (race a).

    `tenant_id` is the caller, `partner_id` the other tenant it named. The order that takes the
    command over is one of these two tenants, in either direction, to which either side gives the
    number. The command is kept as received, by (tenant id, number), until that order's creation or
    numbering takes it, or its deadline passes; then it is decided again, with the order's id in
    `Command.lane` or with `Command.overdue`.
    """

    tenant_id: str
    partner_id: str
    number: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that an order refers to from now on: both its tenants may read it.

    `content` are the bytes to store under the blob's id where the command brought them itself, None
    where they are stored already.
    """

    blob: Blob
    content: bytes | None


@dataclass(slots=True)
class Effects:
    """All that one command causes.

    `order` is the order as it becomes (new or changed), never the very state the world holds; its
    documents are the same objects as before where nothing in them changed. `about` is the order the
    command was found to mean where it does not change it: a refusal, a repeat, a wait.

    With an answer that waits, exactly one of these says what for, and the command is kept as
    received: `in_lane`, the lane of the order itself, as its head or behind what stands there,
    whose `gaps` are registered for the order; `number`; `parent`; or none of them, for an order
    that waits for acceptance and is no command in a lane.
    `create` is what the order's own create, which waited until now, comes to by this command: its
    final answer and what it causes itself, all about the same order.
    `supersedes` names a waiting upsert (tenant id, command id) that this one ends. `changes` are
    proposed changes as they become, new or settled.
    """

    answer: Answer
    order: OrderState | None = None
    syncs: list[Sync] = field(default_factory=list)
    logs: list[Members[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    upsert: Upsert | None = None
    parent: ParentMissing | None = None
    supersedes: tuple[str, str, Answer] | None = None
    about: str | None = None
    in_lane: bool = False
    number: UnknownNumber | None = None
    picture: Picture | None = None
    changes: list[ChangeState] = field(default_factory=list)
    create: Effects | None = None

    @property
    def order_id(self) -> str | None:
        """The order all of this is about, changed or not; None where none is known."""
        return self.about if self.order is None else self.order.id
