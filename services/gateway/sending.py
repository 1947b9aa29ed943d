"""Commands on their way to the broker: what a record says, and producing it for certain."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

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
_REQUEST_TIMEOUT_MS = 5000
_RETRY_START_SECONDS = 1.0


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
        self._sends: set[asyncio.Task[None]] = set()

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
            await self._producer.stop()

    async def send(self, commands: Sequence[OutgoingCommand]) -> None:
        """See Sender. A caller that goes away does not stop what has begun."""
        producer = self._producer
        if producer is None:
            raise BrokerAway
        task = asyncio.create_task(_produce(producer, commands))
        self._sends.add(task)
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
        pause = _RETRY_START_SECONDS
        while True:
            # The Tansu broker knows no idempotent producer; a command's id makes repeats harmless.
            producer = AIOKafkaProducer(
                acks="all",
                max_request_size=_MAX_RECORD,
                request_timeout_ms=_REQUEST_TIMEOUT_MS,
                **client_arguments(self._settings),
            )
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                await producer.stop()
                log.warning("the broker does not answer yet", error=repr(error))
                await asyncio.sleep(pause)
                continue
            self._producer = producer
            return

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a command was not acknowledged", error=repr(error))


async def _produce(producer: AIOKafkaProducer, commands: Sequence[OutgoingCommand]) -> None:
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
        raise BrokerAway(f"The broker did not take a command: {error!r}") from error
