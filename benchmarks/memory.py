"""What each process of the hub holds in memory as orders go by."""

import psutil

from benchmarks.orders import messages
from benchmarks.sides import Side
from benchmarks.stack import SERVICES, BenchStack
from benchmarks.topics import fill
from tests.acceptance.words import Companies

CHUNK = 5_000


def resident(stack: BenchStack) -> dict[str, float]:
    """Resident megabytes by process of the hub; several of one service are numbered."""
    return {
        f"{each.name}-{each.number}" if each.number else each.name: (
            psutil.Process(each.pid).memory_info().rss / 1e6
        )
        for name in SERVICES
        for each in stack.processes(name)
    }


async def long_run(
    stack: BenchStack, side: Side, companies: Companies, orders: int
) -> dict[int, dict[str, float]]:
    """Let so many orders pass the hub; its memory at the end of every tenth of them."""
    found: dict[int, dict[str, float]] = {}
    step = max(CHUNK, orders // 10)
    for at in range(CHUNK, orders + CHUNK, CHUNK):
        before = side.tail.count
        await fill(stack.kafka, side.source, messages(companies, CHUNK))
        await side.tail.reach(before + CHUNK)
        if at // step > (at - CHUNK) // step:
            found[at] = resident(stack)
    return found
