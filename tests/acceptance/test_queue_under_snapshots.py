"""The queue does not rot while others keep a snapshot and a long write open (protocol §5)."""

import pytest

from benchmarks.scale.load import load
from benchmarks.scale.snapshots import measure, tell
from tests.acceptance.stack import running_stack

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

SECONDS = 90
ALONE_SECONDS = 40


async def test_an_open_snapshot_and_a_long_write_do_not_make_the_queue_dearer() -> None:
    """Judged by the index entries read for an order: throughput is printed, and the machine's."""
    with running_stack(session_seconds=30) as stack:
        async with load(stack) as running:
            alone, beside = await measure(running, SECONDS, ALONE_SECONDS)
            tell(alone, beside)
        await stack.quiet()
        await stack.audit()
    # A queue that rots reads every dead row at every fetch: thousands an order after a minute.
    assert beside.entries("outbox_pkey", 2) < 100 + 4 * alone.entries("outbox_pkey", 2)
