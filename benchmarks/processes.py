"""Programs to measure beside the hub: started, frozen, ended."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

START_SECONDS = 120.0
END_SECONDS = 30.0


@contextlib.asynccontextmanager
async def program(
    *command: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[int]:
    """A program's id, once it has printed a line `ready`; it is ended with the block."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    last: deque[str] = deque(maxlen=60)
    reading: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(START_SECONDS):
            await _until_ready(process.stdout, last)
        reading = asyncio.create_task(_drain(process.stdout, last))
        yield process.pid
    except BaseException:
        print("".join(last), file=sys.stderr)
        raise
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), END_SECONDS)
        if reading is not None:
            await reading


@contextlib.contextmanager
def frozen(pids: Iterable[int]) -> Iterator[None]:
    """Processes that do nothing until the end of the block."""
    stopped = list(pids)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


async def _until_ready(out: asyncio.StreamReader, last: deque[str]) -> None:
    while (line := await out.readline()) != b"ready\n":
        assert line, "it ended before it was ready:\n" + "".join(last)
        last.append(line.decode(errors="replace"))


async def _drain(out: asyncio.StreamReader, last: deque[str]) -> None:
    while line := await out.readline():
        last.append(line.decode(errors="replace"))
