"""Apache Kafka without Docker: fetched once, kept over restarts, refused clearly."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from services.cli.app import app
from services.kit import kafka as brokers
from services.kit.settings import Settings
from services.local import stack
from services.local.archives import Archives, find_java, find_maven, unavailable
from services.local.errors import LocalError, ProgramMissing
from services.local.kafka import Kafka, _escaped, kept_port
from services.local.placing import remove_place
from services.local.ports import Ports
from services.local.stack import StackOptions, running
from services.local.supervisor import Supervisor
from tests.integration.relay_world import create_topics, read, until
from tests.servers import no_archives

with_java = pytest.mark.skipif(no_archives() is not None, reason=str(no_archives()))
DOUBLE = Path(__file__).parents[1] / "hub_double.py"


@pytest.fixture
def data() -> Iterator[Path]:
    found = Path(tempfile.mkdtemp(prefix="crossroads-kafka-"))
    (found / "logs").mkdir()
    yield found
    remove_place(found, "postgres")
    shutil.rmtree(found)


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of this folder alone, no JAVA_HOME, and an empty cache."""
    found = tmp_path / "bin"
    found.mkdir()
    monkeypatch.setenv("PATH", str(found))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found


@asynccontextmanager
async def serving(data: Path, port: int | None = None) -> AsyncIterator[tuple[Kafka, Supervisor]]:
    broker = Kafka(data, Ports().take(port), data / "logs")
    await broker.prepare()
    supervisor = Supervisor(data)
    supervisor.add(broker.program(environment=dict(os.environ), stage=0, after_start=None))
    try:
        await supervisor.wait_ready(["broker"], seconds=60)
        yield broker, supervisor
    finally:
        await supervisor.stop()


async def produce(broker: Kafka, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    await producer.start()
    for value in values:
        await producer.send_and_wait("kept", value)
    await producer.stop()


async def kept(broker: Kafka) -> list[bytes | None]:
    return [record.value for record in await read(broker.bootstrap_servers, "kept")]


def settings(broker: Kafka) -> Settings:
    return Settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        kafka_bootstrap_servers=broker.bootstrap_servers,
        _env_file=None,
    )


@with_java
async def test_a_restart_keeps_topics_port_and_cluster_id_and_the_end_is_quick(data):
    async with serving(data) as (first, supervisor):
        await create_topics(first.bootstrap_servers, "kept")
        await produce(first, b"1", b"2")
        assert await brokers.cluster_id(settings(first)) == first.cluster_id
        (process,) = supervisor.processes
        rss = psutil.Process(process.pid).memory_info().rss >> 20
        begun = time.monotonic()
        await supervisor.stop()
        print(f"Apache Kafka: {rss} MB, ended after {time.monotonic() - begun:.1f} s")
    assert "killed" not in (data / "logs" / "broker.log").read_text()
    assert kept_port(data) == int(first.bootstrap_servers.split(":")[1])
    begun = time.monotonic()
    async with serving(data, kept_port(data)) as (again, _):
        print(f"answered after {time.monotonic() - begun:.1f} s")
        assert again.bootstrap_servers == first.bootstrap_servers
        assert await brokers.cluster_id(settings(again)) == first.cluster_id
        assert await kept(again) == [b"1", b"2"]


@with_java
async def test_a_kill_brings_it_back_on_its_port_with_what_it_acknowledged(data):
    async with serving(data) as (broker, supervisor):
        await create_topics(broker.bootstrap_servers, "kept")
        await produce(broker, b"1", b"2")
        (process,) = supervisor.processes
        os.kill(process.pid, signal.SIGKILL)

        async def back() -> bool:
            (now,) = supervisor.processes
            return now.ready and now.pid not in (0, process.pid)

        await until(back)
        await produce(broker, b"3")
        assert await kept(broker) == [b"1", b"2", b"3"]


@with_java
async def test_another_port_is_taken_where_the_kept_ones_are_not_free_and_the_data_stays(data):
    async with serving(data) as (first, _):
        await create_topics(first.bootstrap_servers, "kept")
        await produce(first, b"1")
    taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", kept_port(data))
    async with taken, serving(data, kept_port(data)) as (again, _):
        assert again.bootstrap_servers != first.bootstrap_servers
        assert again.cluster_id == first.cluster_id
        assert await kept(again) == [b"1"]


@with_java
async def test_the_stack_keeps_it_too(data, monkeypatch, tmp_path):
    double = (sys.executable, str(DOUBLE), str(tmp_path / "notes"))
    monkeypatch.setattr(stack, "CROSSROADS", double)
    said: list[str] = []
    lines = []
    for _ in range(2):
        async with running(StackOptions(data=data, broker="kafka"), said.append) as (line, _stack):
            lines.append(line)
            pids = line["processes"]["broker"]
        assert not any(psutil.pid_exists(pid) for pid in pids)
    assert lines[0]["kafka"] == lines[1]["kafka"]
    assert lines[0]["cluster_id"] == lines[1]["cluster_id"]
    assert not any("memory only" in sentence for sentence in said)
    # The embedded broker's shorter one is not asked for.
    assert "CROSSROADS_SESSION_TIMEOUT_SECONDS" not in lines[0]["environment"]


def test_without_java_the_command_ends_with_2_and_one_sentence(only, data):
    done = CliRunner().invoke(app, ["up", "--broker", "kafka", "--data", str(data)])
    sentence = "Apache Kafka needs Java 17 or newer, and there is no `java` on the PATH."
    assert done.exit_code == 2
    assert sentence in " ".join(done.stderr.split())
    assert unavailable() == sentence
    assert not (data / "postgres").exists()


@pytest.mark.parametrize(
    ("said", "older"), [("1.8.0_402", "8"), ("11.0.2", "11"), ("16.0.1", "16")]
)
def test_an_older_java_is_refused_by_its_version(only, said, older):
    program(only, "java", f"echo 'openjdk version \"{said}\"' >&2")
    with pytest.raises(ProgramMissing, match=rf"is Java {older}\.$"):
        find_java()


def test_java_home_goes_before_the_path(only, tmp_path, monkeypatch):
    program(only, "java", "echo 'openjdk version \"11.0.2\"' >&2")
    program(tmp_path / "home", "unused", "")
    program(tmp_path / "home" / "bin", "java", "echo 'openjdk version \"21\" 2023-09-19' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert find_java() == str(tmp_path / "home" / "bin" / "java")


def test_without_maven_it_is_refused_only_where_something_must_be_fetched(only, monkeypatch):
    program(only, "java", "echo 'openjdk version \"17.0.1\"' >&2")
    with pytest.raises(ProgramMissing, match="there is no `mvn` on the PATH"):
        find_maven()
    assert "mvn" in str(unavailable())
    Archives()._folder.mkdir(parents=True)
    assert unavailable() is None


async def test_two_that_fetch_at_once_fetch_once(only, tmp_path):
    count = tmp_path / "count"
    copy = 'for each in "$@"; do case "$each" in -DoutputDirectory=*) to="${each#*=}";; esac; done'
    program(only, "mvn", f'{copy}\necho x >> {count}\necho jar > "$to/a.jar"')
    archives = [Archives() for _ in range(3)]
    await asyncio.gather(*(each.fetch(tmp_path / "log") for each in archives))
    assert count.read_text() == "x\n"
    assert all(each.are_there for each in archives)
    assert {each.name for each in archives[0]._folder.iterdir()} == {"a.jar", "pom.xml"}
    await Archives().fetch(tmp_path / "log")
    assert count.read_text() == "x\n"


async def test_a_fetch_that_fails_says_why_and_leaves_nothing(only, tmp_path):
    program(only, "mvn", "echo no such archive >&2; exit 1")
    archives = Archives()
    with pytest.raises(LocalError, match=r"(?s)failed \(1\).*no such archive"):
        await archives.fetch(tmp_path / "log")
    assert not archives.are_there
    assert [each.suffix for each in archives._folder.parent.iterdir()] == [".lock"]


async def test_a_folder_with_a_comma_is_refused(data):
    broker = Kafka(data / "a,b", 1, data / "logs")
    with pytest.raises(LocalError, match="comma"):
        await broker.prepare()


def test_a_path_is_written_as_a_properties_file_wants_it():
    assert _escaped("/home/jörg/\\x/😀") == "/home/j\\u00f6rg/\\\\x/\\ud83d\\ude00"
