"""What the driver's side of an order has in common: which order takes it now, and what is told.

An order that is unsent or asked for, or whose lane holds earlier commands, takes it later: it waits
in that order's lane (K42). On a canceled or rejected one nothing is taken (K26).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Mapping as Members
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.codes import Code, http_status_of
from schemas.errors import ErrorEntry
from services.domain import addressing, logs, mapping_ids, refusals, routing, status
from services.domain.command import Command
from services.domain.effects import Answer, Effects, Event, Picture, Sync, UnknownNumber
from services.domain.entries import ignored, together
from services.domain.mapping import Side
from services.domain.tenants import Directory, Pair, Tenant
from services.domain.wording import Wording
from services.domain.world import OrderState, World

Words = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
Find = Callable[[Command, Tenant, World], OrderState | Answer | UnknownNumber]

BEHIND = "An earlier command on this order has to be done first."
NO_ORDER_YET = "No order has the number {number} yet: waiting for it."


@dataclass(frozen=True, slots=True)
class Kind:
    """What is told of one operation.

    The title of its logs, the member of its answers and sync records, the type of the latter, and
    its word in the order's timeline. `beside` are further members of its answers, `subject` is what
    its logs say is sent, waits or is refused. With `ended` it is also about orders that take
    nothing more, and the decision says what becomes of it there, unless it waited until then.
    """

    title: str
    member: str
    sync: str
    event: str
    beside: tuple[str, ...] = ()
    subject: str = "Progress"
    ended: bool = False


@dataclass(slots=True)
class Saying:
    """A command as it is told of, with as much as is known of its order and pair."""

    kind: Kind
    command: Command
    now: datetime
    pair: Pair | None = None
    order: OrderState | None = None

    def refused(self, code: Code, detail: str) -> Effects:
        """Ends with a refusal, which is logged for the caller."""
        log = self.log("refused", detail, code)
        return Effects(refusals.refused(code, detail, log), logs=[log], about=self._about)

    def rule(self, code: Code) -> Effects:
        """Ends with the refusal whose sentence is fixed."""
        return self.refused(code, refusals.text(code))

    def invalid(self, errors: list[ErrorEntry]) -> Effects:
        """Ends with everything that is wrong with the request (K28)."""
        log = self.log("refused", refusals.INVALID, Code.INVALID)
        return Effects(refusals.invalid(errors), logs=[log], about=self._about)

    def waiting(self, code: Code, message: str, *, step: str, said: Any = None) -> Effects:
        """Told at once that it waits; the caller of this says what for."""
        log = self.log("waiting", message, code)
        also = ignored(self.command.reading)
        body = {
            "status": step,
            "message": message if also is None else f"{message} {also}",
            "log": log,
            self.kind.member: said,
            **dict.fromkeys(self.kind.beside),
        }
        answer = Answer("waiting", http_status_of(code), str(code), body)
        return Effects(answer, logs=[log], about=self._about)

    def log(
        self, outcome: str, text: str, code: Code | None, became: str | None = None
    ) -> dict[str, Any]:
        """The log entry of what became of it (R096, K45), in a word `became`, if given."""
        command, order = self.command, self.order
        number = self._number()
        return logs.entry(
            command,
            self.now,
            title=self.kind.title if number is None else f"{self.kind.title} {number}",
            status=outcome,
            category=_CATEGORY.get(code, "validation"),
            message=text,
            short=f"{self.kind.subject} {became or _SHORT[outcome]}",
            routing=self.routing(),
            subject=logs.Subject(
                number=number,
                origin_number=None if order is None else order.origin_number,
                order_id=self._about,
            ),
            error=None if code is None else str(code),
        )

    def routing(self) -> routing.Routing:
        """The way of this message (K43)."""
        command, order = self.command, self.order
        system, caller = command.system_name, command.caller
        # An instance named without its system is one of the primary system (K01).
        if system is None and command.instance_name is None and order is not None:
            system = None if self.pair is None else own_system(order, self.pair, caller)
        return routing.between(
            caller,
            caller.system(system),
            routing.instance_of(caller, system, command.instance_name),
            self.pair,
            None if order is None else order.origin_system,
        )

    @property
    def _about(self) -> str | None:
        return None if self.order is None else self.order.id

    def _number(self) -> str | None:
        """The caller's number of the order (K45): its own, else the one it used."""
        asked = addressing.wanted(self.command.body).order_number
        if self.order is None:
            return asked
        own = addressing.own_number(self.order, self.command.caller.id)
        return own or asked or self.order.origin_number


@dataclass(slots=True)
class Case:
    """A command whose order takes it now; `mine` is the caller's side, `theirs` the receiver's."""

    saying: Saying
    order: OrderState
    mine: Side
    theirs: Side

    @property
    def destination(self) -> Tenant:
        """Whom the order is for."""
        mine = self.mine.tenant
        return mine if mine.id == self.order.destination_id else self.theirs.tenant

    def wording(self, world: World) -> Wording:
        """Reads what the command says in the words of both sides."""
        pair, tenant = self.saying.pair, self.mine.tenant
        own = Side.of(tenant, None if pair is None else own_system(self.order, pair, tenant))
        foreign = self.mine.scope != own.scope
        return Wording(self.order, self.mine, self.theirs, world.master, foreign, spoken=own)

    def invalid(self, errors: Iterable[ErrorEntry]) -> Effects:
        """Ends with what is wrong in the light of the order."""
        return self.saying.invalid(together(self.saying.command, errors))

    def missing(self, wording: Wording, said: Any) -> Effects:
        """Waits in the order's lane for the mappings that are missing (X05, K41)."""
        message = f"Missing mappings: {'; '.join(gap.message for gap in wording.gaps)}"
        step = status.ORIGIN_MAPPED if wording.unread else status.MASTER_MAPPED
        effects = self.saying.waiting(Code.MAPPING_GAP, message, step=step, said=said)
        effects.gaps, effects.in_lane = wording.gaps, True
        effects.events = [Event("waiting", {"step": step, "message": message})]
        return effects

    def by_document(self, words: Words) -> Words:
        """(The caller's, the master's, the other's) as (origin's, master's, destination's)."""
        if self.mine.tenant.id == self.order.origin_id:
            return words
        return words[2], words[1], words[0]

    def repeated(self, said: Any) -> Effects:
        """It is so already: done, and nothing new is stored or sent (K33)."""
        log = self.saying.log("success", "Nothing new: it is so already.", None, "unchanged")
        return Effects(self._done(log, said), logs=[log], about=self.order.id)

    def sent(
        self,
        order: OrderState,
        said: Any,
        told: Any,
        *,
        detail: Members[str, Any],
        warning: str | None = None,
        picture: Picture | None = None,
    ) -> Effects:
        """Taken, and told to the other side; the answer is given once that is acknowledged (K40).

        `said` is the answer's member, in the caller's words, `told` the sync record's, in the
        other's; `detail` goes into the order's timeline.
        """
        receiver = self.theirs.tenant
        text = f"Sent to {receiver.name}."
        log = self.saying.log("success", text if warning is None else f"{text} {warning}", None)
        kind = self.saying.kind
        return Effects(
            answer=self._done(log, said),
            order=order,
            syncs=[Sync(receiver, kind.sync, {kind.member: told}, log["routing"])],
            logs=[log],
            events=[Event(kind.event, detail)],
            picture=picture,
        )

    def _done(self, log: Members[str, Any], said: Any) -> Answer:
        body = {
            "status": status.SYNCED,
            "message": ignored(self.saying.command.reading),
            "log": log,
            self.saying.kind.member: said,
        }
        return Answer("done", 200, None, body)


def admit(
    kind: Kind,
    command: Command,
    world: World,
    now: datetime,
    rules: Callable[[Command], Iterable[ErrorEntry]],
    *,
    find: Find = addressing.find,
) -> Case | Effects:
    """The case to decide; or what becomes of the command instead of it.

    `find` says which order is meant, the refusal where there is none, or the number to wait for.

    Refused: what breaks a rule, a tenant that may not, an order that is not there, that several
    numbers fit, or that takes nothing more. Waiting: for a number nobody gave yet, or in the lane.
    """
    case = identify(kind, command, world, now, rules, find=find)
    return case if isinstance(case, Effects) else _admitted(case)


def _all_wrong(
    command: Command, world: World, pair: Pair | None, broken: Iterable[ErrorEntry]
) -> list[ErrorEntry]:
    """Mapping ids that are none of the caller's beside all else; of a pair alone they are known."""
    ids = mapping_ids.of(world.master, command.caller.id)
    unknown = () if pair is None else mapping_ids.unknown(command.body, ids)
    return together(command, [*broken, *unknown])


def identify(
    kind: Kind,
    command: Command,
    world: World,
    now: datetime,
    rules: Callable[[Command], Iterable[ErrorEntry]],
    *,
    find: Find = addressing.find,
) -> Case | Effects:
    """The case of an order that is there, in whatever state; else what becomes of the command.

    For what acts at once on a known order. Whether the order takes it is the decision's to say.
    """
    pair = _pair(world.directory, command.caller, command.partner)
    saying = Saying(kind, command, now, pair)
    waited = command.lane is not None
    if not waited and not command.caller.active:
        return saying.refused(Code.NOT_ALLOWED, refusals.INACTIVE)
    broken = list(rules(command))
    if together(command, broken):
        return saying.invalid(_all_wrong(command, world, pair, broken))
    if command.partner is None or (pair is None and not waited):
        # An unknown tenant and one without a pair are told the same: nobody learns who exists.
        return saying.refused(Code.NO_SUCH_PAIR, refusals.NO_SUCH_PAIR)
    found = find(command, command.partner, world)
    if isinstance(found, UnknownNumber):
        return _unknown(saying, found)
    if isinstance(found, Answer):
        code = Code(found.code or "")
        return saying.refused(code, found.body["detail"])
    return _case(saying, found, world.directory)


def own_system(order: OrderState, pair: Pair, tenant: Tenant) -> str | None:
    """The system a side's words in the order are of; None is its primary one."""
    return order.origin_system if tenant.id == order.origin_id else pair.destination_system


def _case(saying: Saying, order: OrderState, directory: Directory) -> Case:
    command = saying.command
    origin = directory.by_id[order.origin_id]
    destination = directory.by_id[order.destination_id]
    pair = directory.pair(origin, destination) or Pair("", origin, destination)
    mine, theirs = origin, destination
    if command.caller.id == order.destination_id:
        mine, theirs = destination, origin
    return Case(
        Saying(saying.kind, command, saying.now, pair, order),
        order,
        Side.of(mine, command.system_name or own_system(order, pair, mine)),
        Side.of(theirs, own_system(order, pair, theirs)),
    )


def _admitted(case: Case) -> Case | Effects:
    saying, order = case.saying, case.order
    command = saying.command
    waited = command.lane is not None
    closed = why_closed(order, waited=waited)
    if closed is None and order.delivery == status.REQUESTED:
        return _behind(saying, f"The order waits for acceptance by {case.destination.name}.")
    if closed is None and (
        order.delivery != status.SENT or (order.waiting and command.lane != order.id)
    ):
        return _behind(saying, BEHIND)
    if closed is not None and (waited or not saying.kind.ended):
        return saying.rule(closed)
    return case


def why_closed(order: OrderState, *, waited: bool = False) -> Code | None:
    """Why the order takes nothing more; None where it does.

    A command that `waited` for its turn is told that the order was closed meanwhile. An order that
    could never be sent has nobody to tell.
    """
    if order.delivery == status.CANCELED:
        return Code.ORDER_CANCELED if waited else Code.ORDER_IS_CANCELED
    if order.receipt == status.REJECTED:
        return Code.ORDER_REJECTED if waited else Code.ORDER_IS_REJECTED
    return Code.ORDER_NOT_SENT if order.delivery == status.FAILED else None


def _behind(saying: Saying, message: str) -> Effects:
    effects = saying.waiting(Code.LANE_BEHIND, message, step=status.PENDING)
    effects.in_lane = True
    return effects


def _unknown(saying: Saying, number: UnknownNumber) -> Effects:
    message = NO_ORDER_YET.format(number=number.number)
    effects = saying.waiting(Code.LANE_ORDER_UNKNOWN, message, step=status.PENDING)
    effects.number = number
    return effects


def _pair(directory: Directory, caller: Tenant, partner: Tenant | None) -> Pair | None:
    """A pair of the two, in either direction."""
    if partner is None:
        return None
    return directory.pair(caller, partner) or directory.pair(partner, caller)


_SHORT = {"success": "sent", "waiting": "waits", "refused": "refused"}
_CATEGORY = {
    Code.MAPPING_GAP: "mapping",
    Code.LANE_BEHIND: "crossroads",
    Code.LANE_ORDER_UNKNOWN: "crossroads",
    None: "crossroads",
}
