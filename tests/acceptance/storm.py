"""Load on a stack while it is hurt: two companies, their orders, and the ledger of both."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import httpx

from tests.acceptance.ledger import Expected, Ledger
from tests.acceptance.stack import Stack, until
from tests.acceptance.wire import Headers, Seen, Sender, command_headers, reading, sender
from tests.acceptance.words import Companies, Order, Step, Upsert

CREATE = "order.create"
STEPS = ("order.update-status", "order.save-bol", "order.save-drop")
LATE_SHARE = 0.05
HTTP_SHARE = 0.03
AGAIN_SHARE = 0.02
# Of these orders the destination tells the way; of some of them before they are there.
STEPS_SHARE = 0.15
# A late key is mapped when this many more orders were sent.
LATE_AFTER = 40
ORDERS_PER_LATE_KEY = 3
BROKEN_EVERY = 100
SETTLE_SECONDS = 150.0


@dataclass(slots=True)
class Storm:
    """Everything a test needs to put load on a stack and to judge what came out."""

    stack: Stack
    companies: Companies
    ledger: Ledger
    sender: Sender
    http: httpx.AsyncClient
    figures: list[str] = field(default_factory=list)
    _sent: int = 0
    _late_key: int = 0
    _late_left: int = 0
    _due: list[tuple[int, int]] = field(default_factory=list)
    _calls: set[asyncio.Task[None]] = field(default_factory=set)
    _by_http: list[tuple[Order, str]] = field(default_factory=list)
    _again: list[Order] = field(default_factory=list)
    _answered: list[tuple[float, float]] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """How many orders were sent so far."""
        return self._sent

    @property
    def finals(self) -> int:
        """How many command ids have their final result."""
        ledger = self.ledger
        return sum(1 for id_ in ledger.expected if ledger.answers[id_].of("done", "refused"))

    async def more_finals(self, count: int) -> None:
        """Wait until so many more command ids have their final result."""
        goal = self.finals + count
        await until(lambda: self.finals >= goal, f"{count} more final results")

    async def load(self, *, rate: float, enough: Callable[[], bool]) -> None:
        """Send orders at this pace, a second, until it is enough; then all late mappings."""
        clock = asyncio.get_running_loop().time
        began, ticks = clock(), 0
        while not enough():
            await self._send_one()
            ticks += 1
            # The pace of the load, not a wait for anything.
            await asyncio.sleep(max(0.0, began + ticks / rate - clock()))
        for _, key in self._due:
            await self.map_late(key)
        self._due.clear()
        self._late_left = 0
        await asyncio.gather(*self._calls)

    async def under_load(
        self, work: Callable[[], Awaitable[None]], *, orders: int, rate: float = 25
    ) -> None:
        """Do the work while orders are sent, at least so many."""
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(
                self.load(rate=rate, enough=lambda: ended.is_set() and self.sent >= orders)
            )
            await work()
            ended.set()

    async def settled(self) -> None:
        """Wait until every command has its answers and every broken record its dead letter."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while left := self.ledger.unsettled():
            assert time.monotonic() < deadline, f"{len(left)} never came: " + "\n".join(left[:15])
            await asyncio.sleep(0.1)

    async def judge(self, *, lost: int = 0) -> None:
        """Let everything come to rest, then assert the guarantees and the books.

        `lost` commands of others wait for what a dead broker took with it.
        """
        await self.settled()
        await self._ask_again()
        await self.settled()
        await self.stack.quiet()
        await self.settled()
        self.ledger.check()
        books = await self.stack.audit()
        create = books["operations"][CREATE]
        # At least: other tests of this stack are in the books, too.
        orders = [each for each in self.ledger.expected.values() if each.step is None]
        done = sum(1 for each in orders if each.outcome == "done")
        assert create["done"] >= done, books
        told = [counts["done"] for name, counts in books["operations"].items() if name in STEPS]
        assert sum(told) >= len(self.ledger.expected) - len(orders), books
        assert (create["waiting"], create["failed"]) == (lost, 0), books
        waited = sum(1 for each in self.ledger.answers.values() if each.of("waiting"))
        copies = sum(len(each.of("duplicate")) for each in self.ledger.answers.values())
        self.figures.append(
            f"{self._sent} orders, {len(self._by_http)} of them over HTTP, "
            f"{len(self.ledger.expected) - len(orders)} steps; {waited} waited; "
            f"{len(self.ledger.broken)} broken records, {copies} further copies; "
            f"{self.ledger.repeats} records repeated by the hub"
        )

    def tell(self, title: str) -> None:
        """Print the figures."""
        print(f"\n{title}")
        for figure in self.figures:
            print(f"  {figure}")

    async def hurt(
        self, what: str, fault: Callable[[], Awaitable[None]], *, by_http: bool = False
    ) -> None:
        """Do the fault, and wait for an order sent after it to be synced; the time is noted.

        `by_http`: for one asked for after it to be answered.
        """
        at = time.monotonic()
        await fault()
        done = f"all back after {back:.1f} s, " if (back := time.monotonic() - at) > 0.1 else ""
        first = self._first_answer_after if by_http else self._first_sync_after
        await until(lambda: first(at) is not None, f"an order after {what}")
        kind, seconds = "answer" if by_http else "record", (first(at) or at) - at
        self.figures.append(f"{what}: {done}first {kind} after {seconds:.1f} s")

    def _first_sync_after(self, moment: float) -> float | None:
        found = [
            self.ledger.syncs[each.order.number][0].at
            for each in self.ledger.expected.values()
            if each.order is not None
            and each.sent_at > moment
            and each.order.number in self.ledger.syncs
        ]
        return min(found, default=None)

    def _first_answer_after(self, moment: float) -> float | None:
        return min((told for asked, told in self._answered if asked > moment), default=None)

    async def _send_one(self) -> None:
        rng = self.companies.rng
        key = self._draw_late_key()
        order = self.companies.order(late=key)
        self._sent += 1
        steps = self.companies.steps(order, statuses=3) if rng.random() < STEPS_SHARE else []
        early = rng.choice((0, 0, 1, 2))
        await self.send_steps(order, steps[:early])
        if key is None and rng.random() < HTTP_SHARE:
            self._expect(order)
            self._by_http.append((order, order.command_id))
            call = asyncio.create_task(self._post(order))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        else:
            self._expect(order, late=key is not None)
            await self._send(order)
            if rng.random() < AGAIN_SHARE:
                await self._send(order)
        await self.send_steps(order, steps[early:])
        if rng.random() < AGAIN_SHARE and key is None:
            again = self.companies.same_number(order)
            self._again.append(again)
        if self._again and len(self._again) > 2:
            await self._send_number_again(self._again.pop(0))
        if self._sent % BROKEN_EVERY == BROKEN_EVERY // 2:
            await self._send_broken()
        while self._due and self._due[0][0] <= self._sent:
            await self.map_late(self._due.pop(0)[1])

    def _draw_late_key(self) -> int | None:
        if self.companies.rng.random() >= LATE_SHARE:
            return None
        if not self._late_left:
            self._late_key += 1
            self._late_left = ORDERS_PER_LATE_KEY
            self._due.append((self._sent + LATE_AFTER, self._late_key))
        self._late_left -= 1
        return self._late_key

    def _expect(self, order: Order, *, late: bool = False) -> None:
        now = time.monotonic()
        self.ledger.expect(Expected(order.command_id, "done", None, now, order, late))

    async def send_order(self, order: Order, *, late: bool = False) -> None:
        """Send one order, and expect it to be done."""
        self._sent += 1
        self._expect(order, late=late)
        await self._send(order)

    async def send_steps(self, order: Order, steps: Sequence[Step]) -> None:
        """Say what the destination says of an order's way; one after the other, on one key."""
        for step in steps:
            self.ledger.expect_step(order.number, step, time.monotonic())
            headers = command_headers(
                step.command_id, step.operation, partner=self.companies.origin
            )
            topic = f"crossroads.progress.{self.companies.destination}"
            await self.sender.send(topic, order.number.encode(), step.body, headers)

    async def _send(self, order: Order) -> None:
        headers = command_headers(order.command_id, CREATE, partner=self.companies.destination)
        topic = f"crossroads.orders.{self.companies.origin}"
        await self.sender.send(topic, order.number.encode(), order.body, headers)

    async def _send_number_again(self, order: Order) -> None:
        # Another topic has no order with the first: it is sent when that has its answer.
        if not self.ledger.answers[order.command_id.removesuffix("-again")].ids:
            self._again.append(order)
            return
        now = time.monotonic()
        code = "request.order_already_exists"
        self.ledger.expect(Expected(order.command_id, "refused", code, now))
        await self._send(order)

    async def _send_broken(self) -> None:
        number = len(self.ledger.broken)
        key = f"{self.companies.tag}-broken-{number}"
        headers = command_headers(f"create-{key}", CREATE, partner=self.companies.destination)
        value, reason, headers = _broken(number, headers)
        self.ledger.broken[key.encode()] = reason
        topic = f"crossroads.orders.{self.companies.origin}"
        await self.sender.send(topic, key.encode(), value, headers)

    async def map_late(self, key: int) -> None:
        """Send what the orders of this late key wait for."""
        for upsert in self.companies.late(key):
            await send_upsert(self.sender, upsert)

    async def _post(self, order: Order) -> None:
        """Ask until there is an answer, as a caller with an Idempotency-Key may."""
        asked = time.monotonic()
        await self._ask(order, wait=5, good=lambda _: True)
        self._answered.append((asked, time.monotonic()))

    async def _ask_again(self) -> None:
        """Every key asked again answers with the bytes of the final result (K32)."""
        for order, id_ in self._by_http:
            response = await self._ask(order, wait=30, good=lambda body: body != "pending")
            (final,) = self.ledger.answers[id_].of("done", "refused", "failed")
            assert response.json() == final["body"], f"{id_}: {response.text}"

    async def _ask(self, order: Order, *, wait: int, good: Callable[[str], bool]) -> httpx.Response:
        deadline = time.monotonic() + SETTLE_SECONDS
        headers = {
            "X-Dest-Tenant-Name": self.companies.destination,
            "Idempotency-Key": order.command_id,
            "Prefer": f"wait={wait}",
            "Content-Type": "application/json",
        }
        while True:
            told = "no connection"
            with contextlib.suppress(httpx.TransportError):
                response = await self.http.post(
                    "/v1/order/create", content=order.body, headers=headers
                )
                told = response.text
                assert response.status_code in (200, 503), f"{order.number}: {told}"
                if response.status_code == 200 and good(response.json()["status"]):
                    return response
            assert time.monotonic() < deadline, f"no answer to {order.command_id}: {told}"
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def storm(stack: Stack, seed: int) -> AsyncIterator[Storm]:
    """Two new companies on a ready stack, with all their reference data in force."""
    companies = Companies(seed)
    ledger = Ledger(companies)
    async with sender(stack.kafka) as own:
        await seed_reference(stack.kafka, own, companies)
        key = await stack.api_key(companies.origin, "order:create", "order:read")
        async with (
            httpx.AsyncClient(
                base_url=stack.http, headers={"X-API-Key": key}, timeout=45, trust_env=False
            ) as http,
            reading(stack.kafka, ledger.topics, ledger.take),
        ):
            yield Storm(stack, companies, ledger, own, http)


async def seed_reference(kafka: str, own: Sender, companies: Companies) -> None:
    """Send all reference data as the operator, and wait until each item is in force."""
    upserts = companies.reference()
    finals: dict[str, set[str]] = {upsert.id: set() for upsert in upserts}
    failed: list[object] = []

    def take(seen: Seen) -> None:
        value = json.loads(seen.value)
        if value["command_id"] in finals and value["outcome"] != "waiting":
            finals[value["command_id"]].add(seen.id)
            if value["outcome"] != "done":
                failed.append(value)

    async with reading(kafka, ["crossroads.results.operator"], take):
        await asyncio.gather(*(send_upsert(own, upsert) for upsert in upserts))
        await until(lambda: bool(failed) or all(finals.values()), "the reference data")
    assert not failed, failed
    assert all(len(ids) == 1 for ids in finals.values()), finals


async def send_upsert(own: Sender, upsert: Upsert) -> None:
    """One reference item, as the operator."""
    headers = command_headers(upsert.id, f"reference.upsert-{upsert.kind}", origin="operator")
    value = json.dumps(upsert.body).encode()
    await own.send("crossroads.reference", upsert.key.encode(), value, headers)


def _broken(number: int, headers: Headers) -> tuple[bytes, str, Headers]:
    """A value, the reason of its dead letter, and the headers: each kind in turn."""
    without_source = [header for header in headers if header[0] != "ce_source"]
    other_type = [
        (name, b"crossroads.order.teleport.v1" if name == "ce_type" else value)
        for name, value in headers
    ]
    kinds: list[tuple[bytes, str, Headers]] = [
        (b'{"origin_order_number": "cut', "not-json", headers),
        (b'{"note": "Malm\xf6"}', "not-utf8", headers),
        (b'{"note": "gate\\u0000code"}', "characters", headers),
        (b'{"extra_data": {"weight": 1e999}}', "numbers", headers),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "depth", headers),
        (b"{}", "headers", without_source),
        (b"{}", "headers", [*without_source, ("ce_source", None)]),
        (b"{}", "unknown-type", other_type),
        (b"{}", "tenant-mismatch", [*headers, ("ce_origintenant", b"operator")]),
    ]
    return kinds[number % len(kinds)]
