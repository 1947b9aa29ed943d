"""A stack to measure: on the broker that is asked for, in a directory of its own."""

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from services.cli.logs_of_topics import input_logs, lag, marks
from services.kit.settings import Settings
from services.records.overview import waiting_counts
from tests.acceptance.stack import Stack
from tests.acceptance.words import Companies

# The hub's own default: a frozen process that is thawed within it keeps its partitions.
SESSION_SECONDS = 30
POLL_SECONDS = 0.1
# Of the hub; what else the stack starts serves all sides.
SERVICES = (
    *("order-intake", "status-update", "change-acceptance", "relay", "gateway"),
    "reference-data",
)
SERVERS = ("postgres", "broker")


@dataclass(slots=True)
class BenchStack(Stack):
    """`crossroads up --json`, and what measuring asks of it."""

    @property
    def is_up(self) -> bool:
        """Whether it was started and not yet ended."""
        return self._process is not None

    async def refer(self, companies: Companies) -> None:
        """Apply all reference data of two companies, as an operator would."""
        lists: dict[str, list[Any]] = {}
        for upsert in companies.reference():
            lists.setdefault(f"{upsert.kind}s", []).append(upsert.body)
        file = self.data.parent / f"{companies.tag}.json"
        file.write_text(json.dumps(lists))
        code, data, talk = await self.run("reference", "apply", str(file))
        assert code == 0, data + talk

    async def quiet(self, seconds: float = 90) -> None:
        """Wait until every record was read and every outgoing record acknowledged.

        As `crossroads status` counts, but here: a process for each look would cost more than it.
        """
        settings = Settings(
            database_url=str(self.line["database"]), kafka_bootstrap_servers=self.kafka
        )
        deadline = time.monotonic() + seconds
        while left := await _left(settings):
            assert time.monotonic() < deadline, f"not quiet: {left} records"
            await asyncio.sleep(POLL_SECONDS)

    def pids(self, *names: str) -> dict[str, list[int]]:
        """The processes of these names, by name."""
        return {name: [each.pid for each in self.processes(name)] for name in names}


async def _left(settings: Settings) -> int:
    """Records that are not read yet, and outgoing ones that are not acknowledged."""
    # The ends first: what is read meanwhile must not look like lag below zero.
    logs = await input_logs(settings)
    connection = await asyncpg.connect(settings.database_url)
    try:
        counts = await waiting_counts(connection)
        return lag(logs, await marks(connection)) + counts["unsent"] + counts["parked"]
    finally:
        await connection.close()


@contextlib.contextmanager
def bench_stack(
    broker: str, *, intakes: int, delivery: str = "at-least-once"
) -> Iterator[BenchStack]:
    """A ready stack; it is ended, and its directory removed."""
    # Below /tmp itself: PostgreSQL's user must reach it.
    home = Path(tempfile.mkdtemp(prefix="crossroads-bench-"))
    home.chmod(0o755)
    replicas = {"order-intake": intakes}
    stack = BenchStack(home / "data", replicas, SESSION_SECONDS, broker=broker, delivery=delivery)
    try:
        stack.start()
        yield stack
    finally:
        if stack.is_up:
            try:
                stack.stop()
            except AssertionError as fault:
                # It must not hide why the block ended.
                print(f"the stack did not end well: {fault}", file=sys.stderr)
        shutil.rmtree(home, ignore_errors=True)
