"""Upserts driven through a world in memory that waits and wakes as the pipeline does: by tokens."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from pydantic import TypeAdapter

from schemas.reading import read
from schemas.reference import UPSERT_MAPPING, UPSERT_PAIR, UPSERT_RECORD, UPSERT_TENANT
from services.domain import reference
from services.domain.command import Command
from services.domain.effects import Answer, Effects, Upsert
from services.domain.operations import upsert_mapping, upsert_pair, upsert_record, upsert_tenant
from services.domain.tenants import OPERATORS, Directory, Tenant
from services.domain.world import MasterData, Needs, World

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Operation(Protocol):
    def needs(self, command: Command, directory: Directory) -> Needs: ...

    def decide(self, command: Command, world: World, now: datetime) -> Effects: ...


ADAPTERS: dict[str, TypeAdapter[Any]] = {
    reference.TENANT: UPSERT_TENANT,
    reference.PAIR: UPSERT_PAIR,
    reference.RECORD: UPSERT_RECORD,
    reference.MAPPING: UPSERT_MAPPING,
}
MODULES: dict[str, Operation] = {
    reference.TENANT: upsert_tenant,
    reference.PAIR: upsert_pair,
    reference.RECORD: upsert_record,
    reference.MAPPING: upsert_mapping,
}


def upsert(
    operation: str,
    body: Mapping[str, Any],
    *,
    id: str = "u1",  # noqa: A002
    caller: Tenant = OPERATORS,
    strict: bool = False,
    arrived: int = 0,
) -> Command:
    """An upsert as the pipeline hands it to a decision; `arrived` in seconds after noon."""

    def derive(*parts: str) -> str:
        return hashlib.sha256(repr((caller.id, id, parts)).encode()).hexdigest()[:24]

    return Command(
        operation=operation,
        id=id,
        caller=caller,
        partner_name=None,
        partner=None,
        system_name=None,
        instance_name=None,
        strict=strict,
        correlation_id=id,
        reading=read(ADAPTERS[operation], dict(body), strict=strict),
        accepted_at=NOON + timedelta(seconds=arrived),
        derive=derive,
    )


@dataclass
class Desk:
    """Takes upserts one by one; what waits is decided again when one of its tokens is woken."""

    world: World = field(default_factory=lambda: World(Directory.of([OPERATORS], []), MasterData()))
    answers: dict[str, Answer] = field(default_factory=dict)
    woken: list[str] = field(default_factory=list)
    upserts: list[Upsert] = field(default_factory=list)
    _waiting: dict[str, tuple[Command, tuple[str, ...]]] = field(default_factory=dict)

    def take(self, *commands: Command) -> Answer:
        """Decide these in order, and whatever they wake; the answer to the last one itself."""
        *earlier, last = commands
        for command in earlier:
            self._decide(command)
        return self._decide(last)

    def take_body(
        self,
        operation: str,
        body: Mapping[str, Any],
        id: str = "again",  # noqa: A002
    ) -> Answer:
        """Decide an upsert of this body by the operator."""
        return self.take(upsert(operation, body, id=id))

    def waiting(self) -> set[str]:
        return set(self._waiting)

    def _decide(self, command: Command) -> Answer:
        module = MODULES[command.operation]
        module.needs(command, self.world.directory)
        effects = module.decide(command, self.world, NOON)
        self.answers[command.id] = effects.answer
        self._waiting.pop(command.id, None)
        key = reference.entity_key(command.operation, command.body)
        if self.world.waiting_upserts.get(key) == (command.caller.id, command.id):
            del self.world.waiting_upserts[key]
        if effects.supersedes is not None:
            _, superseded, answer = effects.supersedes
            self.answers[superseded] = answer
            del self._waiting[superseded]
            self.world.waiting_upserts.pop(key)
        if effects.parent is not None:
            assert effects.parent.entity_key == key
            self._waiting[command.id] = (command, effects.parent.wake_on)
            self.world.waiting_upserts[key] = (command.caller.id, command.id)
        if effects.upsert is not None:
            self.upserts.append(effects.upsert)
            reference.apply(self.world, effects.upsert)
            self._wake(effects.upsert.tokens)
        return effects.answer

    def _wake(self, tokens: tuple[str, ...]) -> None:
        self.woken.extend(tokens)
        due = [
            command
            for command, wake_on in self._waiting.values()
            if not set(tokens).isdisjoint(wake_on)
        ]
        for command in due:
            if command.id in self._waiting:
                self._decide(command)


def tenant(slug: str = "acme", **members: Any) -> dict[str, Any]:
    return {"slug": slug, "name": f"{slug.title()} Fuels", "systems": [{"name": "erp"}], **members}


def product(goid: str = "product_DIESEL", **members: Any) -> dict[str, Any]:
    return {"goid": goid, "entity": "product", "name": goid, **members}


def site(goid: str = "site_STATION", **members: Any) -> dict[str, Any]:
    return {
        "goid": goid,
        "entity": "site",
        "name": "Station 1",
        "tanks": [{"goid": "tank_ONE111", "number": 1, "product": "product_DIESEL"}],
        **members,
    }


def mapping(tenant: str = "acme", **members: Any) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "system": "erp",
        "entity": "site",
        "source_id": "S-1",
        "source_name": "Station One",
        "goid": "site_STATION",
        "tanks": [{"tank_id": "1", "tank_goid": "tank_ONE111"}],
        **members,
    }
