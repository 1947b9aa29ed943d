"""`crossroads up`: the whole hub on this machine, without Docker, until it is told to end."""

import asyncio
import functools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from services.kit.errors import CrossroadsError
from services.kit.migrations import migrate
from services.kit.reading_role import ensure_login
from services.kit.settings import delivery_asked
from services.local.brokers import BROKERS, Broker
from services.local.directory import DEFAULT, DataDirectory, ProcessLine, ReadyLine
from services.local.errors import LocalError
from services.local.kafka import kept_port
from services.local.leftovers import write_private
from services.local.ports import LOOPBACK, Ports
from services.local.postgres import Postgres
from services.local.programs import Program, run_command
from services.local.supervisor import Supervisor

SERVICES = (
    "order-intake",
    "status-update",
    "change-acceptance",
    "reference-data",
    "relay",
    "gateway",
)
# Stages of the end: nobody takes new requests; what was taken is worked off; then the servers.
STAGES: Mapping[str, int] = {"gateway": 0}
WORKER_STAGE, BROKER_STAGE, DATABASE_STAGE = 1, 2, 3
# With the broker's 3 s and the database's 4 s: less than the 20 s in which everything has ended.
PATIENCE_SECONDS: Mapping[int, float] = {0: 4.0, WORKER_STAGE: 8.0}
# -P: a folder named like one of ours, where the user happens to stand, is not imported.
CROSSROADS = (sys.executable, "-P", "-m", "services.cli")
# They join no consumer group, so they may start while the topics are made.
BEFORE_TOPICS = ("relay", "gateway")
SESSION_VARIABLES = {
    "CROSSROADS_SESSION_TIMEOUT_SECONDS",
    "CROSSROADS_KAFKA_SESSION_TIMEOUT_SECONDS",
}
SERVERS_READY_SECONDS = 60.0
SERVICES_READY_SECONDS = 120.0
COMMAND_SECONDS = 120.0
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OPERATOR_SCOPES = (
    *("reference:read", "reference:write", "operations:read", "operations:write"),
    *("order:read", "order_change:read"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What `crossroads up` can be told.

    `port_base` None takes any free ports; else PostgreSQL has that one, and one after the other
    follow the broker, the gateway, and the other processes in the order of `SERVICES`.
    """

    data: Path = DEFAULT
    broker: str = "tansu"
    port_base: int | None = None
    replicas: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises LocalError for a broker or a service nobody knows, or a count below one.

        Also for a broker that cannot deliver as the settings ask for; SettingsInvalid where they
        ask for what there is not.
        """
        if self.broker not in BROKERS:
            raise LocalError(f"no broker {self.broker!r}: there is {', '.join(BROKERS)}")
        if delivery_asked() == "exactly-once" and not BROKERS[self.broker].transactions:
            raise LocalError(
                "CROSSROADS_DELIVERY is exactly-once, which the embedded broker cannot do: it has "
                "no transactions. Apache Kafka has (up --broker kafka)."
            )
        for name, count in self.replicas.items():
            if name not in SERVICES:
                raise LocalError(f"no service {name!r}: there are {', '.join(SERVICES)}")
            if count < 1:
                raise LocalError(f"{name} needs at least one process, not {count}")


class Stack:
    """The programs of one data directory, from `start` to `stop`.

    `say` gets sentences for people about what is happening.
    """

    def __init__(self, options: StackOptions, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._directory = DataDirectory(options.data)
        self._ports = Ports(options.port_base)
        self._supervisor = Supervisor(self._directory.path, self._tell)
        self._line: ReadyLine | None = None
        self._broker: Broker | None = None
        self._addresses: dict[str, list[str]] = {}

    async def start(self) -> ReadyLine:
        """Start everything; returns when every process is ready.

        Raises:
            LocalError: it cannot start here; what was started has ended.
        """
        self._directory.open()
        try:
            return await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End everything, within 20 s."""
        await self._supervisor.stop()
        self._directory.close()

    async def watch(self) -> None:
        """Run until the task is cancelled; raise what broke the supervision, if that happens."""
        await self._supervisor.watch()

    async def _start(self) -> ReadyLine:
        for name in await self._supervisor.end_leftovers():
            self._say(f"ended what an earlier start left running: {name}")
        data, logs = self._directory.path, self._directory.logs
        database = Postgres(data, self._ports.take(), logs)
        kept = kept_port(data) if self._options.broker == "kafka" else None
        broker = self._broker = BROKERS[self._options.broker](data, self._ports.take(kept), logs)
        if broker.notice:
            self._say(broker.notice)
        # First, because it can find that something is not installed.
        await broker.prepare()
        self._say("starting PostgreSQL and the broker")
        is_new = await database.prepare()
        if database.place.is_outside:
            self._say(f"PostgreSQL's files are in {database.place.directory}")

        http_port = self._ports.take()
        environment = service_environment(
            database.dsn,
            broker.bootstrap_servers,
            reading_dsn=database.reading_dsn,
            session_seconds=broker.session_seconds,
            fetch_wait_ms=broker.fetch_wait_ms,
        )
        migrated = asyncio.Event()

        async def topics() -> None:
            await migrated.wait()
            await self._command("topics", "apply", environment=environment)

        self._supervisor.add(database.program(environment=os.environ, stage=DATABASE_STAGE))
        # At every start of the broker: one that keeps no topics has none.
        self._supervisor.add(
            broker.program(environment=os.environ, stage=BROKER_STAGE, after_start=topics)
        )
        await self._supervisor.wait_ready(["postgres"], seconds=SERVERS_READY_SECONDS)
        await self._migrate(database)
        migrated.set()

        self._say("starting " + ", ".join(SERVICES))
        for name in sorted(SERVICES, key=lambda name: name not in BEFORE_TOPICS):
            if name not in BEFORE_TOPICS:
                await self._supervisor.wait_ready(["broker"], seconds=SERVERS_READY_SECONDS)
            for number in range(self._options.replicas.get(name, 1)):
                port = self._ports.take() if name != "gateway" or number else http_port
                self._add_service(name, number, port, environment)
        operator_key = await self._operator_key(environment, is_new=is_new)
        await self._supervisor.wait_ready(SERVICES, seconds=SERVICES_READY_SECONDS)
        self._line = self._ready_line(database, http_port, operator_key)
        self._tell()
        return self._line

    async def _migrate(self, database: Postgres) -> None:
        # Here and not by a command: a process more would cost half a second of every start.
        try:
            applied = await migrate(database.dsn)
            await ensure_login(database.dsn, database.reading_dsn)
        except CrossroadsError as error:
            raise LocalError(f"the database cannot be migrated: {error}") from error
        if applied:
            self._say(f"{len(applied)} migrations applied")

    async def _command(self, *arguments: str, environment: Mapping[str, str]) -> None:
        await self._run(*arguments, environment=environment)

    async def _run(self, *arguments: str, environment: Mapping[str, str]) -> str:
        return await run_command(
            [*CROSSROADS, *arguments],
            environment=environment,
            log=self._directory.logs / f"{'-'.join(arguments[:2])}.log",
            seconds=COMMAND_SECONDS,
        )

    def _add_service(
        self, name: str, number: int, port: int, environment: Mapping[str, str]
    ) -> None:
        address = f"http://{LOOPBACK}:{port}"
        variable = "CROSSROADS_HTTP_PORT" if name == "gateway" else "CROSSROADS_METRICS_PORT"
        stage = STAGES.get(name, WORKER_STAGE)
        self._addresses.setdefault(name, []).append(address)
        log_name = f"{name}-{number + 1}" if number else name
        self._supervisor.add(
            Program(
                name=name,
                number=number,
                command=lambda: [*CROSSROADS, "run", name],
                environment={**environment, variable: str(port)},
                log=self._directory.logs / f"{log_name}.log",
                answers=functools.partial(is_ready, f"{address}/readyz"),
                stage=stage,
                patience=PATIENCE_SECONDS[stage],
            )
        )

    async def _operator_key(self, environment: Mapping[str, str], *, is_new: bool) -> str:
        """The operator's API key of this data directory; made once for each new database."""
        file = self._directory.operator_file
        if is_new or not file.exists():
            scopes = [part for scope in OPERATOR_SCOPES for part in ("--scope", scope)]
            output = await self._run(
                "keys", "create", "--operator", *scopes, "--json", environment=environment
            )
            write_private(file, output)
        key: str = json.loads(file.read_text())["api_key"]
        return key

    def _ready_line(self, database: Postgres, http_port: int, operator_key: str) -> ReadyLine:
        broker = self._the_broker()
        http = f"http://{LOOPBACK}:{http_port}"
        processes: dict[str, list[int]] = {}
        for process in self._supervisor.processes:
            processes.setdefault(process.name, []).append(process.pid)
        return {
            "http": http,
            "console": f"{http}/console",
            "kafka": broker.bootstrap_servers,
            "cluster_id": broker.cluster_id,
            "database": database.dsn,
            "operator_key": operator_key,
            "metrics": {
                name: [f"{address}/metrics" for address in addresses]
                for name, addresses in self._addresses.items()
            },
            "processes": processes,
            "environment": {
                "CROSSROADS_DATABASE_URL": database.dsn,
                "CROSSROADS_DATABASE_READ_URL": database.reading_dsn,
                "CROSSROADS_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
                "CROSSROADS_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
                "CROSSROADS_HTTP_HOST": LOOPBACK,
                "CROSSROADS_HTTP_PORT": str(http_port),
            },
        }

    def _the_broker(self) -> Broker:
        if self._broker is None:
            raise LocalError("the stack was not started")
        return self._broker

    def _tell(self) -> None:
        """Write down how the stack is, with ids that hold now: processes and cluster change."""
        lines: dict[str, list[ProcessLine]] = {}
        for process in self._supervisor.processes:
            lines.setdefault(process.name, []).append(
                {"pid": process.pid, "restarts": process.restarts, "ready": process.ready}
            )
        if self._line is not None:
            self._line["cluster_id"] = self._the_broker().cluster_id
            self._line["processes"] = {
                name: [line["pid"] for line in of_name] for name, of_name in lines.items()
            }
        self._directory.tell(lines, self._line)


def service_environment(
    dsn: str,
    bootstrap_servers: str,
    *,
    reading_dsn: str | None = None,
    session_seconds: int | None = None,
    fetch_wait_ms: int | None = None,
) -> dict[str, str]:
    """What the processes of the hub are told: this process's variables, led to these servers.

    Variables that would lead elsewhere are replaced or left out; all others are passed on, so that
    a setting of the user's reaches the services. `reading_dsn` is what the gateway reads with, the
    same as `dsn` where there is no other. `session_seconds` is the consumer groups' session
    timeout, `fetch_wait_ms` how long a fetch may wait, where the user has not set them.
    """
    elsewhere = ("CROSSROADS_KAFKA_SASL_", "CROSSROADS_KAFKA_SSL_", "CROSSROADS_METRICS_PORT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(elsewhere)}
    if session_seconds is not None and not kept.keys() & SESSION_VARIABLES:
        kept["CROSSROADS_SESSION_TIMEOUT_SECONDS"] = str(session_seconds)
    if fetch_wait_ms is not None:
        kept.setdefault("CROSSROADS_FETCH_MAX_WAIT_MS", str(fetch_wait_ms))
    return {
        **kept,
        "PYTHONUNBUFFERED": "1",
        "CROSSROADS_DATABASE_URL": dsn,
        "CROSSROADS_DATABASE_READ_URL": reading_dsn or dsn,
        "CROSSROADS_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "CROSSROADS_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        "CROSSROADS_HTTP_HOST": LOOPBACK,
    }


async def is_ready(url: str) -> bool:
    """Whether a process answers 200 at its /readyz within two seconds."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
            return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@asynccontextmanager
async def running(
    options: StackOptions, say: Callable[[str], None]
) -> AsyncIterator[tuple[ReadyLine, Stack]]:
    """A stack that is ready, and ends with the block.

    Raises:
        LocalError: it cannot start here.
    """
    stack = Stack(options, say)
    line = await stack.start()
    try:
        yield line, stack
    finally:
        await stack.stop()


async def run_until_signal(
    options: StackOptions,
    say: Callable[[str], None],
    ready: Callable[[ReadyLine], None],
) -> None:
    """Start everything, call `ready`, stay until SIGINT, SIGTERM or SIGHUP, and end everything.

    A signal during the start ends it, too.

    Raises:
        LocalError: it cannot start here.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in END_SIGNALS:
        loop.add_signal_handler(number, asked.set)

    async def stay() -> None:
        async with running(options, say) as (line, stack):
            ready(line)
            await stack.watch()

    life = asyncio.create_task(stay())
    end = asyncio.create_task(asked.wait())
    await asyncio.wait({life, end}, return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    if not life.done():
        say("ending")
        life.cancel()
        await asyncio.wait({life})
    for number in END_SIGNALS:
        loop.remove_signal_handler(number)
    if not life.cancelled():
        life.result()
