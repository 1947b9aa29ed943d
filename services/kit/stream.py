"""The stream: each record of a consumer group's topics takes effect once.

FastStream runs the subscription and delivers batches; what was processed is known by the marks in
the database alone. Its consumer's `getmany` is wrapped, so that every poll, an empty one too, is a
link of the chain (services.kit.chain). Kafka's own offsets are committed behind the transactions
and read for comparison only.
"""

import asyncio
import time
from collections.abc import Collection, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from faststream import AckPolicy, StreamMessage
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber

from services.kit import decompression
from services.kit.commits import Commits
from services.kit.database import Pool
from services.kit.errors import BrokerAway, ServiceMustStop
from services.kit.kafka import (
    MAX_FETCH_BYTES,
    MAX_PARTITION_FETCH_BYTES,
    BrokerView,
    faststream_security,
)
from services.kit.lookout import Lookout
from services.kit.placing import Placer
from services.kit.reading import Reader
from services.kit.settings import Settings
from services.kit.taking import Taker, Work
from services.kit.tuning import Tuning

__all__ = ["Stream", "Tuning", "Work"]

log = structlog.get_logger()

_REBALANCE_TIMEOUT_MS = 60_000
_LEAVE_SECONDS = 3.0
_PLACING_SECONDS = 10.0


class Stream:
    """Reads topics, or all that match `pattern` (from their start; end it with `$`), for one group.

    `broker` is FastStream's, for the AsyncAPI page; nothing is ever published with it. Must be made
    within the running event loop.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        service: str,
        group: str,
        work: Work,
        pool: Pool,
        topics: Sequence[str] = (),
        pattern: str | None = None,
        title: str | None = None,
        description: str | None = None,
        tuning: Tuning | None = None,
    ) -> None:
        self._tuning = tuning or Tuning()
        self._view = BrokerView(settings)
        placer = Placer(
            pool,
            self._view,
            service=service,
            group=group,
            shorter_grace_seconds=self._tuning.shorter_grace,
        )
        taker = Taker(pool, work, service=service, group=group, bound=self._tuning.bound)
        self._commits = Commits()
        self._reader = Reader(placer, taker, self._commits, self._tuning)
        self._lookout = Lookout(self._reader, pool, self._view, group=group, tuning=self._tuning)
        self._tasks: list[asyncio.Task[None]] = []
        # logger=None: FastStream would write two lines for every batch.
        self.broker = KafkaBroker(
            settings.kafka_bootstrap_servers,
            security=faststream_security(settings),
            metadata_max_age_ms=settings.metadata_max_age_ms,
            client_id=f"crossroads-{service}",
            consumer_only=True,
            allow_auto_create_topics=False,
            graceful_timeout=0.1,
            apply_types=False,
            logger=None,
        )
        self._subscriber = self._subscribe(
            settings,
            group=group,
            topics=topics,
            pattern=pattern,
            title=title,
            description=description,
        )
        self._subscriber(self._reader.take)

    async def start(self) -> None:
        """Connects and asks to join the group. Raises BrokerAway."""
        decompression.install()
        try:
            await self.broker.start()
        except (KafkaError, OSError) as error:
            raise BrokerAway(f"The group cannot be joined: {error!r}") from error
        consumer = self._consumer()
        self._spawn(self._commits.run(consumer))
        self._spawn(self._lookout.run())

    async def wait(self) -> None:
        """Returns never; raises ServiceMustStop when the service has to end."""
        await asyncio.wait([self._reader.failure])
        self._reader.failure.result()

    async def stop(self) -> None:
        """Ends the batch in hand, tells the broker how far it came, and leaves the group."""
        await self._reader.drain(self._tuning.drain)
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                if self._subscriber.consumer is not None:
                    await self._commits.flush(self._subscriber.consumer)
                    _let_leave(self._subscriber.consumer)
                await self.broker.stop()
        except TimeoutError:
            log.warning("the group was not left in time")
        await self._view.close()

    async def run(self, stopping: asyncio.Event) -> None:
        """Starts, reads until `stopping` is set, and stops; raises ServiceMustStop if it must."""
        stop_wanted = asyncio.ensure_future(stopping.wait())
        try:
            await self.start()
            ends: list[asyncio.Future[Any]] = [stop_wanted, self._reader.failure]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop_wanted.cancel()
            await self.stop()
        if self._reader.failure.done():
            self._reader.failure.result()

    def ready(self) -> tuple[bool, str]:
        """Whether all assigned partitions are read and move, and what is wrong if not."""
        reader, now = self._reader, time.monotonic()
        if reader.failure.done():
            return False, "the stream has failed"
        if reader.placed_at is None:
            return False, "the group is not joined yet"
        trouble = reader.trouble or self._lookout.trouble
        if trouble is not None:
            return False, trouble
        if stalled := self._lookout.stalled:
            names = ", ".join(f"{each.topic}/{each.partition}" for each in sorted(stalled))
            return False, f"partitions stand still: {names}"
        if reader.waiting and now - reader.placed_at > _PLACING_SECONDS:
            return False, "partitions wait for their places"
        return True, "reading"

    def lag(self) -> dict[TopicPartition, int]:
        """Records before the last stable offset that are not processed, as last looked at."""
        return dict(self._lookout.lag)

    def behind(self) -> dict[TopicPartition, float]:
        """Seconds for each assigned partition: all that had arrived so long ago is processed.

        As last looked at; a partition that nobody has got to the end of yet is missing.
        """
        now = time.monotonic()
        return {each: now - reached for each, reached in self._lookout.reached.items()}

    def _subscribe(
        self,
        settings: Settings,
        *,
        group: str,
        topics: Sequence[str],
        pattern: str | None,
        title: str | None,
        description: str | None,
    ) -> BatchSubscriber:
        session_ms = settings.session_timeout_seconds * 1000
        return self.broker.subscriber(
            *topics,
            pattern=pattern,
            group_id=group,
            batch=True,
            max_records=settings.batch_max_records,
            batch_timeout_ms=settings.batch_timeout_ms,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="none",
            isolation_level="read_committed",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=min(3000, session_ms // 3),
            rebalance_timeout_ms=_REBALANCE_TIMEOUT_MS,
            max_partition_fetch_bytes=MAX_PARTITION_FETCH_BYTES,
            fetch_max_bytes=MAX_FETCH_BYTES,
            fetch_max_wait_ms=settings.fetch_max_wait_ms,
            listener=_Listener(self._assigned, self._reader.revoked),
            parser=_as_it_came,
            decoder=_undecoded,
            no_reply=True,
            title=title,
            description=description,
        )

    def _assigned(self, partitions: Collection[TopicPartition]) -> None:
        self._reader.assigned(self._consumer(), partitions)

    def _consumer(self) -> AIOKafkaConsumer:
        consumer = self._subscriber.consumer
        if consumer is None:
            raise RuntimeError("The subscriber has no consumer before its start.")
        if "getmany" not in vars(consumer):
            own = consumer.getmany

            async def getmany(
                *, timeout_ms: int = 0, max_records: int | None = None
            ) -> dict[TopicPartition, list[ConsumerRecord]]:
                return await self._reader.poll(own, timeout_ms=timeout_ms, max_records=max_records)

            consumer.getmany = getmany
        return consumer

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._reader.fail(ServiceMustStop(f"a task of the stream failed: {error!r}"))


def _let_leave(consumer: AIOKafkaConsumer) -> None:
    # The embedded broker counts generations from 0, and aiokafka leaves none before 1: whoever
    # comes next would wait for the session's end. Nothing is sent by the number any more.
    coordinator = consumer._coordinator  # noqa: SLF001
    if getattr(coordinator, "generation", None) == 0:
        coordinator.generation = 1


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hands over and returns: neither call may wait (see Reader.assigned)."""

    def __init__(self, assigned: Any, revoked: Any) -> None:
        self._assigned = assigned
        self._revoked = revoked

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._revoked()

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._assigned(assigned)


async def _as_it_came(batch: tuple[ConsumerRecord, ...]) -> StreamMessage[Any]:
    # FastStream's own parser decodes all headers as UTF-8: one bad header would fail the batch.
    return KafkaAckableMessage(
        raw_message=batch, body=batch, headers={}, batch_headers=[], consumer=_NoConsumer()
    )


async def _undecoded(message: StreamMessage[Any]) -> Any:
    return message.raw_message


class _NoConsumer:
    """Stands where a message keeps its consumer: nobody acknowledges by messages here."""

    async def commit(self) -> None:
        raise RuntimeError("Offsets are committed behind the transaction, never by a message.")

    def seek(self, partition: TopicPartition, offset: int) -> None:
        raise RuntimeError("Only the reader moves positions.")
