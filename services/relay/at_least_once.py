"""Delivery at least once: batches by partition, the next one after the previous is acknowledged.

The producer is not idempotent on purpose: aiokafka's idempotent one never gives a batch back while
an error may pass, so that one topic would hold what belongs to others, and all it would save is a
repeat, which at-least-once allows. With one batch under way per partition the order of first
occurrences holds without it.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from services.kit.errors import BrokerAway
from services.kit.outbox import unpack_headers
from services.relay.delivery import Outcome
from services.relay.rows import Row

MAX_REQUEST_BYTES = 8 * 1024 * 1024
# Well below the 1 MiB a broker takes as one batch unless told otherwise.
_BATCH_BYTES = 512 * 1024
_RECORD_OVERHEAD_BYTES = 1024
# How long a batch is retried by the client before it is given back.
_REQUEST_TIMEOUT_SECONDS = 10
_STOP_SECONDS = 5.0
# A topic that acknowledges nothing for so long, while another one does, is closed.
_SILENCE_SECONDS = 2.0
_METADATA_LOOKS = 3
_METADATA_PAUSE_SECONDS = 0.1
_METADATA_SECONDS = 5.0

_REFUSES_RECORD = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidTimestampError,
    kafka_errors.UnsupportedForMessageFormatError,
)
_CLOSES_TOPIC = (
    kafka_errors.UnknownTopicOrPartitionError,
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.InvalidTopicError,
    kafka_errors.PolicyViolationError,
    kafka_errors.NotEnoughReplicasError,
    kafka_errors.NotEnoughReplicasAfterAppendError,
)

log = structlog.get_logger()


class AtLeastOnce:
    """A Delivery over one aiokafka producer, opened with `arguments` (address and security)."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self._producer: AIOKafkaProducer | None = None
        self._partitioner = DefaultPartitioner()

    async def start(self) -> None:
        """Connect. Raises BrokerAway."""
        producer = AIOKafkaProducer(
            **self._arguments,
            acks="all",
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
            max_request_size=MAX_REQUEST_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_SECONDS * 1000,
        )
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_SECONDS):
                await producer.start()
        except (kafka_errors.KafkaError, OSError, TimeoutError) as error:
            await producer.stop()
            raise BrokerAway(f"The broker does not answer: {error!r}") from error
        self._producer = producer

    async def stop(self) -> None:
        """Disconnect; what is under way may still arrive."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(TimeoutError, kafka_errors.KafkaError, OSError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await producer.stop()
                return
            await producer.client.close()

    async def publish(self, rows: Sequence[Row]) -> Outcome:
        """See Delivery."""
        outcome = Outcome()
        partitions: dict[str, list[int]] = {}
        for topic in dict.fromkeys(row.topic for row in rows):
            try:
                partitions[topic] = await self._partitions(topic)
            except _CLOSES_TOPIC as error:
                outcome.closed[topic] = _reason(error)
        lanes: dict[tuple[str, int], list[Row]] = {}
        for row in rows:
            known = partitions.get(row.topic)
            if known is not None:
                lane = (row.topic, self._partitioner(row.key, known, known))
                lanes.setdefault(lane, []).append(row)
        await self._send_lanes(lanes, outcome)
        return outcome

    async def answers(self, topic: str) -> bool:
        """See Delivery."""
        try:
            await self._partitions(topic, looks=1)
        except (*_CLOSES_TOPIC, BrokerAway):
            return False
        return True

    async def broker_there(self) -> bool:
        """See Delivery."""
        try:
            return await self._refresh_metadata()
        except BrokerAway:
            return False

    async def _partitions(self, topic: str, looks: int = _METADATA_LOOKS) -> list[int]:
        """The topic's partitions; raises UnknownTopicOrPartitionError where it is not there.

        Asked before anything is sent: a produce to a missing topic is retried without a word. And
        asked about all topics, never by name: a client that names a topic it misses makes brokers
        create it, with a partition count nobody chose. So no topic is ever tracked by this client.
        """
        cluster = self._open().client.cluster
        for look in range(looks):
            known = cluster.partitions_for_topic(topic)
            if known:
                return sorted(known)
            if look:
                await asyncio.sleep(_METADATA_PAUSE_SECONDS)
            if not await self._refresh_metadata():
                raise BrokerAway
        known = cluster.partitions_for_topic(topic)
        if not known:
            raise kafka_errors.UnknownTopicOrPartitionError(topic)
        return sorted(known)

    async def _refresh_metadata(self) -> bool:
        try:
            async with asyncio.timeout(_METADATA_SECONDS):
                return bool(await self._open().client.force_metadata_update())
        except TimeoutError:
            return False

    async def _send_lanes(self, lanes: dict[tuple[str, int], list[Row]], outcome: Outcome) -> None:
        """All partitions at once. Topics that stay silent while others answer are left behind."""
        if not lanes:
            return
        tasks = {
            asyncio.create_task(self._send_lane(topic, partition, rows, outcome)): topic
            for (topic, partition), rows in lanes.items()
        }
        try:
            _, pending = await asyncio.wait(tasks, timeout=_SILENCE_SECONDS)
            if pending:
                answering = {
                    row.topic
                    for rows in lanes.values()
                    for row in rows
                    if row.id in outcome.acknowledged
                }
                silent = {tasks[task] for task in pending} - answering
                if answering and silent:
                    outcome.closed |= dict.fromkeys(silent, "it does not answer")
                    for task in pending:
                        if tasks[task] in silent:
                            task.cancel()
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _send_lane(
        self, topic: str, partition: int, rows: list[Row], outcome: Outcome
    ) -> None:
        """One partition's rows, batch after batch, until one is not acknowledged."""
        kept_back: set[str | None] = set()
        waiting = list(reversed(rows))
        one_by_one = False
        while waiting:
            batch, sent = self._fill(waiting, kept_back, outcome, alone=one_by_one)
            if not sent:
                continue
            try:
                await self._acknowledged(batch, topic, partition)
            except _REFUSES_RECORD as error:
                if len(sent) == 1:
                    self._refuse(sent[0], _reason(error), kept_back, outcome)
                    continue
                one_by_one = True
                waiting.extend(reversed(sent))
            except _CLOSES_TOPIC as error:
                outcome.closed[topic] = _reason(error)
                return
            except kafka_errors.KafkaError as error:
                log.warning(
                    "relay.not_acknowledged",
                    topic=topic, partition=partition, records=len(sent), error=repr(error),
                )  # fmt: skip
                return
            else:
                outcome.acknowledged.update(row.id for row in sent)

    def _fill(
        self, waiting: list[Row], kept_back: set[str | None], outcome: Outcome, *, alone: bool
    ) -> tuple[BatchBuilder, list[Row]]:
        """Take rows off the end of `waiting` into a new batch, as many as fit."""
        batch = self._open().create_batch()
        sent: list[Row] = []
        while waiting and not (alone and sent):
            row = waiting[-1]
            if row.stream is not None and row.stream in kept_back:
                waiting.pop()
                continue
            size = len(row.value or b"") + len(row.headers) + len(row.key or b"")
            if size > MAX_REQUEST_BYTES - _RECORD_OVERHEAD_BYTES:
                waiting.pop()
                self._refuse(row, f"{size} bytes are too many", kept_back, outcome)
                continue
            # Stamped now and not when stored: retention counts from the record's timestamp, and
            # a row parked for longer than it would be gone before anybody reads it.
            taken = batch.append(
                timestamp=None, key=row.key, value=row.value, headers=unpack_headers(row.headers)
            )
            if taken is None:
                break
            sent.append(waiting.pop())
        return batch, sent

    @staticmethod
    def _refuse(row: Row, reason: str, kept_back: set[str | None], outcome: Outcome) -> None:
        outcome.refused[row.id] = reason
        kept_back.add(row.stream)

    async def _acknowledged(self, batch: BatchBuilder, topic: str, partition: int) -> None:
        """Send one batch and wait; a topic that vanishes meanwhile is not waited for."""
        producer = self._open()
        cluster = producer.client.cluster
        if partition not in (cluster.partitions_for_topic(topic) or ()):
            raise kafka_errors.UnknownTopicOrPartitionError(topic)
        future = await producer.send_batch(batch, topic, partition=partition)
        future.add_done_callback(_look_at)
        while not (await asyncio.wait({future}, timeout=1.0))[0]:
            if cluster.partitions_for_topic(topic) is None:
                raise kafka_errors.UnknownTopicOrPartitionError(topic)
        future.result()

    def _open(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise BrokerAway
        return self._producer


def _look_at(future: asyncio.Future[Any]) -> None:
    """A batch left behind may fail later; its error was acted on when it was left."""
    if not future.cancelled():
        future.exception()


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
