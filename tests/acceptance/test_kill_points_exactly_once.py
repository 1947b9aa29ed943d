"""A relay that delivers exactly once fails at every step in turn; nobody sees a record again.

As test_kill_points.py, which allows repeats; here a `read_committed` reader sees each `ce_id`
once (guarantee 4). Docs: docs/decisions/0020-exactly-once.md.
"""

import os
import random
import secrets
from pathlib import Path

import pytest

from tests.acceptance.brokers import APACHE, on
from tests.acceptance.kill_points_steps import RELAY_ROUND
from tests.acceptance.test_kill_points import Grounds, all_points, scenes, tell_all

pytestmark = on(APACHE)

EXACTLY_ONCE = "exactly-once"
DRAWN = 8


@pytest.fixture
def grounds(postgres_dsn: str, template_database: str, tmp_path: Path, broker: str) -> Grounds:
    return Grounds(postgres_dsn, template_database, tmp_path, broker)


@pytest.mark.timeout(180)
async def test_points_drawn_by_a_seed_repeat_nothing(grounds: Grounds) -> None:
    seed = int(os.environ.get("CROSSROADS_TEST_SEED") or secrets.randbits(32))
    print(f"\nseed {seed} (CROSSROADS_TEST_SEED draws the same again)")
    async with scenes(grounds, seed, EXACTLY_ONCE) as tellers:
        points = await all_points(tellers[0], [RELAY_ROUND])
        await tell_all(tellers, random.Random(seed).sample(points, DRAWN))


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_every_point_of_a_round_repeats_nothing(grounds: Grounds) -> None:
    async with scenes(grounds, 7, EXACTLY_ONCE) as tellers:
        # How many rounds there are depends on who is quicker: the steps that each story has.
        found = [await all_points(tellers[0], [RELAY_ROUND]) for _ in range(3)]
        points = min(found, key=len)
        print(f"\n{len(points)} points")
        await tell_all(tellers, points)
