"""One story of orders, told again and again while a process fails at one step of it after another.

Two companies on a database and a broker of the test's own servers; the workers and the relay are
the real processes, forked from a warm one and led through proxies that count what they say. The
chapters of progress stand in kill_points_progress.py, those of changes and of orders whose fate is
settled in kill_points_mixed.py.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.domain.accounting import problems
from services.local.brokers import BROKERS, Broker
from services.local.kafka import Kafka
from services.local.ports import Ports
from services.local.supervisor import Supervisor
from services.records import accounting
from tests.acceptance.brokers import APACHE
from tests.acceptance.kill_points_steps import (
    BATCH,
    KILLED,
    LANE_TURN,
    RELAY_ROUND,
    BatchSteps,
    ExactRelaySteps,
    Point,
    RelaySteps,
    TurnSteps,
)
from tests.acceptance.kill_points_wire import BEFORE, Doors, Watch, leave_group
from tests.acceptance.ledger import Expected
from tests.acceptance.mixed_ledger import MixedLedger
from tests.acceptance.stack import eventually, lives, until
from tests.acceptance.talk import Talk
from tests.acceptance.wire import Headers, command_headers, partitions_of, reading
from tests.acceptance.words import Companies, Order, Upsert
from tests.integration.hub import Hub, hub
from tests.servers import APACHE_SETTINGS

INTAKE, STATUS, CHANGE, RELAY = SERVICES = (
    "order-intake", "status-update", "change-acceptance", "relay"
)  # fmt: skip
SECONDS = 40.0


@dataclass(slots=True)
class Scene:
    """Everything that is needed to tell the story once more."""

    kafka: str
    home: Path
    zygote: subprocess.Popen[str]
    doors: dict[str, Doors]
    hub: Hub
    companies: Companies
    talk: Talk
    ledger: MixedLedger
    producer: AIOKafkaProducer
    seed: int
    deployment: str
    # The relay's.
    delivery: str = "at-least-once"
    pids: dict[str, int] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    stories: int = 0

    # Processes.

    def fork(self, service: str) -> None:
        """Begin a life of a service."""
        doors = self.doors[service]
        environment = {
            "CROSSROADS_DATABASE_URL": doors.dsn,
            "CROSSROADS_KAFKA_BOOTSTRAP_SERVERS": doors.kafka,
            "CROSSROADS_DEPLOYMENT": self.deployment,
            "CROSSROADS_DELIVERY": self.delivery,
            # The embedded broker lets a member in after half of it.
            "CROSSROADS_SESSION_TIMEOUT_SECONDS": "2",
        }
        order = {"service": service, "log": str(self.home / service), "environment": environment}
        assert self.zygote.stdin is not None
        assert self.zygote.stdout is not None
        self.zygote.stdin.write(json.dumps(order) + "\n")
        self.zygote.stdin.flush()
        self.down.discard(service)
        self.pids[service] = int(self.zygote.stdout.readline())

    def kill(self, service: str) -> None:
        """SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pids[service], signal.SIGKILL)

    async def buried(self, service: str) -> None:
        """Wait until the killed process is gone, and the group knows."""
        pid = self.pids[service]
        await until(lambda: not lives(pid), f"{service} to be dead", SECONDS)
        gate = self.doors[service].gate
        if gate.member is not None:
            await leave_group(self.kafka, gate.member)
            gate.member = None

    async def end_life(self, service: str) -> None:
        """Kill a service that stays down until it is forked again."""
        self.down.add(service)
        self.kill(service)
        await self.buried(service)

    async def only(self, *services: str) -> None:
        """Let these run and no other: whoever is up may take a turn."""
        for service in SERVICES:
            up = service in self.pids and service not in self.down
            if up and service not in services:
                await self.end_life(service)
            elif not up and service in services:
                self.fork(service)

    def told(self, service: str) -> str:
        """The end of a service's log."""
        log = self.home / service
        return "\n".join(log.read_text().splitlines()[-12:]) if log.exists() else ""

    # The story.

    def begin(self, service: str, point: Point | None) -> Callable[[Watch], None]:
        """Begin a story; what is returned watches the service, and makes the fault at the point."""
        self.stories += 1
        # The same draw each time, or the steps would not be the same.
        self.companies.rng.seed(self.seed)
        at, side = (None, BEFORE) if point is None else (point.at, point.side)

        def happens() -> None:
            if point is not None and point.fault == KILLED:
                self.kill(service)

        return lambda watch: self.doors[service].gate.arm(watch, at, side, happens)

    async def end(self, service: str, point: Point | None) -> list[str] | None:
        """Let everything come to rest and be judged; what `tell` returns."""
        await self.settled()
        gate = self.doors[service].gate
        labels = gate.disarm()
        await self.judge()
        return labels if point is None or gate.fired.is_set() else None

    async def tell(self, chapter: str, point: Point | None = None) -> list[str] | None:
        """The story of an order, with a fault at a point of a chapter; then all is checked.

        The steps of the chapter that were seen; None where there was no such point this time.
        """
        await self.only(INTAKE, RELAY)
        service = RELAY if chapter == RELAY_ROUND else INTAKE
        arm = self.begin(service, point)
        plain, late = self.orders()
        if chapter == RELAY_ROUND:
            await self.end_life(RELAY)
        if chapter == BATCH:
            arm(BatchSteps(self.companies.tag))
        await self.produce(plain, late)
        await self.taken([order.command_id for order in (*plain, late)])
        if chapter == LANE_TURN:
            arm(TurnSteps())
        await self.map_late()
        if chapter == RELAY_ROUND:
            await self._decided()
            arm(RelaySteps() if self.delivery == "at-least-once" else ExactRelaySteps())
            self.fork(RELAY)
        return await self.end(service, point)

    async def map_late(self) -> None:
        """What the late order of this story waits for: at once, so one waking and one turn."""
        upserts = self.companies.late(self.stories)
        await self.hub.process(*(_record(self.hub, upsert) for upsert in upserts))

    async def _keep_running(self) -> None:
        """What a supervisor does: whoever ended by itself is started anew."""
        for service, pid in self.pids.items():
            if service not in self.down and not lives(pid):
                await self.buried(service)
                self.fork(service)

    async def judge(self) -> None:
        """All guarantees on all that was ever told, and the books."""
        self.ledger.check()
        assert self.delivery == "at-least-once" or not self.ledger.repeats
        async with (
            self.hub.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            books = await accounting.count(connection)
            repaired = await connection.fetchval("SELECT count(*) FROM lane_repairs")
        assert problems(books) == []
        waits = sum(each.waiting for each in books.operations.values())
        failed = books.operations["order.create"].failed
        assert (waits, failed, repaired) == (0, 0, 0), books

    def orders(self) -> tuple[list[Order], Order]:
        """Two orders, one that gives a number again, and one that waits for a mapping."""
        companies, ledger, now = self.companies, self.ledger, time.monotonic()
        plain = [companies.order() for _ in range(2)]
        late = companies.order(late=self.stories)
        for order in plain:
            ledger.expect(Expected(order.command_id, "done", None, now, order))
        ledger.expect(Expected(late.command_id, "done", None, now, late, late=True))
        again = companies.same_number(plain[0])
        refused = "request.order_already_exists"
        ledger.expect(Expected(again.command_id, "refused", refused, now))
        return [*plain, again], late

    async def produce(self, plain: list[Order], late: Order) -> None:
        """One produced batch: a gap, a further copy, a number given again, a broken record."""
        batch = self.producer.create_batch()
        broken = f"{self.companies.tag}-broken-{self.stories}".encode()
        self.ledger.broken[broken] = "not-json"
        partner = self.companies.destination

        def append(id_: str, key: bytes, value: bytes) -> None:
            headers: Headers = command_headers(id_, "order.create", partner=partner)
            batch.append(key=key, value=value, timestamp=None, headers=headers)

        for order in (*plain[:2], late, plain[0], plain[2]):
            append(order.command_id, order.number.encode(), order.body)
        append(f"create-{broken.decode()}", broken, b'{"cut')
        batch.close()
        topic = f"crossroads.orders.{self.companies.origin}"
        await (await self.producer.send_batch(batch, topic, partition=0))

    async def create(self, order: Order) -> None:
        """Produce one order by itself."""
        headers = command_headers(
            order.command_id, "order.create", partner=self.companies.destination
        )
        topic = f"crossroads.orders.{self.companies.origin}"
        await self.producer.send_and_wait(
            topic, order.body, key=order.number.encode(), headers=headers, partition=0
        )

    async def taken(self, ids: list[str]) -> None:
        """Wait until these commands were accepted."""

        async def taken() -> bool:
            query = "SELECT count(*) FROM commands WHERE command_id = ANY($1)"
            return bool(await self.hub.pool.fetchval(query, ids) == len(set(ids)))

        await self.until_so(taken, "the commands to be taken")

    async def _decided(self) -> None:
        """Wait until no command waits."""

        async def decided() -> bool:
            query = "SELECT count(*) FROM commands WHERE outcome = 'waiting'"
            return not await self.hub.pool.fetchval(query)

        await self.until_so(decided, "the commands to be decided")

    async def settled(self) -> None:
        """Wait until all that was sent has its answers, nothing waits and the outbox is empty."""

        async def settled() -> bool:
            query = """
                SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM outbox_parked)
                    + (SELECT count(*) FROM commands WHERE outcome = 'waiting')
            """
            return not self.ledger.unsettled() and not await self.hub.pool.fetchval(query)

        await self.until_so(settled, "everything to be told")

    async def until_so(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        async def attempt() -> bool:
            await self._keep_running()
            return await condition()

        try:
            await eventually(attempt, what, SECONDS)
        except AssertionError as error:
            told = [self.told(service) for service in SERVICES]
            raise AssertionError("\n".join([str(error), *self.ledger.unsettled(), *told])) from None


@contextlib.asynccontextmanager
async def own_broker(home: Path, kind: str) -> AsyncIterator[str]:
    """A broker of this kind that nobody else uses: a pattern reads all topics there are."""
    broker: Broker
    if kind == APACHE:
        broker = Kafka(home, Ports().take(), home, APACHE_SETTINGS)
    else:
        broker = BROKERS[kind](home, Ports().take(), home)
    await broker.prepare()
    supervisor = Supervisor(home)
    supervisor.add(broker.program(environment=dict(os.environ), stage=0, after_start=None))
    await supervisor.wait_ready(["broker"], seconds=60)
    try:
        yield broker.bootstrap_servers
    finally:
        await supervisor.stop()


@contextlib.asynccontextmanager
async def scene(
    dsn: str,
    kafka: str,
    home: Path,
    zygote: subprocess.Popen[str],
    seed: int,
    *,
    delivery: str = "at-least-once",
) -> AsyncIterator[Scene]:
    """Two new companies, all their reference data in force, order-intake and the relay at work."""
    companies = Companies(seed, both_ways=True)
    talk, ledger = Talk(companies), MixedLedger(companies)
    await _topics(kafka, [*ledger.topics, "crossroads.results.operator", "crossroads.relay"])
    async with contextlib.AsyncExitStack() as stack:
        own = await stack.enter_async_context(hub(dsn))
        for upsert in companies.reference():
            await own.process(_record(own, upsert))
        while await own.drain():
            pass
        doors = {name: Doors(dsn, kafka) for name in SERVICES}
        for each in doors.values():
            await stack.enter_async_context(each.open())
        producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
        await producer.start()
        stack.push_async_callback(producer.stop)
        deployment = f"kp-{companies.tag}"
        found = Scene(
            kafka, home, zygote, doors, own, companies, talk, ledger, producer, seed, deployment,
            delivery,
        )  # fmt: skip
        await stack.enter_async_context(reading(kafka, ledger.topics, ledger.take))
        stack.push_async_callback(_ended, found)
        yield found


async def _ended(scene: Scene) -> None:
    for service in scene.pids:
        scene.kill(service)
        await scene.buried(service)


@contextlib.contextmanager
def warm_process() -> Iterator[subprocess.Popen[str]]:
    """What every life of a service is forked from."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.acceptance.kill_points_zygote"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={
            **{key: each for key, each in os.environ.items() if not key.startswith("CROSSROADS_")},
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


async def _topics(kafka: str, names: list[str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        await admin.create_topics([NewTopic(name, 1, 1) for name in names if name not in existing])
    finally:
        await admin.close()
    await partitions_of(kafka, names, seconds=SECONDS)


def _record(own: Hub, upsert: Upsert) -> Any:
    return own.record(f"reference.upsert-{upsert.kind}", upsert.body, command_id=upsert.id)
