"""Fifty kills at random over every process, the servers too, while orders keep coming."""

import os
import random
import secrets
import signal
from collections import Counter

import pytest

from tests.acceptance.brokers import TANSU, on_each
from tests.acceptance.stack import Process, Stack, lives
from tests.acceptance.storm import storm

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400), on_each()]

KILLS = int(os.environ.get("CROSSROADS_TEST_KILLS", "50"))
REPLICAS = {"relay": 2, "order_intake": 2, "status_update": 2, "reference_data": 2}


async def test_fifty_random_kills_leave_every_guarantee_and_the_books_whole(
    stack: Stack, broker: str
) -> None:
    seed = int(os.environ.get("CROSSROADS_TEST_SEED") or secrets.randbits(32))
    print(f"\nseed {seed} (CROSSROADS_TEST_SEED draws the same again, at other moments)")
    rng = random.Random(seed)
    killed: Counter[str] = Counter()
    # The embedded broker is left alone: it keeps its topics in memory (guarantee 1).
    spared = {"broker"} if broker == TANSU else set()
    names = sorted({each.name for each in stack.processes()} - spared)
    async with storm(stack, seed) as running:

        def victim() -> Process:
            up = [each for each in stack.processes() if each.name in names and lives(each.pid)]
            name = rng.choice(sorted({each.name for each in up}))
            return rng.choice([each for each in up if each.name == name])

        async def kills() -> None:
            for number in range(KILLS):
                chosen = victim()
                killed[chosen.name] += 1

                async def kill(chosen: Process = chosen) -> None:
                    stack.send(chosen.name, signal.SIGKILL, chosen.number)

                # Now and then at once, so that one dies while another one is still coming back.
                if rng.random() < 0.7:
                    await running.hurt(f"{number + 1:2} kill -9 {chosen.name}", kill)
                else:
                    await kill()
                await running.more_finals(rng.randrange(40))

        await running.under_load(kills, orders=2000)
        await stack.all_ready()
        await running.judge()
        running.tell(f"seed {seed}, killed {dict(killed)}")
