"""The ledger of orders of which both sides say everything, on every topic (course.py)."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from tests.acceptance.course import PAPERS, RECEIPTS, Course, Said, Wanted
from tests.acceptance.ledger import Expected, Ledger
from tests.acceptance.talk import TOPICS
from tests.acceptance.wire import Seen
from tests.acceptance.words import Companies, drops_read

BASES = ("orders", "progress", "changes")
WAITS = frozenset({"lane.behind", "lane.order_unknown", "delivery.parked"})
OF_A_CREATE = frozenset({"mapping.gap", "request.manual_acceptance", "delivery.parked"})
# With which code a command may be refused that comes at the same moment as others.
REFUSALS = (
    "request.order_already_complete", "request.order_canceled", "request.order_rejected",
    "request.order_not_requested", "request.order_not_sent", "request.invalid",
    "order.canceled", "order.rejected",
    "change.not_found", "change.not_yours", "change.settled", "change.stale",
)  # fmt: skip
ANY_END = frozenset({("done", None), *(("refused", code) for code in REFUSALS)})

Count = Counter[tuple[str, str]]


class MixedLedger(Ledger):
    """Knows courses beside plain orders and steps.

    The end and the records of a course's commands are those its model says. Where they were said
    all at once the model knows no order of theirs: `at_once` such a course is judged by what must
    hold in any.
    """

    def __init__(self, companies: Companies) -> None:
        super().__init__(companies)
        sides = companies.origin, companies.destination
        further = [
            *(f"crossroads.{base}" for base in BASES),
            *(f"crossroads.{base}.{side}" for base in BASES for side in sides),
        ]
        self.inputs = tuple(dict.fromkeys([*self.inputs, *further]))
        self.topics = list(dict.fromkeys([*self.topics, *further]))
        self.courses: dict[str, Course] = {}
        self.at_once: set[str] = set()
        self.told_to: dict[tuple[str, str], list[Seen]] = defaultdict(list)
        self._number_of: dict[str, str] = {}
        self._by_http: set[str] = set()

    def follow(self, course: Course, *, at_once: bool = False) -> None:
        """A course whose commands will be sent."""
        self.courses[course.order.number] = course
        if at_once:
            self.at_once.add(course.order.number)

    def expect_said(self, course: Course, said: Said, *, by_http: bool) -> None:
        """A command of a course, when it is sent; its end is the model's to say."""
        self._expect(course, said.id, WAITS)
        if by_http:
            self._by_http.add(said.id)

    def expect_create(self, course: Course) -> None:
        """The create of a course, when it is sent."""
        self._expect(course, course.create_id, OF_A_CREATE)

    def _expect(self, course: Course, id_: str, waits: frozenset[str]) -> None:
        self._number_of[id_] = course.order.number
        self.expect(Expected(id_, "", None, time.monotonic(), waits=waits))

    def unheard(self, course: Course) -> list[str]:
        """What must have been told of a course by now, by its model, and was not: a line each."""
        missing = []
        for id_ in (course.create_id, *(said.id for said in course.said)):
            if id_ in self.expected:
                told = [(each["outcome"], each["code"]) for each in self.answers[id_].values]
                ending = course.endings.get(id_)
                if not told or (ending is not None and id_ not in self.final_at):
                    missing.append(f"{id_}: {ending}, not {told}")
        return missing + self._untold(course)

    def unsettled(self) -> list[str]:
        """What has not come yet, a sentence each; a result may be read before its sync record."""
        untold = [line for each in self.courses.values() for line in self._untold(each)]
        return super().unsettled() + untold

    def _untold(self, course: Course) -> list[str]:
        if course.order.number in self.at_once:
            return []
        missing = []
        for side, wanted in course.wanted.items():
            seen = self.told_to[course.order.number, side]
            if len(seen) < len(wanted):
                missing.append(f"{side} was not told {wanted[len(seen)]}")
        return missing

    def take(self, seen: Seen) -> None:
        """A record of one of `topics`."""
        number = self._number_of.get(seen.header("ce_causationid") or "")
        if number is None or seen.topic not in (self.sync, self.steps_told):
            super().take(seen)
        elif self._is_first(seen):
            self.told_to[number, seen.topic.rpartition(".")[2]].append(seen)

    def ends(self, expected: Expected) -> Collection[tuple[str, str | None]]:
        """The outcomes and codes with which a command may end."""
        course = self.courses.get(self._number_of.get(expected.id, ""))
        if course is None:
            return super().ends(expected)
        if course.order.number in self.at_once:
            return ANY_END
        found = course.endings.get(expected.id)
        return [] if found is None else [found]

    def check(self) -> None:
        """Assert guarantees 1 to 5 on all that was read."""
        super().check()
        wrong: list[str] = []
        for number, course in self.courses.items():
            wrong += self._check_sequences(course)
            if number in self.at_once:
                wrong += self._check_causes(course)
                wrong += self._check_end(course)
            else:
                wrong += self._check_course(course)
        assert not wrong, f"{len(wrong)} things are wrong: " + "\n".join(wrong[:25])

    def _check_sequences(self, course: Course) -> Iterator[str]:
        """Guarantee 3; and the record of an answer goes before it."""
        number = course.order.number
        for side in (course.origin, course.destination):
            for at, seen in enumerate(self.told_to[number, side], 1):
                if seen.header("ce_sequence") != str(at) or seen.json["sequence"] != at:
                    yield f"{number} to {side}: {seen.header('ce_sequence')} at place {at}"
                cause = seen.header("ce_causationid") or ""
                if seen.timestamp > self.final_at.get(cause, 0):
                    yield f"{number} to {side}: {cause} was sent after its final result"
                if seen.header("ce_type") == "crossroads.order.created.v1":
                    read = drops_read(seen.json["order"])
                    if read != course.order.wanted:
                        yield f"{number} became {read}, not {course.order.wanted}"

    def _check_course(self, course: Course) -> Iterator[str]:
        number = course.order.number
        for side, wanted in course.wanted.items():
            seen = self.told_to[number, side]
            told = [(each.header("ce_type"), each.header("ce_causationid")) for each in seen]
            if told != [(each.type, each.cause) for each in wanted]:
                yield f"{number}: {side} was told {told}, not {wanted}; {way(course)}"
                continue
            for each, want in zip(seen, wanted, strict=True):
                if (said := _unlike(each, want)) is not None:
                    yield f"{number}: {want} says {said}"

    def _check_causes(self, course: Course) -> Iterator[str]:
        """What is done is told once, and to whom it concerns; what is refused to nobody."""
        number = course.order.number
        told: dict[str, Count] = defaultdict(Counter)
        for side in (course.origin, course.destination):
            for seen in self.told_to[number, side]:
                type_ = (seen.header("ce_type") or "").removeprefix("crossroads.")
                told[seen.header("ce_causationid") or ""][side, type_.removesuffix(".v1")] += 1
        for said in course.said:
            if told[said.id] not in self._possible(course, said):
                yield f"{said.id} ended {self._ended(said.id)} and told {dict(told[said.id])}"
        for side in (course.origin, course.destination):
            places = [seen.header("ce_causationid") for seen in self.told_to[number, side]]
            for sent in self._queues(course):
                if (order := _firsts(places, sent)) != sorted(order):
                    yield f"{number}: {side} was told {places}, sent were {sent}"

    def _queues(self, course: Course) -> Iterator[list[str]]:
        """What was sent on one topic under one key, in its order; but what overtakes."""
        for by in (course.origin, course.destination):
            for topic in ("progress", "changes"):
                yield [
                    said.id
                    for said in course.said
                    if (said.by, TOPICS[said.operation]) == (by, topic)
                    and said.id not in self._by_http
                ]

    def _possible(self, course: Course, said: Said) -> list[Count]:
        if self._ended(said.id)[0] != "done":
            return [Counter()]
        other, own = course.other(said.by), said.by
        superseding = Counter({(other, "change.rejected"): 1, (own, "change.rejected"): 1})
        proposed = Counter({(other, "change.proposed"): 1})
        proposals = [proposed, proposed + superseding]
        if said.operation in PAPERS:
            return [Counter({(other, PAPERS[said.operation]): 1})]
        if said.operation == "order.receipt":
            return [Counter({(other, RECEIPTS[said.body["status"]]): 1})]
        return {
            "order.update": [Counter({(other, "order.updated"): 1})]
            if own == course.origin
            else proposals,
            "change.propose": proposals,
            "change.accept": [Counter({(other, "change.accepted"): 1})],
            "change.reject": [Counter({(other, "change.rejected"): 1}), superseding],
            "order.request-accept": [Counter({(other, "order.accepted"): 1})],
            "order.request-reject": [Counter({(other, "order.rejected"): 1})],
            "order.cancel": [
                Counter(),
                Counter({(other, "order.canceled"): 1}),
                Counter({(course.destination, "order.canceled"): 1}),
            ],
        }[said.operation]

    def _check_end(self, course: Course) -> Iterator[str]:
        """The create's end fits what was sent; nothing follows what closed the order."""
        number = course.order.number
        to_destination = self._types(number, course.destination)
        to_origin = self._types(number, course.origin)
        created = to_destination.count("order.created")
        outcome, code = self._ended(course.create_id)
        if created != (outcome == "done"):
            yield f"{number} ended {outcome} {code}; its destination was told {to_destination}"
        if outcome != "done":
            unsent = {
                "order.canceled": ({"order.requested", "order.canceled"}, set[str]()),
                "order.rejected": ({"order.requested"}, {"order.rejected"}),
            }.get(code or "", (set(), set()))
            if not (set(to_destination) <= unsent[0] and set(to_origin) <= unsent[1]):
                yield f"{number} was never sent, and told as {to_destination}, {to_origin}"
        for told in (to_destination, to_origin):
            ends = [at for at, each in enumerate(told) if each in _CLOSING]
            if len(ends) > 1 or (ends and ends[0] != len(told) - 1):
                yield f"{number} went on after its end: {told}"
        cancels = [
            said.id
            for said in course.said
            if said.operation == "order.cancel" and self._ended(said.id)[0] == "done"
        ]
        if len(cancels) > 1:
            yield f"{number} was canceled by {cancels}"

    def _types(self, number: str, side: str) -> list[str]:
        return [
            (seen.header("ce_type") or "").removeprefix("crossroads.").removesuffix(".v1")
            for seen in self.told_to[number, side]
        ]

    def _ended(self, id_: str) -> tuple[str, str | None]:
        [final] = self.answers[id_].of("done", "refused", "failed")
        return final["outcome"], final["code"]


_CLOSING = ("order.canceled", "order.rejected")


def _firsts(places: list[str | None], sent: list[str]) -> list[int]:
    """Where those of `sent` that were told stand among what was told, in the order of sending."""
    return [places.index(each) for each in sent if each in places]


def _unlike(seen: Seen, want: Wanted) -> str | None:
    """What a record says instead of what it must say."""
    if want.reads is None:
        return None
    found: Any = seen.json
    for step in want.reads[0].split("."):
        found = found[int(step)] if step.isdigit() else found[step]
    return None if found == want.reads[1] else repr(found)


def way(course: Course) -> str:
    """What was said of an order, for the reader of a failure."""
    said = [
        f"{each.by[0]} {each.id.rpartition('-')[0][-4:]} {each.operation}" for each in course.said
    ]
    return f"{'manual ' * course.manual}{'late ' * course.late}{said}"
