"""One PostgreSQL and the brokers of a whole test run, each from the first source that has it.

1. The addresses in CROSSROADS_TEST_DATABASE_URL and CROSSROADS_TEST_KAFKA, each for itself.
2. Containers, where a Docker engine answers.
3. The servers of services/local: PostgreSQL, the embedded broker, and Apache Kafka where Java and
   Maven are there.

There is always a database and a broker: no test is skipped for want of one. What could run on one
broker only is said at the end of the run.
"""

import asyncio
import functools
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from testcontainers.community.kafka import KafkaContainer
from testcontainers.community.postgres import PostgresContainer

from services.local.archives import Archives, unavailable
from services.local.brokers import Broker, Tansu
from services.local.errors import LocalError
from services.local.kafka import Kafka
from services.local.placing import remove_place
from services.local.ports import Ports
from services.local.postgres import Postgres
from services.local.supervisor import Supervisor

T = TypeVar("T")

TANSU, APACHE, GIVEN = "tansu", "apache", "given"
# Some tests want to see a member of a group go within two seconds.
APACHE_SETTINGS = {"group.min.session.timeout.ms": "1000"}

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


class Embedded:
    """The servers of services/local, in a directory below /tmp."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._supervisor: Supervisor | None = None
        self._brokers: list[Supervisor] = []
        self._data = Path(tempfile.mkdtemp(prefix="crossroads-tests-"))
        self._logs = self._data / "logs"
        self._logs.mkdir()
        self._ports = Ports()

    def postgres(self) -> str:
        return self._loop.run(self._start_postgres())

    def tansu(self) -> str:
        broker = Tansu(self._data, self._ports.take(), self._logs)
        return self._loop.run(self._start_broker(broker, self._folder("tansu")))

    def apache(self) -> str:
        broker = Kafka(self._data, self._ports.take(), self._logs, APACHE_SETTINGS)
        return self._loop.run(self._start_broker(broker, self._folder("apache")))

    def close(self) -> None:
        for supervisor in self._brokers:
            self._loop.run(supervisor.stop())
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

    async def _start_broker(self, broker: Broker, directory: Path) -> str:
        await broker.prepare()
        # One each: all brokers have the same name.
        supervisor = Supervisor(directory)
        self._brokers.append(supervisor)
        supervisor.add(broker.program(environment=dict(os.environ), stage=0, after_start=None))
        await supervisor.wait_ready(["broker"], seconds=60)
        return broker.bootstrap_servers

    def _folder(self, name: str) -> Path:
        folder = self._data / name
        folder.mkdir()
        return folder

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

    def apache(self) -> str:
        container = KafkaContainer().with_kraft()
        for name, value in APACHE_SETTINGS.items():
            container.with_env(f"KAFKA_{name.upper().replace('.', '_')}", value)
        container.start()
        self._closing.append(container.stop)
        return str(container.get_bootstrap_server())

    def close(self) -> None:
        for close in reversed(self._closing):
            close()


class Servers:
    """What the fixtures use; each server is started when it is first asked for."""

    def __init__(self) -> None:
        self.loop = Loop()
        self._embedded: Embedded | None = None
        self._containers: Containers | None = None
        self._postgres = os.environ.get(DATABASE_VARIABLE)
        self._kafka: dict[str, str] = {}

    def postgres(self) -> str:
        """The address of a database whose role may create others, and roles."""
        if self._postgres is None:
            source = self._run_containers() if docker_answers() else self._run_embedded()
            self._postgres = source.postgres()
        return self._postgres

    def kafka(self, kind: str | None = None) -> str:
        """The bootstrap servers of a broker of BROKERS, by default of the first."""
        kind = kind or brokers()[0]
        if kind not in self._kafka:
            self._kafka[kind] = self._start_kafka(kind)
        return self._kafka[kind]

    def close(self) -> None:
        for source in (self._containers, self._embedded):
            if source is not None:
                source.close()
        self.loop.close()

    def _start_kafka(self, kind: str) -> str:
        if kind == GIVEN:
            return os.environ[KAFKA_VARIABLE]
        if kind == TANSU:
            return self._run_embedded().tansu()
        source = self._run_containers() if docker_answers() else self._run_embedded()
        return source.apache()

    def _run_embedded(self) -> Embedded:
        self._embedded = self._embedded or Embedded(self.loop)
        return self._embedded

    def _run_containers(self) -> Containers:
        self._containers = self._containers or Containers()
        return self._containers


@functools.cache
def brokers() -> list[str]:
    """The brokers that tests of brokers run on, here and now; the first is everybody else's."""
    if KAFKA_VARIABLE in os.environ:
        return [GIVEN]
    return [TANSU] if no_apache() else [TANSU, APACHE]


@functools.cache
def no_apache() -> str | None:
    """Why tests do not run on an Apache Kafka of our own, in one sentence; None when they do."""
    if KAFKA_VARIABLE in os.environ:
        return f"{KAFKA_VARIABLE} names another broker."
    return None if docker_answers() else no_archives()


@functools.cache
def no_archives() -> str | None:
    """Why Apache Kafka cannot be started as a program of ours; None when it can.

    Its archives are fetched here, once a machine: where Maven cannot reach a repository, tests on
    Apache Kafka do not run, and the last lines say so.
    """
    if (reason := unavailable()) is not None:
        return reason
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "maven.log"
        try:
            asyncio.run(Archives().fetch(log))
        except LocalError as error:
            return f"Maven could not fetch its archives ({str(error).split(';')[0]})."
    return None


@functools.cache
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
