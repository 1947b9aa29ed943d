"""Says whole courses to a stack while it is hurt: on three topics and over HTTP, by both sides."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

import asyncpg
import httpx

from tests.acceptance.course import OVERTAKING, Course, Said
from tests.acceptance.mixed_ledger import MixedLedger, way
from tests.acceptance.stack import Stack, until
from tests.acceptance.storm import SETTLE_SECONDS, seed_reference, send_upsert
from tests.acceptance.talk import TOPICS, Talk
from tests.acceptance.wire import Sender, command_headers, reading, sender
from tests.acceptance.words import Companies

CREATE = "order.create"
HTTP_SHARE = 0.25
# Of those over HTTP so many are asked once more in the end (K32).
ASKED_AGAIN = 40
PATHS = {
    CREATE: "create",
    "order.update": "update",
    "order.cancel": "cancel",
    "order.receipt": "receipt",
    "order.request-accept": "request/accept",
    "order.request-reject": "request/reject",
    "order.update-status": "update_status",
    "order.save-bol": "save_bol",
    "order.save-drop": "save_drop",
    "change.propose": "change/create",
    "change.accept": "change/accept",
    "change.reject": "change/reject",
}
SCOPES = (
    "order:create", "order:read", "order:update", "order:cancel", "order:update_status",
    "order:save_bol", "order:save_drop", "order:receipt", "order_change:accept",
    "order_change:reject", "order_request:accept", "order_request:reject",
)  # fmt: skip
NOTHING_LEFT = {
    "orders with a lane": "SELECT count(*) FROM orders WHERE waiting > 0 OR lane_runnable",
    "commands in lanes": "SELECT count(*) FROM lane_commands",
    "waiters on gaps": "SELECT count(*) FROM gap_waiters",
    "gaps": "SELECT count(*) FROM gaps",
    "outgoing records": "SELECT count(*) FROM outbox",
    "parked records": "SELECT count(*) FROM outbox_parked",
    "repairs of the sweeper": "SELECT count(*) FROM lane_repairs",
    "orders with several changes pending": (
        "SELECT count(*) FROM (SELECT FROM order_changes WHERE status = 'requested'"
        " GROUP BY order_id HAVING count(*) > 1) AS several"
    ),
    "closed orders with a change pending": (
        "SELECT count(*) FROM order_changes AS c JOIN orders AS o ON o.id = c.order_id"
        " WHERE c.status = 'requested' AND (o.delivery = 'canceled' OR o.receipt = 'rejected')"
    ),
    "timeline entries of a command written twice": (
        "SELECT count(*) FROM (SELECT FROM order_events WHERE command_id IS NOT NULL"
        " GROUP BY order_id, command_id, kind, detail::text HAVING count(*) > 1) AS twice"
    ),
}


@dataclass(slots=True)
class Mixed:
    """Two companies on a stack, and all that they say of many orders."""

    stack: Stack
    talk: Talk
    ledger: MixedLedger
    sender: Sender
    http: httpx.AsyncClient
    keys: dict[str, str]
    killed: list[str] = field(default_factory=list)
    _by_http: dict[str, Said] = field(default_factory=dict)

    async def in_turn(self, course: Course, said: Iterable[Said | None]) -> None:
        """Say one after the other, so that they arrive as they are sent; None is the create.

        On another topic, and before what overtakes, everything said must have been heard.
        """
        topic = ""
        for each in said:
            what = course.create() if each is None else each
            by_http = self._draw_http(what)
            there = ("http" if by_http else what.by) + TOPICS[what.operation]
            if there != topic or what.operation in OVERTAKING:
                await self.heard(course)
            topic = there
            if each is None:
                self.ledger.expect_create(course)
                course.created()
            else:
                self.ledger.expect_said(course, each, by_http=by_http)
                course.take(each)
            await self._send(what, by_http=by_http)
        await self.heard(course)

    async def at_once(self, course: Course, said: Iterable[Said]) -> None:
        """Say all of it without waiting for anything."""
        async with asyncio.TaskGroup() as group:
            for each in said:
                course.said.append(each)
                by_http = self._draw_http(each)
                self.ledger.expect_said(course, each, by_http=by_http)
                if by_http:
                    group.create_task(self._send(each, by_http=by_http))
                else:
                    # In the order they are sent, on each topic.
                    await self._send(each, by_http=False)

    async def begin_at_once(self, course: Course) -> None:
        """Send the create of a course whose commands then come all at once."""
        self.ledger.expect_create(course)
        await self._send(course.create(), by_http=False)

    async def decided(self, course: Course) -> None:
        """What was decided of a request before it was one is decided again."""
        if not course.manual:
            return
        create = course.create_id

        def asked() -> bool:
            told = self.ledger.told_to[course.order.number, course.destination]
            return bool(told) or create in self.ledger.final_at

        await until(asked, f"{create} to be asked for", SETTLE_SECONDS)
        await self.at_once(course, [self.talk.say(course, "order.request-accept")])

    async def heard(self, course: Course) -> None:
        """Wait until everything said so far has the answer it must have."""
        try:
            await until(lambda: not self.ledger.unheard(course), "answers", SETTLE_SECONDS)
        except AssertionError as error:
            left = self.ledger.unheard(course)
            raise AssertionError(f"{error}, {way(course)}: " + "\n".join(left)) from None

    async def kill_each(self, names: Iterable[str], pace: Callable[[], int], every: int) -> None:
        """SIGKILL one process after the other, each when `pace` has risen by so much again."""
        for name in names:
            goal = pace() + every
            await until(
                lambda goal=goal, name=name: pace() >= goal and self._is_up(name),  # type: ignore[misc]
                f"{every} more before {name} is killed",
            )
            self.stack.send(name, signal.SIGKILL)
            self.killed.append(name)

    def heard_of(self) -> int:
        """How many answers were read so far."""
        return sum(len(each.ids) for each in self.ledger.answers.values())

    async def map_late(self, key: int) -> None:
        """Send what orders of this late key wait for."""
        for upsert in self.talk.companies.late(key):
            await send_upsert(self.sender, upsert)

    async def judge(self) -> None:
        """Let everything come to rest; then the guarantees, the books and the database."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while left := self.ledger.unsettled():
            assert time.monotonic() < deadline, f"{len(left)} never came: " + "\n".join(left[:15])
            await asyncio.sleep(0.1)
        await self.stack.all_ready()
        await self._ask_again()
        await self.stack.quiet()
        self.ledger.check()
        await self._nothing_left()
        books = await self.stack.audit()
        for name, counts in books["operations"].items():
            assert counts["failed"] == 0, (name, books)
            assert counts["waiting"] == 0, (name, books)

    async def _nothing_left(self) -> None:
        connection = await asyncpg.connect(self.stack.line["database"])
        try:
            left = {name: await connection.fetchval(q) for name, q in NOTHING_LEFT.items()}
        finally:
            await connection.close()
        assert not any(left.values()), left

    def tell(self, title: str) -> None:
        """Print the figures."""
        ends: dict[str, int] = {}
        for answers in self.ledger.answers.values():
            for final in answers.of("done", "refused"):
                end = final["code"] or "done"
                ends[end] = ends.get(end, 0) + 1
        print(
            f"\n{title}: {len(self.ledger.courses)} orders, {len(self._by_http)} commands by HTTP"
        )
        print(f"  killed: {', '.join(self.killed)}")
        print(f"  repeated by the hub: {self.ledger.repeats}; ends: {ends}")

    def _is_up(self, name: str) -> bool:
        return bool(self.stack.processes(name)[0].pid)

    def _draw_http(self, said: Said) -> bool:
        return said.operation in PATHS and self.talk.rng.random() < HTTP_SHARE

    async def _send(self, said: Said, *, by_http: bool) -> None:
        if by_http:
            self._by_http[said.id] = said
            await self._ask(said, wait=1)
            return
        headers = command_headers(said.id, said.operation, partner=said.to)
        topic = f"crossroads.{TOPICS[said.operation]}.{said.by}"
        await self.sender.send(topic, said.key, said.value, headers)

    async def _ask(self, said: Said, *, wait: int) -> httpx.Response:
        """Ask until there is an answer, as a caller with an Idempotency-Key may."""
        deadline = time.monotonic() + SETTLE_SECONDS
        headers = {
            "X-API-Key": self.keys[said.by],
            "X-Dest-Tenant-Name": said.to,
            "Idempotency-Key": said.id,
            "Prefer": f"wait={wait}",
            "Content-Type": "application/json",
        }
        path = f"/v1/order/{PATHS[said.operation]}"
        while True:
            told = "no connection"
            with contextlib.suppress(httpx.TransportError):
                response = await self.http.post(path, content=said.value, headers=headers)
                told = response.text
                assert response.status_code in (200, 403, 404, 409, 422, 503), f"{said.id}: {told}"
                if response.status_code != 503:
                    return response
            assert time.monotonic() < deadline, f"no answer to {said.id}: {told}"
            await asyncio.sleep(0.1)

    async def _ask_again(self) -> None:
        """The same key is answered with the final result by now (K32)."""
        asked = list(self._by_http.values())
        for said in self.talk.rng.sample(asked, min(len(asked), ASKED_AGAIN)):
            response = await self._ask(said, wait=30)
            (final,) = self.ledger.answers[said.id].of("done", "refused", "failed")
            told = response.status_code, response.json()
            assert told == (final["http_status"], final["body"]), f"{said.id}: {response.text}"


@contextlib.asynccontextmanager
async def mixed(stack: Stack, seed: int) -> AsyncIterator[Mixed]:
    """Two new companies that send each other orders, with all their reference data in force."""
    companies = Companies(seed, both_ways=True)
    ledger = MixedLedger(companies)
    async with sender(stack.kafka) as own:
        await seed_reference(stack.kafka, own, companies)
        sides = companies.origin, companies.destination
        found = await asyncio.gather(*(stack.api_key(side, *SCOPES) for side in sides))
        async with (
            httpx.AsyncClient(base_url=stack.http, timeout=45, trust_env=False) as http,
            reading(stack.kafka, ledger.topics, ledger.take),
        ):
            keys = dict(zip(sides, found, strict=True))
            yield Mixed(stack, Talk(companies), ledger, own, http, keys)
