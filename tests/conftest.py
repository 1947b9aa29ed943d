"""Servers, databases and slugs for every test that wants them."""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from services.kit.migrations import migrate
from services.local.brokers import Tansu
from tests.servers import APACHE, TANSU, Servers, brokers, no_apache

# Tests that would have run on Apache Kafka, too, had it been there.
_NOT_ON_APACHE = pytest.StashKey[int]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that uses the broker runs on each there is; `one_broker` says that one is enough."""
    if "kafka" not in metafunc.fixturenames or metafunc.definition.get_closest_marker("one_broker"):
        return
    found = brokers()
    metafunc.parametrize("kafka", found, indirect=True, scope="session")
    if APACHE not in found:
        stash = metafunc.config.stash
        stash[_NOT_ON_APACHE] = stash.get(_NOT_ON_APACHE, 0) + 1


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """What did not run, and why."""
    if config.option.collectonly:
        return
    lines = []
    if missed := config.stash.get(_NOT_ON_APACHE, 0):
        lines.append(f"{missed} tests not on Apache Kafka: {no_apache()}")
    reasons = Counter(
        report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        for report in terminalreporter.stats.get("skipped", ())
    )
    lines += [f"{count} skipped: {reason}" for reason, count in sorted(reasons.items())]
    if left := len(terminalreporter.stats.get("deselected", ())):
        lines.append(f"{left} deselected: make test-all runs every test")
    terminalreporter.section("what did not run")
    for line in lines or ["nothing that was asked for; brokers: " + ", ".join(brokers())]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> None:
    """structlog's own show every local of every frame: seconds each, in open transactions."""
    plain = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[structlog.processors.add_log_level, plain])


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers of this run; each is started when a test first needs it."""
    found = Servers()
    yield found
    found.close()


@pytest.fixture(scope="session")
def postgres_dsn(servers: Servers) -> str:
    """The address of a server's database; its role may create databases. Nothing is migrated."""
    return servers.postgres()


@pytest.fixture(scope="session")
def kafka(servers: Servers, request: pytest.FixtureRequest) -> Iterator[str]:
    """The bootstrap servers of one of this run's brokers: keep apart by topic names, use `slug`."""
    kind = getattr(request, "param", None) or brokers()[0]
    with pytest.MonkeyPatch.context() as patch:
        if kind == TANSU:
            patch.setenv("CROSSROADS_FETCH_MAX_WAIT_MS", str(Tansu.fetch_wait_ms))
        yield servers.kafka(kind)


@pytest.fixture(scope="session")
def template_database(servers: Servers, postgres_dsn: str) -> Iterator[str]:
    """The name of a database with all migrations, to copy; nobody may be connected to it."""
    name = f"template_{secrets.token_hex(4)}"
    servers.loop.run(_execute(postgres_dsn, f"CREATE DATABASE {name}"))
    servers.loop.run(_migrate(dsn_of(postgres_dsn, name)))
    yield name
    servers.loop.run(_drop(postgres_dsn, name))


@pytest.fixture(scope="session")
def database(servers: Servers, postgres_dsn: str, template_database: str) -> Iterator[str]:
    """The address of one migrated database for all tests: keep apart by `slug`."""
    name = f"shared_{secrets.token_hex(4)}"
    servers.loop.run(_copy(postgres_dsn, template_database, name))
    yield dsn_of(postgres_dsn, name)
    servers.loop.run(_drop(postgres_dsn, name))


@pytest.fixture
async def fresh_database(postgres_dsn: str, template_database: str) -> AsyncIterator[str]:
    """The address of a migrated, empty database of this test's own."""
    name = f"fresh_{secrets.token_hex(4)}"
    await _copy(postgres_dsn, template_database, name)
    yield dsn_of(postgres_dsn, name)
    await _drop(postgres_dsn, name)


@pytest.fixture
async def empty_database(postgres_dsn: str) -> AsyncIterator[str]:
    """The address of a database without any migration."""
    name = f"empty_{secrets.token_hex(4)}"
    await _execute(postgres_dsn, f"CREATE DATABASE {name}")
    yield dsn_of(postgres_dsn, name)
    await _drop(postgres_dsn, name)


@pytest.fixture
def slug() -> str:
    """A tenant's slug that no other test has."""
    return f"t-{secrets.token_hex(5)}"


def dsn_of(dsn: str, database: str) -> str:
    """The same server's address for another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


async def _copy(dsn: str, template: str, name: str) -> None:
    await _execute(dsn, f"CREATE DATABASE {name} TEMPLATE {template}")


async def _migrate(dsn: str) -> None:
    await migrate(dsn)


async def _drop(dsn: str, name: str) -> None:
    # The server's own vacuum may be at work in it, and nobody but a superuser may end that.
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(asyncpg.InsufficientPrivilegeError),
        wait=wait_fixed(0.2),
        stop=stop_after_delay(20),
        reraise=True,
    ):
        with attempt:
            await _execute(dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(statement, timeout=60)
    finally:
        await connection.close()
