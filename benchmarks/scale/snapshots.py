"""Whether the queue rots while others keep a snapshot and a write transaction open.

    python -m benchmarks.scale.snapshots --minutes 10

Full load through the whole stack, first alone, then with a session that holds an open snapshot
(REPEATABLE READ) and another that has written and does not commit. Both are in the same database,
and neither touches the hub's tables. Throughput every ten seconds, first against last, with
against without; and the index entries that were read for each order, which grow where a queue rots,
whatever else the machine does.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator

import asyncpg

from benchmarks.scale.load import Load, Phase, load
from tests.acceptance.stack import running_stack

SESSION_SECONDS = 30


@contextlib.asynccontextmanager
async def held(dsn: str) -> AsyncIterator[None]:
    """A snapshot and a transaction that has written, both open until the end of the block."""
    reader = await asyncpg.connect(dsn, server_settings={"application_name": "an old snapshot"})
    writer = await asyncpg.connect(dsn, server_settings={"application_name": "a long write"})
    await writer.execute("CREATE TABLE IF NOT EXISTS elsewhere (n int)")
    try:
        await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await reader.fetchval("SELECT count(*) FROM tenants")
        await writer.execute("BEGIN; INSERT INTO elsewhere VALUES (1)")
        yield
    finally:
        await reader.close()
        await writer.close()


async def measure(running: Load, seconds: float, alone_seconds: float) -> tuple[Phase, Phase]:
    """The load alone, and with both held; printed."""
    await running.phase("warming up", 5)
    alone = await running.phase(f"alone, {alone_seconds:.0f} s", alone_seconds)
    alone.tell()
    async with held(running.stack.line["database"]):
        beside = await running.phase(f"with both held, {seconds:.0f} s", seconds)
        beside.tell()
        connection = await asyncpg.connect(running.stack.line["database"])
        for row in await connection.fetch(
            "SELECT relname, n_dead_tup, pg_total_relation_size(relid) AS size"
            " FROM pg_stat_user_tables WHERE relname IN ('outbox', 'stream_positions')"
        ):
            print(
                f"  {row['relname']}: {row['n_dead_tup']:,} dead rows, {row['size'] / 1e6:,.0f} MB"
            )
        await connection.close()
        relay = running.stack.processes("relay")[0]
        began = time.monotonic()
        running.stack.send("relay", signal.SIGKILL)
        await running.stack.up_again(relay)
        back = time.monotonic() - began
        after = await running.phase("with a relay that began at 0", 10)
        print(f"  a relay killed meanwhile: up again after {back:.1f} s, then "
              f"{after.rate():,.0f} orders/s")  # fmt: skip
    return alone, beside


def tell(alone: Phase, beside: Phase) -> None:
    print(f"last third with both held against first: {beside.rate(2) / beside.rate(0):.2f}; "
          f"against alone: {beside.rate(2) / alone.rate():.2f}")  # fmt: skip


async def main(asked: argparse.Namespace) -> None:
    with running_stack(session_seconds=SESSION_SECONDS) as stack:
        async with load(stack) as running:
            tell(*await measure(running, asked.minutes * 60, asked.alone * 60))
        await stack.quiet()
        await stack.audit()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale.snapshots", description=__doc__
    )
    parser.add_argument("--minutes", type=float, default=10, help="how long both are held")
    parser.add_argument("--alone", type=float, default=2, help="minutes of the same without")
    began = time.monotonic()
    asyncio.run(main(parser.parse_args()))
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)
