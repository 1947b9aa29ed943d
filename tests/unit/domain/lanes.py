"""Lanes, gaps and unknown numbers in memory: what a pipeline does with effects that wait."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from services.domain.command import Command
from services.domain.effects import Answer, Effects, UnknownNumber
from services.domain.operations.table import TABLE
from services.domain.tokens import tokens_of_mapping
from services.domain.world import Mapping, OrderState, World
from tests.unit.domain.trade import NOON


@dataclass
class Lanes:
    """Takes commands one by one; what waits is decided again when its turn comes."""

    world: World
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    sent: dict[str, list[str]] = field(default_factory=dict)
    _lanes: dict[str, list[Command]] = field(default_factory=dict)
    _asleep: dict[str, set[str]] = field(default_factory=dict)
    _unknown: list[tuple[UnknownNumber, Command]] = field(default_factory=list)

    def take(self, *commands: Command) -> None:
        """Decide these in order, each for the first time."""
        for command in commands:
            self._decide(command)
            self._run_awake()

    def upsert(self, mapping: Mapping) -> None:
        """A mapping arrives: whoever sleeps on it has a turn."""
        self.world.master.put_mapping(mapping)
        woken = set(tokens_of_mapping(mapping))
        self._asleep = {
            order_id: tokens
            for order_id, tokens in self._asleep.items()
            if tokens.isdisjoint(woken)
        }
        self._run_awake()

    def become(self, order: OrderState) -> None:
        """The order is what somebody else made of it: accepted, rejected, canceled."""
        self.world.put_order(order)
        self._asleep.pop(order.id, None)
        self._run_awake()

    def number(self, order: OrderState) -> None:
        """The destination gave the order its number: what waited for it goes on."""
        self.world.put_order(order)
        self._take_over(order)
        self._run_awake()

    def overdue(self) -> None:
        """The deadline of everything that waits for an unknown number is over."""
        waiting, self._unknown = self._unknown, []
        for _, command in waiting:
            self._decide(replace(command, overdue=True))

    def outcomes(self, command_id: str) -> list[str]:
        """All that was told of a command, in order."""
        return [answer.outcome for answer in self.answers[command_id]]

    @property
    def idle(self) -> bool:
        """Whether nothing waits anywhere."""
        return not self._unknown and not any(self._lanes.values())

    def _decide(self, command: Command) -> Effects:
        operation = TABLE[command.operation]
        operation.needs(command, self.world.directory)
        effects = operation.decide(command, self.world, NOON)
        if effects.create is not None and effects.order is not None:
            self._end_create(effects.order, effects.create)
        self._tell(command, effects)
        if effects.order is not None:
            self.world.put_order(effects.order)
            if effects.order.command_id == command.id:
                self.world.creates.pop(effects.order.id, None)
                if effects.answer.outcome == "waiting":
                    self.world.creates[effects.order.id] = command
            if effects.order.delivery == "canceled" or effects.order.receipt == "rejected":
                self._asleep.pop(effects.order.id, None)
            self._put_waiting(effects.order.id)
        if effects.number is not None:
            self._unknown.append((effects.number, command))
        if effects.in_lane and command.lane is None:
            self._park(effects.order_id, [command])
        if effects.in_lane and effects.gaps and effects.order_id is not None:
            self._asleep[effects.order_id] = {t for gap in effects.gaps for t in gap.wake_on}
        if effects.order is not None:
            self._take_over(effects.order)
        return effects

    def _tell(self, command: Command, effects: Effects) -> None:
        told = self.answers.setdefault(command.id, [])
        if effects.answer.outcome != "waiting" or not told:
            told.append(effects.answer)
        for sync in effects.syncs:
            self.sent.setdefault(sync.receiver.slug, []).append(f"{command.id} {sync.type}")

    def _end_create(self, order: OrderState, effects: Effects) -> None:
        """The order's own create comes to its end by another command, wherever it waits."""
        create = self.world.creates.pop(order.id)
        self._tell(create, effects)
        lane = self._lanes.setdefault(order.id, [])
        lane[:] = [each for each in lane if each.id != create.id]
        self._asleep.pop(order.id, None)

    def _put_waiting(self, order_id: str) -> None:
        waiting = len(self._lanes.get(order_id, ()))
        self.world.put_order(replace(self.world.orders[order_id], waiting=waiting))

    def _park(self, order_id: str | None, commands: Iterable[Command]) -> None:
        assert order_id is not None, "a lane is an order's"
        self._lanes.setdefault(order_id, []).extend(commands)
        self._put_waiting(order_id)

    def _take_over(self, order: OrderState) -> None:
        """Race a: what waits for a number of this order goes into its lane."""
        sides = {order.origin_id, order.destination_id}
        numbers = {order.origin_number, order.destination_number}
        resolved = [
            each
            for each in self._unknown
            if {each[0].tenant_id, each[0].partner_id} == sides and each[0].number in numbers
        ]
        self._unknown = [each for each in self._unknown if each not in resolved]
        # What overtakes acts at once on a known order, whatever waits in its lane.
        first = [command for _, command in resolved if TABLE[command.operation].overtakes]
        rest = [command for _, command in resolved if not TABLE[command.operation].overtakes]
        if rest:
            self._park(order.id, rest)
        for command in first:
            self._decide(replace(command, lane=order.id))

    def _run_awake(self) -> None:
        for order_id in self._lanes:
            if order_id not in self._asleep:
                self._turn(order_id)

    def _turn(self, order_id: str) -> None:
        lane = self._lanes[order_id]
        while lane and order_id not in self._asleep:
            if self._decide(replace(lane[0], lane=order_id)).in_lane:
                break
            lane.pop(0)
            self._put_waiting(order_id)
