"""A producer whose records go only to a broker that is known to have their topic.

aiokafka's producer connects again by itself and sends what it had, by the metadata it had. A broker
that came back empty, as the embedded one does, acknowledges records of a topic it does not have,
and they are gone. Here a connection carries records only after all topics were asked for on that
very connection. Topics are never asked for by name: that makes some brokers create them, with a
partition count nobody chose.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

# What leaves an idempotent producer unable to go on: its numbers do not fit the broker's any more.
LOST = (
    kafka_errors.OutOfOrderSequenceNumber,
    kafka_errors.UnknownProducerId,
    kafka_errors.InvalidProducerIdMapping,
    kafka_errors.InvalidProducerEpoch,
    kafka_errors.ProducerFenced,
)
_REQUEST_MS = 5_000
_STOP_SECONDS = 2.0
# A broker that has just started gives out no producer id for some milliseconds.
_ASK_SECONDS = 5.0
_ASK_PAUSE_SECONDS = 0.02
_LONGEST_TRANSACTION_MS = 2**31 - 1


async def open_producer(arguments: dict[str, Any], *, max_request_size: int) -> AIOKafkaProducer:
    """A started producer that waits for all replicas; idempotent where the broker is able to.

    `arguments` are the address and the security. An idempotent one repeats a record without end
    until the broker answers, another one for five seconds. Raises KafkaError or OSError.
    """
    idempotent = await _gives_producer_ids(arguments)
    producer = AIOKafkaProducer(
        acks="all",
        enable_idempotence=idempotent,
        max_request_size=max_request_size,
        request_timeout_ms=_REQUEST_MS,
        **arguments,
    )
    guard = _Guard(producer.client)
    producer.client.send = guard.send
    producer.client.add_topic = guard.add_topic
    try:
        await producer.start()
    except BaseException:
        await close_producer(producer)
        raise
    return producer


async def close_producer(producer: AIOKafkaProducer) -> None:
    """Disconnect; what is not acknowledged within two seconds is given up."""
    with suppress(TimeoutError, kafka_errors.KafkaError):
        async with asyncio.timeout(_STOP_SECONDS):
            await producer.stop()
            return
    # An idempotent producer waits for its broker without end, and has no way to be told not to.
    with suppress(TimeoutError, kafka_errors.KafkaError):
        async with asyncio.timeout(_STOP_SECONDS):
            await producer._sender.close()  # noqa: SLF001
    await producer.client.close()


async def _gives_producer_ids(arguments: dict[str, Any]) -> bool:
    """Whether the broker gives out ids for idempotent producers.

    By asking for one: the embedded broker names the request among those it knows, with the
    versions Apache Kafka names, and answers it with an unknown error.
    """
    client = AIOKafkaClient(**arguments, request_timeout_ms=_REQUEST_MS)
    request = InitProducerIdRequest(None, _LONGEST_TRANSACTION_MS)
    try:
        await client.bootstrap()
        async with asyncio.timeout(_ASK_SECONDS):
            while True:
                answer = await client.send(client.get_random_node(), request)
                error = kafka_errors.for_code(answer.error_code)
                if not error.retriable:
                    return error is kafka_errors.NoError
                await asyncio.sleep(_ASK_PAUSE_SECONDS)
    except (kafka_errors.IncompatibleBrokerVersion, kafka_errors.UnsupportedVersionError):
        return False
    finally:
        await client.close()


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a connection told."""

    connection: AIOKafkaConnection
    cluster: str | None
    topics: frozenset[str]


class _Guard:
    """Stands before a client's `send` and `add_topic`."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self._client = client
        self._send = client.send
        self._heard: dict[tuple[Any, Any], _Heard] = {}
        # Of the producer's id. In another one the same id may be somebody else's, whose records
        # ours would be taken for copies of.
        self._cluster: str | None = None

    def add_topic(self, _: str) -> Any:
        """Ask for all topics anew instead of this one by its name."""
        return self._client.force_metadata_update()

    async def send(self, node: Any, request: Any, **more: Any) -> Any:
        """The client's own `send`; records only on a connection that has told of their topics.

        Raises KafkaError: one of LOST where the cluster is another one than the producer's, else
        of a kind that lets the producer try again.
        """
        if isinstance(request, InitProducerIdRequest):
            self._cluster = (await self._make_sure(node, frozenset(), **more)).cluster
        elif isinstance(request, ProduceRequest):
            topics = frozenset(topic for topic, _ in request._topics)  # noqa: SLF001
            heard = await self._make_sure(node, topics, **more)
            if missing := topics - heard.topics:
                raise kafka_errors.UnknownTopicOrPartitionError(", ".join(sorted(missing)))
            if self._cluster not in (None, heard.cluster):
                raise kafka_errors.UnknownProducerId(f"the cluster is {heard.cluster} now")
        # Nothing is awaited between the check and the moment the connection has the request.
        return await self._send(node, request, **more)

    async def _make_sure(self, node: Any, topics: frozenset[str], **more: Any) -> _Heard:
        # The client's own way to a connection with all its security; it has no public name.
        connection = await self._client._get_conn(node, **more)  # noqa: SLF001
        if connection is None:
            raise kafka_errors.NodeNotReadyError(node)
        place = node, more.get("group")
        heard = self._heard.get(place)
        if heard is None or heard.connection is not connection or not topics <= heard.topics:
            heard = self._heard[place] = await self._ask(connection)
        if not connection.connected():
            raise kafka_errors.NodeNotReadyError(node)
        return heard

    async def _ask(self, connection: AIOKafkaConnection) -> _Heard:
        try:
            answer = await connection.send(MetadataRequest(None))
        except TimeoutError as error:
            connection.close()
            raise kafka_errors.RequestTimedOutError from error
        self._client.cluster.update_metadata(answer)
        topics = frozenset(topic for code, topic, *_ in answer.topics if code == 0)
        return _Heard(connection, getattr(answer, "cluster_id", None), topics)
