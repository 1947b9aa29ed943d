"""What was sent and what was read, and the guarantees that must hold between the two."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance.wire import Seen
from tests.acceptance.words import Companies, Order, Step, drops_read, step_read

FINAL = {"done", "refused", "failed"}


@dataclass(slots=True)
class Expected:
    """One accepted command id, and how it must end."""

    id: str
    outcome: str
    code: str | None
    sent_at: float
    order: Order | None = None
    late: bool = False
    step: Step | None = None
    # For what it may wait, where that is not as with an order or a step.
    waits: frozenset[str] | None = None


@dataclass(slots=True)
class Answers:
    """The results of one command id: distinct ids in the order of their first occurrence."""

    ids: list[str] = field(default_factory=list)
    values: list[dict[str, Any]] = field(default_factory=list)

    def of(self, *outcomes: str) -> list[dict[str, Any]]:
        return [value for value in self.values if value["outcome"] in outcomes]


class Ledger:
    """Takes what two companies send and what is read of them; says what does not add up.

    The input topics are read, too: how often a command is there is known from the broker alone,
    for a producer's second try may have been its first try's twin.
    """

    def __init__(self, companies: Companies) -> None:
        self.companies = companies
        self.expected: dict[str, Expected] = {}
        self.broken: dict[bytes, str] = {}
        self.answers: dict[str, Answers] = defaultdict(Answers)
        self.syncs: dict[str, list[Seen]] = defaultdict(list)
        self.copies: dict[str, set[tuple[str, int, int]]] = defaultdict(set)
        self.broken_positions: dict[tuple[str, int, int], bytes] = {}
        self.dead: dict[tuple[str, int, int], list[Seen]] = defaultdict(list)
        # The moments the records themselves tell, of one clock: the relay's producer stamps them.
        self.final_at: dict[str, int] = {}
        self.repeats = 0
        self._firsts: dict[tuple[str, str], Seen] = {}
        self._wrong: list[str] = []
        self._pending: set[str] = set()
        origin, destination = companies.origin, companies.destination
        self.inputs: tuple[str, ...] = (
            "crossroads.orders",
            f"crossroads.orders.{origin}",
            f"crossroads.progress.{destination}",
        )
        self.sync = f"crossroads.sync.{destination}"
        self.steps_told = f"crossroads.sync.{origin}"
        self.results = (f"crossroads.results.{origin}", f"crossroads.results.{destination}")
        self.topics = [
            *self.inputs, self.sync, self.steps_told, *self.results, "crossroads.dead-letter",
        ]  # fmt: skip
        # By order number: the steps in the order they were sent, and as they were told.
        self.steps: dict[str, list[Step]] = defaultdict(list)
        self.told: dict[str, list[Seen]] = defaultdict(list)

    def expect(self, expected: Expected) -> None:
        """A command whose produce was acknowledged, or is being tried until it is."""
        self.expected[expected.id] = expected
        self._pending.add(expected.id)

    def expect_step(self, number: str, step: Step, sent_at: float) -> None:
        """A step on the order of this number; those of one order come in this order."""
        self.steps[number].append(step)
        self.expect(Expected(step.command_id, "done", None, sent_at, step=step))

    def take(self, seen: Seen) -> None:
        """A record of one of `topics`."""
        if seen.topic in self.inputs:
            self._take_input(seen)
        elif seen.topic == self.sync:
            if self._is_first(seen):
                self.syncs[seen.json["order"]["origin_order_number"]].append(seen)
        elif seen.topic == self.steps_told:
            if self._is_first(seen):
                id_ = seen.header("ce_causationid") or ""
                self.told[id_.removeprefix("step-").rpartition("-")[0]].append(seen)
        elif seen.topic in self.results:
            self._take_result(seen)
        elif self._is_ours(seen):
            self.dead[_source(seen)].append(seen)

    def unsettled(self) -> list[str]:
        """What has not come yet, a sentence each; empty when all is there."""
        found = [f"no final result of {id_}" for id_ in sorted(self._pending)]
        for id_, positions in self.copies.items():
            told = len(self.answers[id_].of("duplicate", *FINAL))
            if told < len(positions):
                found.append(f"{len(positions)} copies of {id_}, {told} told of")
        found += [
            f"no dead letter of {position}"
            for position in self.broken_positions
            if position not in self.dead
        ]
        missing = len(self.broken) - len(set(self.broken_positions.values()))
        return found + ([f"{missing} broken records are not on their topic"] if missing else [])

    def check(self) -> None:
        """Assert guarantees 1 to 5 on all that was read."""
        wrong = [*self._wrong, *self.unsettled()]
        for expected in self.expected.values():
            wrong += self._check_answers(expected)
            wrong += self._check_syncs(expected)
        for number in self.steps.keys() | self.told.keys():
            wrong += self._check_steps(number)
        wrong += self._check_strangers()
        wrong += self._check_dead()
        assert not wrong, f"{len(wrong)} things are wrong: " + "\n".join(wrong[:25])

    def ends(self, expected: Expected) -> Collection[tuple[str, str | None]]:
        """The outcomes and codes with which a command may end."""
        return [(expected.outcome, expected.code)]

    def _take_input(self, seen: Seen) -> None:
        if seen.key in self.broken:
            self.broken_positions[seen.position] = seen.key or b""
        elif seen.id in self.expected:
            self.copies[seen.id].add(seen.position)

    def _take_result(self, seen: Seen) -> None:
        if not self._is_first(seen):
            return
        value = seen.json
        answers = self.answers[value["command_id"]]
        answers.ids.append(seen.id)
        answers.values.append(value)
        if value["outcome"] in FINAL:
            self._pending.discard(value["command_id"])
            self.final_at[value["command_id"]] = seen.timestamp

    def _is_first(self, seen: Seen) -> bool:
        """Whether this id was not read before; a repeat must be the same in every byte."""
        first = self._firsts.setdefault((seen.topic, seen.id), seen)
        if first is seen:
            if seen.header("ce_desttenant") != seen.topic.rpartition(".")[2]:
                self._wrong.append(f"{seen.position} is for {seen.header('ce_desttenant')}")
            if uuid.UUID(seen.id).version != 5:
                self._wrong.append(f"{seen.position} has the id {seen.id}")
            return True
        self.repeats += 1
        if (first.key, first.value, first.headers) != (seen.key, seen.value, seen.headers):
            self._wrong.append(f"{seen.position} repeats {first.position} with other bytes")
        return False

    def _is_ours(self, seen: Seen) -> bool:
        return (seen.key or b"").startswith(self.companies.tag.encode())

    def _check_answers(self, expected: Expected) -> Iterator[str]:
        answers = self.answers[expected.id]
        finals = answers.of(*FINAL)
        if len(finals) != 1:
            yield f"{expected.id} has {len(finals)} final results"
            return
        final = finals[0]
        ends = self.ends(expected)
        if (final["outcome"], final["code"]) not in ends:
            ended = f"{final['outcome']} {final['code']} {final['body']}"
            yield f"{expected.id} ended {ended}, not {sorted(ends, key=str)}"
        outcomes = [value["outcome"] for value in answers.values]
        if (
            outcomes.count("waiting") > 1
            or "waiting" in outcomes[outcomes.index(final["outcome"]) :]
        ):
            told = [(value["outcome"], value["code"]) for value in answers.values]
            yield f"{expected.id} was told {told}"
        for waiting in answers.of("waiting"):
            if waiting["code"] not in _allowed_waits(expected):
                yield f"{expected.id} waits for {waiting['code']}"
        further = len(self.copies[expected.id]) - 1
        if outcomes.count("duplicate") != further:
            yield f"{expected.id} has {further} further copies, was told {outcomes}"
        first = answers.values[0] if answers.of("waiting") else final
        for duplicate in answers.of("duplicate"):
            said = {duplicate["http_status"], duplicate["code"], str(duplicate["body"])}
            if said not in [
                {each["http_status"], each["code"], str(each["body"])} for each in (first, final)
            ]:
                yield f"{expected.id}: a further copy was answered {duplicate}"

    def _check_syncs(self, expected: Expected) -> Iterator[str]:
        order = expected.order
        if order is None or expected.outcome != "done":
            return
        syncs = self.syncs.get(order.number, [])
        if [seen.header("ce_type") for seen in syncs] != ["crossroads.order.created.v1"]:
            yield f"{order.number} was synced as {[seen.header('ce_type') for seen in syncs]}"
            return
        value = syncs[0].json
        if drops_read(value["order"]) != order.wanted:
            yield f"{order.number} became {drops_read(value['order'])}, not {order.wanted}"
        told = self.final_at.get(expected.id, 0)
        if syncs[0].timestamp > told:
            yield f"{order.number} was sent {syncs[0].timestamp - told} ms after its final result"
        if syncs[0].header("ce_causationid") != expected.id:
            yield f"{order.number} was caused by {syncs[0].header('ce_causationid')}"
        for number, seen in enumerate(syncs, 1):
            if seen.header("ce_sequence") != str(number) or seen.json["sequence"] != number:
                yield f"{order.number} has sequence {seen.header('ce_sequence')}"
            if seen.key != value["order_id"].encode() or seen.header("ce_subject") is None:
                yield f"{order.number} has the key {seen.key!r}"

    def _check_steps(self, number: str) -> Iterator[str]:
        """Each once, in the order they were sent, in the origin's words (guarantee 3)."""
        steps, told = self.steps[number], self.told[number]
        causes = [seen.header("ce_causationid") for seen in told]
        if causes != [step.command_id for step in steps]:
            yield f"{number} was told {causes} of {len(steps)} steps"
            return
        for at, (step, seen) in enumerate(zip(steps, told, strict=True), 1):
            if seen.header("ce_sequence") != str(at) or seen.json["sequence"] != at:
                yield f"{step.command_id} has sequence {seen.header('ce_sequence')}, not {at}"
            if (read := step_read(step.member, seen.json[step.member])) != step.wanted:
                yield f"{step.command_id} became {read}, not {step.wanted}"
            if seen.timestamp > self.final_at.get(step.command_id, 0):
                yield f"{step.command_id} was sent after its final result"

    def _check_strangers(self) -> Iterator[str]:
        numbers = {each.order.number for each in self.expected.values() if each.order is not None}
        yield from (f"{number} was never sent" for number in self.syncs if number not in numbers)
        broken = {f"create-{key.decode()}" for key in self.broken}
        for id_, answers in self.answers.items():
            if id_ in broken:
                wrong = [each for each in answers.values if each["outcome"] != "failed"]
                yield from (f"the broken {id_} was answered {each}" for each in wrong)
            elif id_ not in self.expected:
                yield f"{id_} was answered and never sent"

    def _check_dead(self) -> Iterator[str]:
        for position, letters in self.dead.items():
            key = self.broken_positions.get(position)
            if key is None:
                yield f"{position} is a dead letter: {letters[0].headers[-7:]}"
                continue
            if len({(each.key, each.value, each.headers) for each in letters}) != 1:
                yield f"the dead letters of {position} differ"
            if letters[0].header("x-dead-letter-reason") != self.broken[key]:
                yield f"{key!r} is dead of {letters[0].header('x-dead-letter-reason')}"


def _allowed_waits(expected: Expected) -> frozenset[str]:
    if expected.waits is not None:
        return expected.waits
    if expected.step is not None:
        return frozenset({"delivery.parked", "lane.order_unknown", "lane.behind"})
    return frozenset({"mapping.gap" if expected.late else "delivery.parked"})


def _source(seen: Seen) -> tuple[str, int, int]:
    return (
        seen.header("x-dead-letter-topic") or "",
        int(seen.header("x-dead-letter-partition") or -1),
        int(seen.header("x-dead-letter-offset") or -1),
    )
