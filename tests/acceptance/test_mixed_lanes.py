"""Many orders of which everything is said, while every service is killed; long."""

import pytest

from tests.acceptance.brokers import on_each
from tests.acceptance.mixed_whole import VICTIMS, whole
from tests.acceptance.stack import Stack

pytestmark = [pytest.mark.timeout(1800), pytest.mark.long, on_each()]
REPLICAS = {"order_intake": 2, "change_acceptance": 2}


async def test_three_hundred_orders_end_as_the_documents_say(stack: Stack) -> None:
    await whole(stack, orders=300, words=7, seed=42, killed_behind=VICTIMS)
