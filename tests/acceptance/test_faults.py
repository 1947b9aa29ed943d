"""The database and the broker go away in every way they can; readiness tells the truth of it."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from services.local.postgres import READING_LOGIN
from tests.acceptance.brokers import APACHE, TANSU, on, on_each
from tests.acceptance.kill_points_witness import Witness, witness
from tests.acceptance.stack import Stack, eventually, lives, until
from tests.acceptance.storm import CREATE, Storm, storm

pytestmark = pytest.mark.timeout(360)

TERMINATED = 30
# A test's own sessions have no name.
SESSIONS = "pg_stat_activity WHERE datname = current_database() AND application_name <> ''"


@contextlib.contextmanager
def nobody_restarts(stack: Stack) -> Iterator[None]:
    """Stop the supervisor, so that what is down stays down until the block ends."""
    pid = stack._running().pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.asynccontextmanager
async def admin(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """A session of the database's owner."""
    connection = await asyncpg.connect(stack.line["database"])
    try:
        yield connection
    finally:
        connection.terminate()


async def accepts(stack: Stack) -> bool:
    """Whether PostgreSQL takes a new session."""
    try:
        async with admin(stack):
            return True
    except (OSError, asyncpg.PostgresError):
        return False


async def down_until_all_say_so(
    running: Storm, seen: Witness, name: str, signal_: signal.Signals
) -> None:
    """End a server, keep it down until every process says 503, and let it start."""
    stack, since = running.stack, time.monotonic()
    with nobody_restarts(stack):
        process = stack.send(name, signal_)
        await until(lambda: not lives(process.pid), f"{name} to end")
        ended = time.monotonic() - since
        await seen.all_not_ready(since)
    running.figures.append(
        f"{name} ended by {signal_.name} after {ended:.1f} s; 503 after: {seen.told(since)}"
    )


async def back(running: Storm, seen: Witness, what: str) -> None:
    """From now on an order goes through, and every process says 200."""

    async def now() -> None:
        return None

    since = time.monotonic()
    await running.hurt(what, now)
    await seen.all_ready(since)
    running.figures.append(f"{what}: all say 200 after {time.monotonic() - since:.1f} s")


@on_each(long_on=APACHE)
@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
async def test_while_postgres_is_stopped_nobody_is_ready_and_nothing_is_lost(
    stack: Stack, signal_: signal.Signals
) -> None:
    async with storm(stack, seed=41) as running, witness(stack) as seen:

        async def stop() -> None:
            await running.more_finals(25)
            await down_until_all_say_so(running, seen, "postgres", signal_)
            await eventually(lambda: accepts(stack), "PostgreSQL to accept")
            await back(running, seen, f"PostgreSQL accepts again after {signal_.name}")

        await running.under_load(stop, orders=100)
        await stack.all_ready()
        await running.judge()
        running.tell(f"PostgreSQL stopped by {signal_.name}")


@on_each(long_on=APACHE)
async def test_single_backends_terminated_under_load_lose_nothing(stack: Stack) -> None:
    rng = random.Random(42)
    async with storm(stack, seed=42) as running, witness(stack) as seen, admin(stack) as own:
        hit: list[str] = []
        # Who made the gateway's reading login may take its rights, and then end its sessions.
        await own.execute(f"GRANT {READING_LOGIN} TO CURRENT_USER WITH INHERIT TRUE")

        async def terminate() -> None:
            for _ in range(TERMINATED):
                backends = await own.fetch(
                    f"SELECT pid, application_name AS name FROM {SESSIONS} ORDER BY pid"
                )
                # By name first: a pool of many is hit no more often than the relay's one session.
                name = rng.choice(sorted({each["name"] for each in backends}))
                pid = rng.choice([each["pid"] for each in backends if each["name"] == name])
                await own.execute("SELECT pg_terminate_backend($1)", pid)
                hit.append(name)
                await running.more_finals(rng.randrange(8))
            await back(running, seen, f"{TERMINATED} backends terminated")

        await running.under_load(terminate, orders=150)
        await stack.all_ready()
        await running.judge()
        running.tell(f"terminated: {', '.join(sorted(set(hit)))}")


@on_each()
@pytest.mark.long
async def test_without_a_free_connection_nobody_is_ready_and_nothing_is_lost(stack: Stack) -> None:
    async with storm(stack, seed=43) as running, witness(stack) as seen, admin(stack) as own:

        async def exhaust() -> None:
            await running.more_finals(25)
            since = time.monotonic()
            async with all_connections(stack, own):
                await seen.all_not_ready(since)
                running.figures.append(f"no connection left; 503 after: {seen.told(since)}")
            await back(running, seen, "connections are free again")

        await running.under_load(exhaust, orders=100)
        await stack.all_ready()
        await running.judge()
        running.tell("all connections taken by somebody else")


@contextlib.asynccontextmanager
async def all_connections(stack: Stack, own: asyncpg.Connection) -> AsyncIterator[None]:
    """Somebody else has every connection there is, those of the hub, too."""
    held: list[asyncpg.Connection] = []
    ended = asyncio.Event()

    async def take() -> None:
        while not ended.is_set():
            try:
                held.append(await asyncpg.connect(stack.line["database"], timeout=5))
            except (asyncpg.TooManyConnectionsError, OSError):
                await own.execute(f"SELECT pg_terminate_backend(pid) FROM {SESSIONS}")

    # One alone: the session that ends the hub's is not for two at once.
    taking = asyncio.create_task(take())
    try:
        yield
    finally:
        ended.set()
        await taking
        for each in held:
            each.terminate()


@on(APACHE)
@pytest.mark.long
async def test_while_apache_kafka_is_away_nobody_is_ready_and_nothing_is_lost(
    stack: Stack,
) -> None:
    async with storm(stack, seed=46) as running, witness(stack) as seen:

        async def stop() -> None:
            await running.more_finals(25)
            await down_until_all_say_so(running, seen, "broker", signal.SIGKILL)
            await back(running, seen, "the broker started again")

        await running.under_load(stop, orders=100)
        await stack.all_ready()
        await running.judge()
        running.tell("Apache Kafka was away")


@on(TANSU)
@pytest.mark.long
async def test_while_the_broker_is_away_nobody_is_ready_and_a_new_one_is_served(
    stack: Stack,
) -> None:
    # The last of this module: with the embedded broker its topics are gone, and what they held.
    async with storm(stack, seed=44) as running, witness(stack) as seen:
        await running.load(rate=25, enough=lambda: running.sent >= 50)
        await running.settled()
        await down_until_all_say_so(running, seen, "broker", signal.SIGKILL)
        since = time.monotonic()
        await seen.all_ready(since)
        running.figures.append(f"broker started again: 200 after {time.monotonic() - since:.1f} s")
        running.tell("the broker was away")
    await stack.all_ready()
    await stack.quiet()
    lost = (await stack.audit())["operations"][CREATE]["waiting"]
    async with storm(stack, seed=45) as running:
        await running.load(rate=25, enough=lambda: running.sent >= 50)
        await running.judge(lost=lost)
