"""Produce requests on connections whose broker is known to have the topic.

aiokafka's producer connects again by itself and then sends what it had, by the metadata it had. A
broker that came back empty, as the embedded one does, acknowledges records of a topic it does not
have, and they are gone. Here a connection carries records only after all topics were asked for on
that very connection; a lost one is never replaced under a request. A numbered batch goes only to
the cluster its producer id is of.

A line is one connection to each broker: a broker answers one request of a connection at a time, so
what is to go on side by side has a line each.
"""

import asyncio
from typing import Any

from aiokafka import TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.api import Request
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from services.kit.errors import BrokerAway
from services.relay.numbering import Producer

# The broker waits so long for its replicas, the client a little longer for the broker.
ACKNOWLEDGE_MS = 5_000
_REQUEST_MS = 10_000
_ALL_REPLICAS = -1
# A broker that has just started gives out no producer id for some milliseconds.
_PRODUCER_PAUSE_SECONDS = 0.02
_LONGEST_TRANSACTION_MS = 2**31 - 1

Batches = dict[tuple[str, int], bytes]
Answers = dict[tuple[str, int], type[kafka_errors.KafkaError]]


class Wire:
    """Connections to a cluster's brokers, opened with `arguments` (address and security)."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self._client: AIOKafkaClient | None = None
        self._learned: dict[tuple[int, int], tuple[AIOKafkaConnection, str | None]] = {}

    async def start(self) -> None:
        """Connect. Raises BrokerAway."""
        client = AIOKafkaClient(**self._arguments, request_timeout_ms=_REQUEST_MS)
        try:
            async with asyncio.timeout(_REQUEST_MS / 1000):
                await client.bootstrap()
        except (kafka_errors.KafkaError, OSError, TimeoutError) as error:
            await client.close()
            raise BrokerAway(f"The broker does not answer: {error!r}") from error
        self._client = client

    async def stop(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        self._learned.clear()
        if client is not None:
            await client.close()

    async def there(self) -> bool:
        """Whether any broker answers."""
        try:
            await self.refresh()
        except BrokerAway:
            return False
        return True

    async def has(self, topic: str) -> bool:
        """Whether a broker answers, and has the topic."""
        return await self.there() and bool(self.partitions(topic))

    def partitions(self, topic: str) -> list[int]:
        """The topic's partitions as last heard; empty where it is not there."""
        return sorted(self._open().cluster.partitions_for_topic(topic) or ())

    def leader(self, topic: str, partition: int) -> int | None:
        """The node that takes the partition's records; None where there is none now."""
        node: int | None = self._open().cluster.leader_for_partition(
            TopicPartition(topic, partition)
        )
        return None if node == -1 else node

    async def refresh(self) -> None:
        """Ask any broker for all topics. Raises BrokerAway."""
        client = self._open()
        node = client.get_random_node()
        try:
            if node is None:
                raise kafka_errors.NodeNotReadyError
            await self._learn((node, 0), await self._connection(node))
        except (kafka_errors.KafkaError, OSError, TimeoutError) as error:
            raise BrokerAway(f"The broker does not answer: {error!r}") from error

    async def producer(self) -> tuple[str | None, Producer | None]:
        """The cluster, and a producer id of its; None where it gives out none.

        By asking for one: the embedded broker names the request among those it knows, with the
        versions Apache Kafka names, and answers it with an unknown error. Raises BrokerAway.
        """
        node = self._open().get_random_node()
        cluster: str | None = None
        try:
            if node is None:
                raise kafka_errors.NodeNotReadyError
            async with asyncio.timeout(_REQUEST_MS / 1000):
                connection = await self._connection(node)
                cluster = await self._learn((node, 0), connection)
                return cluster, await _ask_for_producer(connection)
        except (kafka_errors.IncompatibleBrokerVersion, kafka_errors.UnsupportedVersionError):
            return cluster, None
        except (kafka_errors.KafkaError, OSError, TimeoutError) as error:
            raise BrokerAway(f"The broker does not answer: {error!r}") from error

    async def ready(self, node: int) -> None:
        """Have a connection to `node` on which the topics were asked for. Raises KafkaError."""
        await self.ready_on(node, 0)

    async def ready_on(self, node: int, line: int) -> None:
        """The same for a line. Raises KafkaError."""
        connection = await self._connection(node, line)
        learned, _ = self._learned.get((node, line), (None, None))
        if learned is not connection:
            await self._learn((node, line), connection)

    async def produce(self, node: int, batches: Batches, cluster: str | None = None) -> Answers:
        """Send one batch for each partition; how the broker answered each (NoError: stored).

        Nothing is sent where the broker is of another cluster than `cluster`, if that is given.
        Raises KafkaError or TimeoutError when there is no answer: then any of them may be stored.
        """
        return _answers(await self.ask(node, _produce_request(batches, None), cluster))

    async def produce_within(
        self, transactional_id: str, node: int, batches: Batches, cluster: str, line: int
    ) -> Answers:
        """The same within a transaction, on a line of its own."""
        request = _produce_request(batches, transactional_id)
        return _answers(await self.ask(node, request, cluster, line=line))

    async def ask(
        self, node: int, request: Request[Any], cluster: str | None = None, *, line: int = 0
    ) -> Any:
        """What `node` answers on a connection that is `ready`. As `produce`, where it does not."""
        connection, its_cluster = self._learned.get((node, line), (None, None))
        if connection is None or not connection.connected():
            raise kafka_errors.NodeNotReadyError(node)
        if cluster not in (None, its_cluster):
            raise kafka_errors.NodeNotReadyError(f"{node} is of the cluster {its_cluster} now")
        try:
            return await connection.send(request)
        except (kafka_errors.KafkaError, OSError, TimeoutError):
            self._learned.pop((node, line), None)
            connection.close()
            raise

    async def coordinator(self, kind: CoordinationType, key: str) -> int:
        """The node that coordinates a group or a transactional id. Raises KafkaError."""
        client = self._open()
        node = client.get_random_node()
        if node is None:
            raise kafka_errors.NodeNotReadyError
        connection = await self._connection(node)
        answer = await connection.send(FindCoordinatorRequest(key, kind))
        error = kafka_errors.for_code(answer.error_code)
        if error is not kafka_errors.NoError:
            raise error
        found: int = answer.coordinator_id
        return found

    def hang_up(self, line: int) -> None:
        """Close the line's connections: whatever is still under way on them is in doubt."""
        for place, (connection, _) in list(self._learned.items()):
            if place[1] == line:
                del self._learned[place]
                connection.close()

    async def _connection(self, node: int, line: int = 0) -> AIOKafkaConnection:
        # The client's own way to a connection with all its security; it has no public name. It
        # keeps one for each node and group, and any number may be a group.
        connection = await self._open()._get_conn(node, group=line)  # noqa: SLF001
        if connection is None:
            raise kafka_errors.NodeNotReadyError(node)
        return connection

    async def _learn(self, place: tuple[int, int], connection: AIOKafkaConnection) -> str | None:
        """All topics, never some by name: naming a missing one makes brokers create it.

        The cluster's id.
        """
        answer = await connection.send(MetadataRequest(None))
        self._open().cluster.update_metadata(answer)
        cluster: str | None = getattr(answer, "cluster_id", None)
        self._learned[place] = connection, cluster
        return cluster

    def _open(self) -> AIOKafkaClient:
        if self._client is None:
            raise BrokerAway
        return self._client


def _produce_request(batches: Batches, transactional_id: str | None) -> ProduceRequest:
    topics: dict[str, list[tuple[int, bytes]]] = {}
    for (topic, partition), batch in batches.items():
        topics.setdefault(topic, []).append((partition, batch))
    return ProduceRequest(
        transactional_id=transactional_id,
        required_acks=_ALL_REPLICAS,
        timeout=ACKNOWLEDGE_MS,
        topics=list(topics.items()),
    )


def _answers(response: Any) -> Answers:
    return {
        (topic, answer[0]): kafka_errors.for_code(answer[1])
        for topic, answers in response.topics
        for answer in answers
    }


async def _ask_for_producer(connection: AIOKafkaConnection) -> Producer | None:
    while True:
        answer = await connection.send(InitProducerIdRequest(None, _LONGEST_TRANSACTION_MS))
        error = kafka_errors.for_code(answer.error_code)
        if error is kafka_errors.NoError:
            return Producer(answer.producer_id, answer.producer_epoch)
        if not error.retriable:
            return None
        await asyncio.sleep(_PRODUCER_PAUSE_SECONDS)
