"""`crossroads demo`: the stack, the acts, and the end of both."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.cli.demo import agreeing, closing, delivery, driving, flow, opening, settling
from services.cli.demo.day import draw_day
from services.cli.demo.stage import Stage, set_stage
from services.cli.demo.telling import Teller
from services.cli.demo.trade import trade
from services.local.directory import ReadyLine
from services.local.placing import remove_place
from services.local.stack import StackOptions, running

INTERRUPTED = 130
_SESSION = "CROSSROADS_SESSION_TIMEOUT_SECONDS"
# The default is 30 s: who watches a process die does not want to wait so long for its successor.
_SESSION_SECONDS = "6"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What `crossroads demo` can be told; without `data` a new directory that goes at the end."""

    seed: int
    orders: int
    keep: bool
    data: Path | None


async def perform(options: DemoOptions, tell: Teller) -> dict[str, Any] | None:
    """Tell the whole story; its summary, or None when it was interrupted.

    Raises:
        NotAsItShould: something is not.
        LocalError: the servers cannot start here.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked.set)
    told: dict[str, Any] = {}
    play = asyncio.create_task(_play(options, tell, told))
    end = asyncio.create_task(asked.wait())
    await asyncio.wait({play, end}, return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    if not play.done():
        tell.say("ending")
        play.cancel()
        await asyncio.wait({play})
    if not play.cancelled():
        play.result()
    return told or None


async def _play(options: DemoOptions, tell: Teller, told: dict[str, Any]) -> None:
    facts = trade()
    day = draw_day(facts, seed=options.seed, size=options.orders)
    tell.act("Real servers start on this machine, without Docker")
    if os.environ.setdefault(_SESSION, _SESSION_SECONDS) == _SESSION_SECONDS:
        tell.say(
            f"{_SESSION} is {_SESSION_SECONDS}: so long a dead process may keep its partitions."
        )
    async with (
        _directory(options.data, tell) as data,
        running(StackOptions(data=data), tell.say) as (line, stack),
        set_stage(tell, line, facts, day) as stage,
    ):
        os.environ.update(line["environment"])
        _show_processes(tell, line)
        watching = asyncio.create_task(stack.watch())
        acting = asyncio.create_task(_acts(stage))
        try:
            await asyncio.wait({watching, acting}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            await acting
            await closing.addresses(stage, keep=options.keep)
            told.update(_summary(stage))
            if options.keep:
                tell.say(f"It stays until Ctrl-C. Elsewhere: crossroads --data {data} status")
                await watching
        finally:
            watching.cancel()
            acting.cancel()
            await asyncio.gather(watching, acting, return_exceptions=True)


async def _acts(stage: Stage) -> None:
    await opening.reference_arrives(stage)
    await opening.first_orders(stage)
    await delivery.a_delivery(stage)
    await agreeing.an_order_changes(stage)
    await settling.accepted_by_hand(stage)
    await settling.receipts(stage)
    await settling.cancels(stage)
    await opening.the_documents_examples(stage)
    calls = await flow.the_day(stage)
    await driving.drivers_are_heard(stage, calls)
    await flow.a_mapping_is_missing(stage)
    await closing.broken_records_end(stage)
    await closing.nothing_lost_or_repeated(stage)
    await closing.the_accounting(stage)


def _show_processes(tell: Teller, line: ReadyLine) -> None:
    tell.table(
        ("process", "pid"),
        [(name, " ".join(map(str, pids))) for name, pids in line["processes"].items()],
    )
    tell.check(f"everything is ready after {tell.seconds:.1f} s", all(line["processes"].values()))


def _summary(stage: Stage) -> dict[str, Any]:
    return {
        "seed": stage.day.seed,
        "records": len(stage.day.records),
        "delivered": len(stage.deliveries.orders),
        "told": len(stage.ways.told),
        "dealt": len(stage.dealt),
        "waited_for_a_mapping": sum(bool(order.late) for order in stage.day.orders),
        "dead_letters": len(stage.broken),
        "duplicates": len(stage.answers.duplicates),
        "repeats": stage.summary["repeats"],
        "killed": stage.summary["killed"],
        "checks": stage.tell.checks,
        "first_synced_seconds": stage.summary["first_synced_seconds"],
        "seconds": round(stage.tell.seconds, 1),
        "audit": stage.summary["audit"],
    }


@asynccontextmanager
async def _directory(given: Path | None, tell: Teller) -> AsyncIterator[Path]:
    """The data directory; one of our own goes at the end, unless something was wrong."""
    if given is not None:
        yield given
        return
    data = Path(tempfile.mkdtemp(prefix="crossroads-demo-"))
    try:
        yield data
    except asyncio.CancelledError:
        _remove(data)
        raise
    except BaseException:
        tell.say(f"The logs of the processes are in {data / 'logs'}")
        raise
    _remove(data)


def _remove(data: Path) -> None:
    remove_place(data, "postgres")
    shutil.rmtree(data)
