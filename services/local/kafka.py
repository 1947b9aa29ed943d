"""Apache Kafka on this machine without Docker: its archives by Maven, run by Java.

One node is broker and controller (KRaft). Its files keep topics, offsets and the cluster's id from
one start to the next; its ports are kept too, as long as nobody else has taken them.
"""

import base64
import json
import os
import shutil
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from services.local.answering import answers
from services.local.archives import Archives, find_java
from services.local.errors import LocalError
from services.local.leftovers import write_private
from services.local.ports import LOOPBACK, Ports
from services.local.programs import Program, run_command

FORMAT_SECONDS = 60.0
HEAP = "512m"


class Kafka:
    """A Broker: Apache Kafka, one node, on disk.

    `settings` come after those of server.properties.
    """

    keeps_topics = True
    transactions = True
    session_seconds: int | None = None
    fetch_wait_ms: int | None = None

    def __init__(
        self, data: Path, port: int, logs: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        self._more = dict(settings or {})
        self._directory = data / "kafka"
        self._logs = logs
        self._port = port
        self._archives = Archives()
        self._cluster_id = ""
        self._java = ""

    @property
    def notice(self) -> str | None:
        """Said before the first start of all, which has to fetch what is to be run."""
        if self._archives.are_there:
            return None
        return f"Fetching Apache Kafka {self._archives.version} with Maven, once for this user."

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def cluster_id(self) -> str:
        """The id drawn when the files were made; known after `prepare`."""
        return self._cluster_id

    async def prepare(self) -> None:
        """Fetch the archives and format the storage, should either be missing; choose the ports.

        Raises:
            ProgramMissing: Java 17 is not there, or Maven is not and would be needed.
            LocalError: Maven or the formatting failed.
        """
        if any(sign in str(self._directory) for sign in ",\n"):
            # Kafka takes a comma for the border between two folders.
            raise LocalError(f"Apache Kafka cannot use a folder with a comma: {self._directory}")
        self._java = find_java()
        await self._archives.fetch(self._logs / "kafka-fetch.log")
        self._directory.mkdir(mode=0o700, exist_ok=True)
        controller = Ports().take(_kept(self._directory).get("controller"))
        self._write_settings(controller, self._storage)
        if not self._storage.exists():
            await self._format(controller)
        self._cluster_id = _properties(self._storage / "meta.properties")["cluster.id"]
        write_private(
            self._directory / "ports.json",
            json.dumps({"broker": self._port, "controller": controller}),
        )

    def program(
        self,
        *,
        environment: Mapping[str, str],
        stage: int,
        after_start: Callable[[], Awaitable[None]] | None,
    ) -> Program:
        """The broker as a program to keep running."""
        logging = self._archives.settings / "log4j2.properties"
        command = [
            *(self._java, f"-Xmx{HEAP}", "-XX:+UseSerialGC"),
            *("-XX:+ExitOnOutOfMemoryError", f"-XX:ErrorFile={self._logs}/kafka-crash-%p.log"),
            *("-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={logging}"),
            *("-cp", self._archives.classpath, "kafka.Kafka", str(self._settings)),
        ]
        return Program(
            name="broker",
            command=lambda: command,
            environment=environment,
            log=self._logs / "broker.log",
            answers=self._answers,
            after_start=after_start,
            stage=stage,
            # It ends within a second. A killed one loses nothing: what it took is in its files.
            patience=3.0,
        )

    @property
    def _storage(self) -> Path:
        return self._directory / "storage"

    @property
    def _settings(self) -> Path:
        return self._directory / "server.properties"

    async def _answers(self) -> bool:
        return await answers(self.bootstrap_servers)

    def _write_settings(self, controller: int, storage: Path) -> None:
        both = f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{LOOPBACK}:{controller}"
        own = {
            **self._more,
            "listeners": both,
            "advertised.listeners": both,
            "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{controller}",
            "log.dirs": str(storage),
        }
        fixed = (self._archives.settings / "server.properties").read_text()
        lines = [f"{name}={_escaped(value)}" for name, value in own.items()]
        self._settings.write_text("\n".join([fixed, *lines, ""]))

    async def _format(self, controller: int) -> None:
        """Make the storage beside its place first: an interrupted formatting is begun again."""
        fresh = self._directory / "storage.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._write_settings(controller, fresh)
        command = [
            *(self._java, "-Xmx128m", "-XX:TieredStopAtLevel=1"),
            *("-cp", self._archives.classpath, "kafka.tools.StorageTool", "format"),
            *("--standalone", "--cluster-id", _new_cluster_id(), "--config", str(self._settings)),
        ]
        log = self._logs / "kafka-format.log"
        await run_command(command, environment=os.environ, log=log, seconds=FORMAT_SECONDS)
        fresh.rename(self._storage)
        self._write_settings(controller, self._storage)


def kept_port(data: Path) -> int | None:
    """The port on which this data directory's Apache Kafka was reached last."""
    return _kept(data / "kafka").get("broker")


def _kept(directory: Path) -> dict[str, int]:
    file = directory / "ports.json"
    ports: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    return ports


def _new_cluster_id() -> str:
    """A random id in Kafka's writing; its own tools take a leading dash for an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def _escaped(value: str) -> str:
    """A value as a properties file wants it: Latin letters, everything else by its number."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    numbers = [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
    return "".join(chr(n) if 0x20 <= n < 0x7F else f"\\u{n:04x}" for n in numbers)


def _properties(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}
