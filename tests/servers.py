"""One PostgreSQL and one broker for a whole test run, from the first source that has them.

1. The addresses in CROSSROADS_TEST_DATABASE_URL and CROSSROADS_TEST_KAFKA, each for itself.
2. Containers, where a Docker engine answers.
3. The embedded servers.

There is always a third: no test is skipped for want of a server.
"""

import asyncio
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from testcontainers.community.kafka import KafkaContainer
from testcontainers.community.postgres import PostgresContainer

from services.local.brokers import Tansu
from services.local.placing import remove_place
from services.local.ports import Ports
from services.local.postgres import Postgres
from services.local.supervisor import Supervisor

T = TypeVar("T")

DATABASE_VARIABLE = "CROSSROADS_TEST_DATABASE_URL"
KAFKA_VARIABLE = "CROSSROADS_TEST_KAFKA"


class Loop:
    """An event loop in a thread of its own, for what lives longer than a test."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end on the loop; the result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Source(Protocol):
    """Where the servers come from; each is started when it is first asked for."""

    def postgres(self) -> str:
        """The address of a database whose role may create others."""

    def kafka(self) -> str:
        """The bootstrap servers."""

    def close(self) -> None:
        """End what was started."""


class Embedded:
    """The servers of services/local, in a directory below /tmp."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._supervisor: Supervisor | None = None
        self._data = Path(tempfile.mkdtemp(prefix="crossroads-tests-"))
        self._logs = self._data / "logs"
        self._logs.mkdir()
        self._ports = Ports()

    def postgres(self) -> str:
        return self._loop.run(self._start_postgres())

    def kafka(self) -> str:
        return self._loop.run(self._start_broker())

    def close(self) -> None:
        if self._supervisor is not None:
            self._loop.run(self._supervisor.stop())
        remove_place(self._data, "postgres")
        shutil.rmtree(self._data)

    async def _start_postgres(self) -> str:
        # A test run may lose its data: nothing outlives it.
        settings = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        server = Postgres(self._data, self._ports.take(), self._logs, settings)
        await server.prepare()
        supervisor = self._supervise()
        supervisor.add(server.program(environment=dict(os.environ), stage=1))
        await supervisor.wait_ready(["postgres"], seconds=60)
        return server.dsn

    async def _start_broker(self) -> str:
        broker = Tansu(self._data, self._ports.take(), self._logs)
        await broker.prepare()
        supervisor = self._supervise()
        supervisor.add(broker.program(environment=dict(os.environ), stage=0, after_start=None))
        await supervisor.wait_ready(["broker"], seconds=60)
        return broker.bootstrap_servers

    def _supervise(self) -> Supervisor:
        if self._supervisor is None:
            self._supervisor = Supervisor(self._data)
        return self._supervisor


class Containers:
    """PostgreSQL and Apache Kafka from images."""

    def __init__(self) -> None:
        self._closing: list[Callable[[], None]] = []

    def postgres(self) -> str:
        container = PostgresContainer("postgres:18", driver=None)
        container.start()
        self._closing.append(container.stop)
        return str(container.get_connection_url())

    def kafka(self) -> str:
        container = KafkaContainer().with_kraft()
        container.start()
        self._closing.append(container.stop)
        return str(container.get_bootstrap_server())

    def close(self) -> None:
        for close in reversed(self._closing):
            close()


class Servers:
    """What the fixtures use."""

    def __init__(self) -> None:
        self.loop = Loop()
        self._source: Source | None = None
        self._postgres = os.environ.get(DATABASE_VARIABLE)
        self._kafka = os.environ.get(KAFKA_VARIABLE)

    def postgres(self) -> str:
        if self._postgres is None:
            self._postgres = self._start().postgres()
        return self._postgres

    def kafka(self) -> str:
        if self._kafka is None:
            self._kafka = self._start().kafka()
        return self._kafka

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
        self.loop.close()

    def _start(self) -> Source:
        if self._source is None:
            self._source = Containers() if docker_answers() else Embedded(self.loop)
        return self._source


def docker_answers() -> bool:
    """Whether a Docker engine answers on its socket here, or on DOCKER_HOST without TLS.

    Asked by hand: the client library leaves its socket open when nobody answers.
    """
    address = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    unix = address.scheme == "unix"
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as engine:
        engine.settimeout(3)
        try:
            engine.connect(address.path if unix else (address.hostname, address.port or 2375))
            engine.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in engine.recv(64)
        except OSError:
            return False
