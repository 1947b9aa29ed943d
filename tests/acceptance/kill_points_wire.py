"""Proxies that know where a message ends: every request and every answer is a step to fail at.

A process under test is led through them to PostgreSQL and to the broker. At the chosen step of what
is watched the fault happens, either with the request in hand, which is then never sent, or with its
whole answer in hand, which is then never delivered. Both sides of a COMMIT are such steps.
"""

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

BEFORE, AFTER = "before", "after"

PRODUCE, FETCH, OFFSET_COMMIT, SYNC_GROUP, LEAVE_GROUP = 0, 1, 8, 14, 13
# The number's fetch, a new epoch, partitions and group of a transaction, its number, its end.
TRANSACTION = {PRODUCE, 9, 22, 24, 25, 28, 26}
_CANCEL_REQUEST = 80877102
_SSL_REQUEST = 80877103


class Watch(Protocol):
    """Says what belongs to the piece of work that is stepped through; a new one for each run."""

    def statement(self, session: int, text: str) -> bool:
        """Whether this statement of a database session is a step."""

    def request(self, key: int, body: bytes) -> bool:
        """Whether this request to the broker is a step."""

    def answer(self, key: int, body: bytes) -> bool:
        """Whether this answer of the broker is a step by itself."""


@dataclass(slots=True)
class Gate:
    """Counts the steps of a watch; at the chosen one it makes the fault."""

    watch: Watch | None = None
    at: int | None = None
    side: str = BEFORE
    fault: Callable[[], None] | None = None
    labels: list[str] = field(default_factory=list)
    fired: asyncio.Event = field(default_factory=asyncio.Event)
    member: tuple[str, str] | None = None

    def arm(
        self,
        watch: Watch,
        at: int | None = None,
        side: str = BEFORE,
        fault: Callable[[], None] | None = None,
    ) -> None:
        """Watch from now on; without `at` only count."""
        self.watch, self.at, self.side, self.fault = watch, at, side, fault
        self.labels = []
        self.fired = asyncio.Event()

    def disarm(self) -> list[str]:
        """Watch no more; the steps that were seen."""
        self.watch = None
        return self.labels

    def step(self, label: str) -> str | None:
        """One step more; the side to fail at, if it is the chosen one."""
        self.labels.append(label)
        return self.side if len(self.labels) - 1 == self.at else None

    def fail(self) -> None:
        self.watch = None
        if self.fault is not None:
            self.fault()
        self.fired.set()


class Lost(Exception):
    """The fault has happened on this connection: nothing more goes over it."""


class Line:
    """One connection through a proxy; both its pumps end with it."""

    def __init__(
        self,
        gate: Gate,
        number: int,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.gate = gate
        self.number = number
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server

    async def run(self) -> None:
        pumps = [asyncio.create_task(self.requests()), asyncio.create_task(self.answers())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            with suppress(asyncio.CancelledError):
                found = await asyncio.gather(*pumps, return_exceptions=True)
                for each in found:
                    if isinstance(each, Exception) and not isinstance(
                        each, Lost | OSError | asyncio.IncompleteReadError
                    ):
                        raise each
            self._to_client.transport.abort()
            self._to_server.transport.abort()

    async def requests(self) -> None:
        raise NotImplementedError

    async def answers(self) -> None:
        raise NotImplementedError

    def fail(self) -> None:
        self.gate.fail()
        raise Lost


class PostgresLine(Line):
    """A database session: one flight of messages up to Sync, Query or CopyDone is one request."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._statements: dict[bytes, str] = {}
        self._withhold = False

    async def requests(self) -> None:
        await self._startup()
        flight = b""
        texts: list[str] = []
        while True:
            kind, message = await _message(self._from_client)
            flight += message
            texts += self._text(kind, message[5:])
            if kind in b"SQcfHpX":
                self._send(flight, texts)
                flight, texts = b"", []

    def _send(self, flight: bytes, texts: list[str]) -> None:
        gate = self.gate
        side = None
        for text in texts:
            if gate.watch is not None and gate.watch.statement(self.number, text):
                side = gate.step(text) or side
        if side == BEFORE:
            self.fail()
        # asyncpg sends the rows of a COPY without waiting for the answer to its statement.
        self._withhold = self._withhold or side == AFTER
        self._to_server.write(flight)

    async def answers(self) -> None:
        kept = b""
        while True:
            kind, message = await _message(self._from_server)
            kept += message
            if self._withhold:
                if kind in b"ZG":
                    self.fail()
                continue
            self._to_client.write(kept)
            kept = b""

    async def _startup(self) -> None:
        while True:
            head = await self._from_client.readexactly(8)
            size, code = struct.unpack(">ii", head)
            rest = await self._from_client.readexactly(size - 8)
            if code == _SSL_REQUEST:
                self._to_client.write(b"N")
                continue
            self._to_server.write(head + rest)
            if code != _CANCEL_REQUEST:
                return

    def _text(self, kind: int, body: bytes) -> list[str]:
        """The statement that a message makes the server run."""
        if kind == ord("P"):
            name, text, _ = body.split(b"\0", 2)
            self._statements[name] = _plain(text)
        elif kind == ord("B"):
            _, name, _ = body.split(b"\0", 2)
            return [self._statements.get(name, "?")]
        elif kind == ord("Q"):
            return [_plain(body.rstrip(b"\0"))]
        elif kind == ord("c"):
            return ["copy is done"]
        return []


class KafkaLine(Line):
    """A connection to the broker, whose answers name this proxy instead of the broker itself."""

    def __init__(self, names: tuple[bytes, bytes], *line: object) -> None:
        super().__init__(*line)  # type: ignore[arg-type]
        self._real, self._shown = names
        self._keys: dict[int, int] = {}
        self._withhold: int | None = None

    async def requests(self) -> None:
        while True:
            frame = await _frame(self._from_client)
            key, _, correlation = struct.unpack_from(">hhi", frame, 4)
            self._keys[correlation] = key
            gate = self.gate
            if key == SYNC_GROUP:
                gate.member = _member(frame)
            if gate.watch is not None and gate.watch.request(key, frame):
                side = gate.step(f"request {key}")
                if side == BEFORE:
                    self.fail()
                if side == AFTER:
                    self._withhold = correlation
            self._to_server.write(frame)

    async def answers(self) -> None:
        while True:
            frame = await _frame(self._from_server)
            (correlation,) = struct.unpack_from(">i", frame, 4)
            key = self._keys.pop(correlation, -1)
            if self._withhold == correlation:
                self.fail()
            gate = self.gate
            if (
                gate.watch is not None
                and gate.watch.answer(key, frame)
                and gate.step(f"answer {key}")
            ):
                self.fail()
            self._to_client.write(frame.replace(self._real, self._shown))


class Doors:
    """The addresses under which one process meets the database and the broker."""

    def __init__(self, dsn: str, kafka: str) -> None:
        self.gate = Gate()
        self._dsn, self._kafka = urlsplit(dsn), kafka
        self._lines: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._ports: dict[str, int] = {}

    @property
    def dsn(self) -> str:
        user, at, _ = self._dsn.netloc.rpartition("@")
        return urlunsplit(
            self._dsn._replace(netloc=f"{user}{at}127.0.0.1:{self._ports['postgres']}")
        )

    @property
    def kafka(self) -> str:
        return f"127.0.0.1:{self._ports['kafka']}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Doors"]:
        servers = []
        for name, serve in (("postgres", self._postgres), ("kafka", self._broker)):
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            self._ports[name] = server.sockets[0].getsockname()[1]
            servers.append(server)
        try:
            yield self
        finally:
            for server in servers:
                server.close()
            for line in list(self._lines):
                line.cancel()
            await asyncio.gather(*self._lines, return_exceptions=True)

    async def _postgres(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await self._upstream(writer, self._dsn.hostname, self._dsn.port or 5432)
        if upstream is not None:
            self._numbers += 1
            self._run(PostgresLine(self.gate, self._numbers, (reader, writer), upstream))

    async def _broker(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._kafka.rpartition(":")
        upstream = await self._upstream(writer, host, int(port))
        if upstream is not None:
            self._numbers += 1
            names = (_address(host, int(port)), _address(host, self._ports["kafka"]))
            self._run(KafkaLine(names, self.gate, self._numbers, (reader, writer), upstream))

    async def _upstream(
        self, writer: asyncio.StreamWriter, host: str | None, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        try:
            return await asyncio.open_connection(host, port)
        except OSError:
            writer.transport.abort()
            return None

    def _run(self, line: Line) -> None:
        task = asyncio.create_task(line.run())
        self._lines.add(task)
        task.add_done_callback(self._lines.discard)


async def leave_group(kafka: str, member: tuple[str, str]) -> None:
    """Tell the broker what it would find out at the end of the session: this member is gone."""
    host, _, port = kafka.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = struct.pack(">hhi", LEAVE_GROUP, 0, 1) + b"".join(
        struct.pack(">h", len(text)) + text.encode() for text in ("kill points", *member)
    )
    writer.write(struct.pack(">i", len(body)) + body)
    await _frame(reader)
    writer.close()


async def _message(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readexactly(5)
    (size,) = struct.unpack_from(">i", head, 1)
    return head[0], head + await reader.readexactly(size - 4)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return head + await reader.readexactly(struct.unpack(">i", head)[0])


def _address(host: str, port: int) -> bytes:
    """How answers of the broker name a node, in all versions of the protocol."""
    return host.encode() + struct.pack(">i", port)


def _member(frame: bytes) -> tuple[str, str]:
    """The group and the member's id of a SyncGroup request (version 0 to 3)."""
    at = 12
    found = []
    for skipped in (0, 0, 4):
        at += skipped
        (size,) = struct.unpack_from(">h", frame, at)
        found.append(frame[at + 2 : at + 2 + size].decode())
        at += 2 + size
    return found[1], found[2]


def _plain(text: bytes) -> str:
    return re.sub(r"\s+", " ", text.decode()).strip()
