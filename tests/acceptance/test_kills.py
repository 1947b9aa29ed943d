"""Every kind of process killed under load: nothing lost, nothing twice, the books balance."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from tests.acceptance.brokers import APACHE, TANSU, on, on_each
from tests.acceptance.mixed_whole import whole
from tests.acceptance.stack import Stack
from tests.acceptance.storm import CREATE, storm

pytestmark = pytest.mark.timeout(360)

KINDS = ("order-intake", "status-update", "reference-data", "relay", "gateway", "postgres")


def ended_by(stack: Stack, name: str, signal_: signal.Signals) -> Callable[[], Awaitable[None]]:
    """A fault: the process gets the signal, and is up again."""

    async def fault() -> None:
        await stack.up_again(stack.send(name, signal_))

    return fault


@on_each(long_on=APACHE)
async def test_each_kind_of_process_killed_once_loses_and_doubles_nothing(stack: Stack) -> None:
    async with storm(stack, seed=11) as running:

        async def kills() -> None:
            for name in KINDS:
                fault = ended_by(stack, name, signal.SIGKILL)
                await running.hurt(f"kill -9 {name}", fault, by_http=name == "gateway")

        await running.under_load(kills, orders=600)
        await running.judge()
        running.tell("kill -9 of each kind of process")


@on_each()
async def test_whatever_is_said_of_thirty_orders_under_kills_ends_as_the_documents_say(
    stack: Stack,
) -> None:
    """All operations from both sides on three topics and over HTTP, behind a gap that closes."""
    await whole(stack, orders=30, words=4, seed=41)


@on_each(long_on=APACHE)
async def test_postgres_stopped_at_once_under_load_loses_nothing(stack: Stack) -> None:
    async with storm(stack, seed=12) as running:

        async def stop() -> None:
            # SIGQUIT is PostgreSQL's `immediate`: no checkpoint, recovery at the next start.
            fault = ended_by(stack, "postgres", signal.SIGQUIT)
            await running.hurt("PostgreSQL stopped `immediate`", fault)

        await running.under_load(stop, orders=150)
        await running.judge()
        running.tell("PostgreSQL stopped at once")


@on(APACHE)
async def test_apache_kafka_killed_under_load_loses_and_doubles_nothing(stack: Stack) -> None:
    """Guarantee 1: what it had acknowledged is there again with it."""
    async with storm(stack, seed=15) as running:

        async def kill() -> None:
            fault = ended_by(stack, "broker", signal.SIGKILL)
            await running.hurt("kill -9 broker", fault, by_http=True)
            await running.more_finals(50)

        await running.under_load(kill, orders=150)
        await stack.all_ready()
        await running.judge()
        running.tell("kill -9 of Apache Kafka")


@on(TANSU)
async def test_after_the_embedded_broker_died_the_books_balance_and_it_serves_again(
    stack: Stack,
) -> None:
    # The last of this module: with the broker its topics are gone, and what they had taken in.
    async with storm(stack, seed=13) as running:
        load = asyncio.create_task(running.load(rate=25, enough=lambda: False))
        try:
            await running.hurt("kill -9 relay", ended_by(stack, "relay", signal.SIGKILL))
        finally:
            load.cancel()
            await asyncio.wait([load])
            # The embedded broker acknowledges a record of a topic it does not have yet, and nobody
            # can ever read it: what is under way now would be sent to it when it is back.
            await running.sender.acknowledged()
        await stack.up_again(stack.send("broker", signal.SIGKILL))
    await stack.all_ready()
    await stack.quiet()
    books = await stack.audit()
    lost = books["operations"][CREATE]["waiting"]
    async with storm(stack, seed=14) as running:
        await running.load(rate=25, enough=lambda: running.sent >= 50)
        await running.judge(lost=lost)
        running.tell(f"after the broker was killed; {lost} orders wait for mappings it lost")
