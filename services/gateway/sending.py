"""Commands on their way to the broker: what a record says, and producing it for certain."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.gateway.producing import LOST, close_producer, open_producer
from services.kit.cloudevents import Envelope, write_headers
from services.kit.errors import BrokerAway
from services.kit.ids import fingerprint
from services.kit.kafka import client_arguments
from services.kit.settings import Settings

log = structlog.get_logger()

SOURCE = "/crossroads/gateway"
# Bytes: a body of 1 MiB with its headers; the topics take 2 MiB.
_MAX_RECORD = 2 * 1024 * 1024 - 64 * 1024
_ACKNOWLEDGED_WITHIN_SECONDS = 8.0
_RETRY_START_SECONDS = 1.0
# Bytes of commands that wait for the broker in this process, whoever gave up on them.
_MOST_UNACKNOWLEDGED = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class OutgoingCommand:
    """A command as the gateway sends it: `value` is the caller's body, byte for byte.

    `origin` is the slug of who asks, `tenant_id` that tenant's id, under which its answer is kept.
    """

    topic: str
    type: str
    key: str
    value: bytes
    id: str
    origin: str
    tenant_id: str
    partner: str | None
    system: str | None
    instance: str | None
    strict: bool
    correlation_id: str
    traceparent: str | None = None
    tracestate: str | None = None

    @property
    def fingerprint(self) -> bytes:
        """What tells this command from another one under the same id (protocol 2)."""
        return fingerprint(self.value, self.type, self.partner, self.system, self.instance)

    def headers(self) -> list[tuple[str, bytes]]:
        """The record's headers."""
        return write_headers(
            Envelope(
                id=self.id,
                source=SOURCE,
                type=self.type,
                origin_tenant=self.origin,
                dest_tenant=self.partner,
                origin_system=self.system,
                origin_instance=self.instance,
                handling="strict" if self.strict else None,
                correlation_id=self.correlation_id,
                traceparent=self.traceparent,
                tracestate=self.tracestate,
            )
        )


class Sender(Protocol):
    """Whoever brings commands to the broker."""

    async def send(self, commands: Sequence[OutgoingCommand]) -> None:
        """Return once the broker has acknowledged all records; raise BrokerAway else.

        They are written in their order. After BrokerAway some may have been written all the same.
        """

    async def answers(self) -> bool:
        """Whether the broker answers now."""


class KafkaSender:
    """A producer that waits for all replicas, and keeps trying to reach a broker that is away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._starting: asyncio.Task[None] | None = None
        self._sends: dict[asyncio.Task[None], int] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to connect; until that is done every send raises BrokerAway."""
        self._starting = asyncio.create_task(self._connect(), name="producer start")

    async def close(self) -> None:
        """Hand over what is on its way, then disconnect."""
        if self._starting is not None:
            self._starting.cancel()
            with suppress(asyncio.CancelledError):
                await self._starting
        if self._sends:
            await asyncio.wait(self._sends, timeout=_ACKNOWLEDGED_WITHIN_SECONDS)
        if self._producer is not None:
            await close_producer(self._producer)
        await asyncio.gather(*self._closing)

    async def send(self, commands: Sequence[OutgoingCommand]) -> None:
        """See Sender. A caller that goes away does not stop what has begun."""
        producer = self._producer
        size = sum(len(command.value) for command in commands)
        if producer is None or sum(self._sends.values()) + size > _MOST_UNACKNOWLEDGED:
            raise BrokerAway
        task = asyncio.create_task(self._produce(producer, commands))
        self._sends[task] = size
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=_ACKNOWLEDGED_WITHIN_SECONDS)
        if not done:
            raise BrokerAway("The broker has not acknowledged a command in time.")
        task.result()

    async def answers(self) -> bool:
        """Whether the broker tells its metadata now."""
        if self._producer is None:
            return False
        try:
            async with asyncio.timeout(2):
                await self._producer.client.fetch_all_metadata()
        except (KafkaError, TimeoutError, OSError):
            return False
        return True

    async def _connect(self) -> None:
        while True:
            try:
                self._producer = await open_producer(
                    client_arguments(self._settings), max_request_size=_MAX_RECORD
                )
            except (KafkaError, OSError) as error:
                log.warning("the broker does not answer yet", error=repr(error))
                await asyncio.sleep(_RETRY_START_SECONDS)
            else:
                return

    async def _produce(
        self, producer: AIOKafkaProducer, commands: Sequence[OutgoingCommand]
    ) -> None:
        try:
            acknowledgements = [
                await producer.send(
                    command.topic,
                    value=command.value,
                    key=command.key.encode(),
                    headers=command.headers(),
                )
                for command in commands
            ]
            await asyncio.gather(*acknowledgements)
        except (KafkaError, OSError) as error:
            if isinstance(error, LOST):
                self._replace(producer)
            raise BrokerAway(f"The broker did not take a command: {error!r}") from error

    def _replace(self, producer: AIOKafkaProducer) -> None:
        """Begin anew in the place of a producer that cannot go on."""
        if self._producer is not producer:
            return
        self._producer = None
        closing = asyncio.create_task(close_producer(producer), name="producer end")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self.start()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._sends[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a command was not acknowledged", error=repr(error))
