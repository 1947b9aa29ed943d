"""Apache Kafka's Java archives, fetched by Maven into the user's cache, and the Java to run them.

They are the same for every data directory, so they are fetched once for each user and machine.
"""

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.local.errors import LocalError, ProgramMissing
from services.local.programs import run_command

OLDEST_JAVA = 17
FETCH_SECONDS = 600.0
JAVA_SECONDS = 30
# In a checkout, and in an installed wheel.
SETTINGS = (
    Path(__file__).parents[2] / "deploy" / "kafka",
    Path(__file__).parent / "kafka_settings",
)


class Archives:
    """What pom.xml names, in a folder of the cache that is named after the version and the file."""

    def __init__(self) -> None:
        self.settings = next((each for each in SETTINGS if each.is_dir()), SETTINGS[0])
        pom = (self.settings / "pom.xml").read_bytes()
        found = re.search(rb"<kafka\.version>([0-9.]+)</kafka\.version>", pom)
        if found is None:
            raise LocalError(f"{self.settings / 'pom.xml'} names no version of Apache Kafka")
        self.version = found[1].decode()
        name = f"kafka-{self.version}-{hashlib.sha256(pom).hexdigest()[:8]}"
        self._folder = cache() / name

    @property
    def are_there(self) -> bool:
        """Whether nothing has to be fetched."""
        return self._folder.is_dir()

    @property
    def classpath(self) -> str:
        """For `java -cp`."""
        return f"{self._folder}/*"

    async def fetch(self, log: Path) -> None:
        """Have Maven copy the archives, unless they are there; many may do so at once.

        Raises:
            ProgramMissing: Maven is not there.
            LocalError: it failed, or the cache cannot be written to.
        """
        if self.are_there:
            return
        maven = find_maven()
        try:
            self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            async with _alone(self._folder.with_name(f"{self._folder.name}.lock")):
                if not self.are_there:
                    await self._copy(maven, log)
        except OSError as error:
            raise LocalError(f"{self._folder.parent} cannot be used: {error.strerror}") from error

    async def _copy(self, maven: str, log: Path) -> None:
        for half_done in self._folder.parent.glob(f"{self._folder.name}.new-*"):
            shutil.rmtree(half_done, ignore_errors=True)
        fresh = self._folder.with_name(f"{self._folder.name}.new-{uuid.uuid4().hex}")
        # Maven gets the file in a folder of its own: it may want to write beside it.
        fresh.mkdir(mode=0o700)
        shutil.copy(self.settings / "pom.xml", fresh)
        command = [
            *(maven, "--batch-mode", "--quiet", "-f", str(fresh / "pom.xml")),
            *("dependency:copy-dependencies", "-DincludeScope=runtime"),
            f"-DoutputDirectory={fresh}",
        ]
        try:
            await run_command(command, environment=os.environ, log=log, seconds=FETCH_SECONDS)
            # In one step: nobody ever sees half of it.
            fresh.rename(self._folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def unavailable() -> str | None:
    """Why Apache Kafka cannot be started here, in one sentence; None when it can."""
    try:
        find_java()
        if not Archives().are_there:
            find_maven()
    except ProgramMissing as error:
        return str(error)
    return None


def find_java() -> str:
    """The Java of JAVA_HOME, else the one on the PATH. Raises ProgramMissing."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    wanted = f"Apache Kafka needs Java {OLDEST_JAVA} or newer"
    if java is None:
        raise ProgramMissing(f"{wanted}, and there is no `java` on the PATH.")
    try:
        said = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=JAVA_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramMissing(f"{wanted}, and {java} cannot be run: {error}") from error
    found = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    if found is None:
        raise ProgramMissing(f"{wanted}, and {java} does not tell its version.")
    if int(found[1]) < OLDEST_JAVA:
        raise ProgramMissing(f"{wanted}, and {java} is Java {found[1]}.")
    return java


def find_maven() -> str:
    """The Maven on the PATH. Raises ProgramMissing."""
    maven = shutil.which("mvn")
    if maven is None:
        raise ProgramMissing(
            "Apache Kafka is fetched with Maven the first time, and there is no `mvn` on the PATH."
        )
    return maven


def cache() -> Path:
    """The user's cache of this program."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "crossroads"


@asynccontextmanager
async def _alone(file: Path) -> AsyncIterator[None]:
    """Hold the file's lock; whoever waits for it can be cancelled."""
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.2)
        yield
    finally:
        os.close(lock)
