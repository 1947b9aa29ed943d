"""Draws what two companies say of an order: progress, papers, changes, its end, from both sides."""

from __future__ import annotations

import base64
import itertools
import random
from collections.abc import Callable, Sequence

from tests.acceptance.course import Course, Reads, Said
from tests.acceptance.words import PLACES, SUPPLIERS, TERMINALS, Body, Companies

# The smallest thing that is a PNG by its bytes.
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\x00" * 16).decode()
TOPICS = {
    "order.create": "orders",
    "order.cancel": "orders",
    "order.receipt": "orders",
    "order.request-accept": "orders",
    "order.request-reject": "orders",
    "order.update-status": "progress",
    "order.save-bol": "progress",
    "order.save-drop": "progress",
    "order.save-bol-image": "progress",
    "order.update": "changes",
    "change.propose": "changes",
    "change.accept": "changes",
    "change.reject": "changes",
}
# As often as it is in a conversation.
TALK = {
    "order.update-status": 5,
    "order.save-bol": 2,
    "order.save-drop": 2,
    "order.save-bol-image": 1,
    "order.update": 3,
    "change.propose": 7,
    "change.accept": 4,
    "change.reject": 2,
    "order.receipt": 1,
}

Words = tuple[Body, Reads]


class Talk:
    """What the tenants of a Companies say; no two commands say the same in every member (K33)."""

    def __init__(self, companies: Companies) -> None:
        self.companies = companies
        self._count = itertools.count(1)
        self._drawn: dict[str, Callable[[Course, str, int], Words]] = {
            "order.update-status": self._status,
            "order.save-bol": self._bol,
            "order.save-drop": self._executed,
            "order.save-bol-image": self._picture,
            "order.update": self._amended,
            "change.propose": self._amended,
            "change.accept": self._settled,
            "change.reject": self._settled,
            "order.cancel": self._cancel,
            "order.receipt": self._receipt,
            "order.request-accept": self._accepted,
            "order.request-reject": self._rejected,
        }

    @property
    def rng(self) -> random.Random:
        return self.companies.rng

    def course(self, *, late: int | None = None, back: bool = False) -> Course:
        """A new order; its destination accepts it by hand where it goes `back`."""
        order = self.companies.order(late=late, back=back)
        sides = self.companies.origin, self.companies.destination
        origin, destination = reversed(sides) if back else sides
        return Course(order, origin, destination, manual=back, late=late is not None)

    def draw(self, course: Course, count: int, weights: dict[str, int] = TALK) -> list[Said]:
        """So many commands on an order."""
        names = self.rng.choices(list(weights), list(weights.values()), k=count)
        return [self.say(course, name) for name in names]

    def say(self, course: Course, operation: str, by: str | None = None, **more: object) -> Said:
        """One command on an order; by either side where none is named."""
        if by is None:
            either: Sequence[str] = (course.origin, course.destination)
            ours = operation in ("order.receipt", "order.request-accept", "order.request-reject")
            by = course.destination if ours else self.rng.choice(either)
        number = next(self._count)
        body, reads = self._drawn[operation](course, by, number)
        if not operation.startswith("change.") or operation == "change.propose":
            body = {"order": {"order_number": course.order.number}, **body}
        id_ = f"say-{course.order.number}-{number:04}-{operation.rpartition('.')[2]}"
        return Said(id_, operation, by, course.other(by), {**body, **more}, reads)

    def complete(self, course: Course) -> Said:
        """The destination says that the order is done."""
        said = {"progress_status": "complete", "location": None}
        return self.say(course, "order.update-status", course.destination, **said)

    def _side(self, tenant: str) -> str:
        return "o" if tenant == self.companies.origin else "d"

    def _status(self, _: Course, by: str, number: int) -> Words:
        driver = f"driver {number}"
        terminal = self.rng.choice(list(TERMINALS))
        body = {
            "progress_status": self.rng.choice(PLACES),
            "assigned_to": driver,
            "location": {"source_id": f"{self._side(by)}-{terminal}"},
        }
        return body, ("status_update.assigned_to", driver)

    def _site(self, course: Course, by: str) -> str:
        # Wanted in the destination's words; both sides' begin with one letter.
        word = course.order.wanted[0]["site"][0].partition("-")[2]
        return f"{self._side(by)}-{word}"

    def _bol(self, course: Course, by: str, number: int) -> Words:
        side = self._side(by)
        line = {
            "site": {"source_id": self._site(course, by)},
            "supplier": {"source_id": f"{side}-{self.rng.choice(list(SUPPLIERS))}"},
            "product": {"source_id": f"{side}-REG"},
            "net_volume": number,
            "gross_volume": number,
        }
        body = {
            "bol_number": f"B{number}",
            "terminal": {"source_id": f"{side}-{self.rng.choice(list(TERMINALS))}"},
            "bol_date": "2026-11-23T09:00:00Z",
            "details": [line],
        }
        return body, ("bol.bol_number", f"B{number}")

    def _executed(self, course: Course, by: str, number: int) -> Words:
        line = {
            "product": {"source_id": f"{self._side(by)}-DSL"},
            "quantity": number,
            "post_drop_time": "2026-11-23T10:00:00Z",
        }
        body = {
            "site": {"source_id": self._site(course, by)},
            "mode": self.rng.choice(("replace", "append")),
            "details": [line],
        }
        return body, ("executed_drop.details.0.quantity", number)

    def _picture(self, _: Course, __: str, number: int) -> Words:
        name = f"photo-{number}.png"
        body = {"bol_number": f"B{number}", "file_name": name, "content": PICTURE}
        return body, ("bol_photo.file_name", name)

    def _amended(self, _: Course, __: str, number: int) -> Words:
        member = self.rng.choice(("note", "po"))
        return {member: f"{member} {number}"}, (f"order.{member}", f"{member} {number}")

    def _settled(self, course: Course, _: str, number: int) -> Words:
        body = {
            "order": {"origin_order_number": course.order.number},
            "reason_code": f"R{number}",
        }
        return body, ("change.reason_code", f"R{number}")

    def _cancel(self, _: Course, __: str, number: int) -> Words:
        return {"reason_code": f"C{number}"}, ("cancellation.reason_code", f"C{number}")

    def _receipt(self, course: Course, _: str, number: int) -> Words:
        status = self.rng.choices(("received", "failed", "rejected"), (6, 3, 1))[0]
        body: Body = {"status": status, "message": f"M{number}"}
        if status == "received" and self.rng.random() < 0.7:
            # Now and then another one than it gave before, which is refused (17.10).
            body["destination_order_number"] = self._given(course, number)
        return body, ("receipt.message", f"M{number}")

    def _accepted(self, course: Course, _: str, number: int) -> Words:
        given = self._given(course, number)
        return {"destination_order_number": given}, ("receipt.destination_order_number", given)

    def _rejected(self, _: Course, __: str, number: int) -> Words:
        return {"reason_code": f"N{number}"}, ("receipt.reason_code", f"N{number}")

    def _given(self, course: Course, number: int) -> str:
        own = f"given-{course.order.number}"
        return f"{own}-{number}" if self.rng.random() < 0.1 else own
