"""The Java team's service (`peers/spring`): built once by Maven, started by Java."""

import contextlib
import hashlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from benchmarks.processes import program
from services.local.archives import cache, find_java, find_maven
from services.local.errors import ProgramMissing

SOURCES = Path(__file__).parent / "peers" / "spring"
BUILD_SECONDS = 600
# So much heap is never full here.
HEAP = "512m"


def missing(broker: str) -> str | None:
    """Why it cannot be measured, in one sentence; None when it can."""
    if broker != "kafka":
        return "the embedded broker refuses the idempotent producer that Spring Kafka uses"
    try:
        find_java()
        if not _archive().exists():
            find_maven()
    except ProgramMissing as error:
        return str(error)
    return None


def build() -> Path:
    """The archive to run: `mvn -q package` in the user's cache, once for each version of it.

    Raises subprocess.SubprocessError when Maven fails.
    """
    archive = _archive()
    if not archive.exists():
        folder = archive.parent.parent
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SOURCES, folder)
        subprocess.run(
            [find_maven(), "-q", "--batch-mode", "package"],
            cwd=folder, check=True, timeout=BUILD_SECONDS,
        )  # fmt: skip
    return archive


@contextlib.asynccontextmanager
async def spring(
    kafka: str, dsn: str, topics: tuple[str, str], tenants: tuple[str, str]
) -> AsyncIterator[int]:
    """The running service's process id; `topics` and `tenants` are origin's and destination's."""
    at = urlsplit(dsn)
    address = f"jdbc:postgresql://{at.hostname}:{at.port}{at.path}?reWriteBatchedInserts=true"
    environment = {
        "SPRING_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "SPRING_DATASOURCE_URL": address,
        "SPRING_DATASOURCE_USERNAME": unquote(at.username or ""),
        "SPRING_DATASOURCE_PASSWORD": unquote(at.password or ""),
        "PEER_IN": topics[0],
        "PEER_OUT": topics[1],
        "PEER_ORIGIN": tenants[0],
        "PEER_DESTINATION": tenants[1],
    }
    command = (find_java(), f"-Xmx{HEAP}", "-jar", str(build()))
    async with program(*command, environment=environment) as pid:
        yield pid


def _archive() -> Path:
    digest = hashlib.sha256()
    for file in sorted(SOURCES.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(SOURCES).as_posix().encode() + b"\0" + file.read_bytes())
    return cache() / f"bench-spring-{digest.hexdigest()[:12]}" / "target" / "spring-peer.jar"
