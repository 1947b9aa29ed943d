"""Delivery at least once: batches by partition, the next one after the previous is acknowledged.

With one batch under way per partition the order of first occurrences holds. Where the broker gives
out producer ids the batches are numbered, too, and one whose answer was lost is sent again as it
was, before anything else of its partition: the broker drops it if it has it. The embedded broker
gives out none; there such a batch may be repeated, as it may everywhere after a crash or takeover.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import errors as kafka_errors
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from services.kit.errors import BrokerAway
from services.kit.outbox import unpack_headers
from services.relay.batching import (
    BATCH_BYTES,
    CLOSES_TOPIC,
    LEADER_MOVES,
    LOST,
    MAX_RECORD_BYTES,
    PASS_PAUSE_SECONDS,
    PASSES,
    REFUSES_RECORD,
    partition_of,
    size_of,
)
from services.relay.delivery import Outcome
from services.relay.numbering import UNNUMBERED, Doubtful, Numbering, Numbers
from services.relay.rows import Row
from services.relay.session import LockSession
from services.relay.wire import Wire

# The broker does not go by the batch's numbers (any more).
_LOSES_NUMBERS = (
    kafka_errors.OutOfOrderSequenceNumber,
    kafka_errors.UnknownProducerId,
    kafka_errors.InvalidProducerIdMapping,
    kafka_errors.InvalidProducerEpoch,
    kafka_errors.ProducerFenced,
)
_PASSES_BY = (*LEADER_MOVES, *_LOSES_NUMBERS)
# Each of these may be said of records that the broker has.
_MAY_BE_STORED = (
    kafka_errors.RequestTimedOutError,
    kafka_errors.NotEnoughReplicasAfterAppendError,
    kafka_errors.UnknownError,
)

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Lane:
    """One partition's rows of a wave. `waiting` has the next one last; `sent` are under way.

    `again` are batches to send as they were before anything else; their rows are the next ones.
    """

    topic: str
    partition: int
    waiting: list[Row]
    sent: list[Row] = field(default_factory=list)
    numbers: Numbers = UNNUMBERED
    again: list[Doubtful] = field(default_factory=list)
    kept_back: set[str] = field(default_factory=set)
    one_by_one: bool = False
    error: kafka_errors.KafkaError | None = None

    @property
    def place(self) -> tuple[str, int]:
        return self.topic, self.partition

    def put_first(self, again: list[Doubtful]) -> None:
        """Have the rows of these batches sent first, batch by batch."""
        self.again = again
        if again:
            rows = {row.id: row for row in self.waiting}
            first = [rows.pop(row_id) for batch in again for row_id in batch.ids]
            self.waiting = [*rows.values(), *reversed(first)]

    def give_back(self, error: kafka_errors.KafkaError | None) -> None:
        self.waiting.extend(reversed(self.sent))
        self.sent = []
        self.error = error

    def refuse(self, row: Row, reason: str, outcome: Outcome) -> None:
        outcome.refused[row.id] = reason
        if row.stream is not None:
            self.kept_back.add(row.stream)


class AtLeastOnce:
    """A Delivery over its own connections, opened with `arguments` (address and security)."""

    results_ride_along = False

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._wire = Wire(arguments)
        self._numbering = Numbering()
        self._doubtful: set[int] = set()

    async def start(self) -> None:
        """Connect, and number batches where the broker knows numbers. Raises BrokerAway."""
        await self._wire.start()
        cluster, producer = await self._wire.producer()
        self._numbering.begin(cluster, producer)
        log.info("relay.numbering", idempotent=self._numbering.cluster is not None)

    async def stop(self) -> None:
        """Disconnect; what is under way may still arrive."""
        await self._wire.stop()

    async def take_over(self, session: LockSession, shards: Sequence[int]) -> None:
        """See Delivery; whatever the owner before left is sent (again)."""

    async def publish(self, rows: Sequence[Row]) -> Outcome:
        """See Delivery."""
        outcome = Outcome()
        every = lanes = await self._lanes(rows, outcome)
        try:
            await self._prepare(lanes)
            for passed in range(1, PASSES + 1):
                await self._send(lanes, outcome)
                # What is lost is tried once more at once, and no oftener.
                passing = _PASSES_BY if passed > 1 else (*_PASSES_BY, *LOST)
                lanes = [lane for lane in lanes if isinstance(lane.error, passing)]
                if not lanes or passed == PASSES:
                    break
                await asyncio.sleep(PASS_PAUSE_SECONDS)
                await self._wire.refresh()
                await self._prepare(lanes)
            away = False
        except BrokerAway:
            if not outcome.acknowledged:
                raise
            away = True
        answering = {row.topic for row in rows if row.id in outcome.acknowledged}
        for lane in every:
            if lane.error is not None:
                self._judge(lane, lane.error, () if away else answering, outcome)
        self._doubtful -= outcome.acknowledged
        outcome.doubtful = {row.id for row in rows if row.id in self._doubtful}
        return outcome

    async def answers(self, topic: str) -> bool:
        """See Delivery."""
        return await self._wire.has(topic)

    async def broker_there(self) -> bool:
        """See Delivery."""
        return await self._wire.there()

    async def _lanes(self, rows: Sequence[Row], outcome: Outcome) -> list[_Lane]:
        """The rows by partition; topics that are not there are closed in `outcome`."""
        partitions: dict[str, list[int]] = {}
        fresh = False
        for topic in dict.fromkeys(row.topic for row in rows):
            known = self._wire.partitions(topic)
            if not known and not fresh:
                await self._wire.refresh()
                fresh = True
                known = self._wire.partitions(topic)
            if known:
                partitions[topic] = known
            else:
                outcome.closed[topic] = "UnknownTopicOrPartitionError"
        lanes: dict[tuple[str, int], _Lane] = {}
        for row in reversed(rows):
            known = partitions.get(row.topic, [])
            if not known:
                continue
            at = row.topic, partition_of(row, known)
            lane = lanes.get(at)
            if lane is None:
                lane = lanes[at] = _Lane(*at, waiting=[])
            lane.waiting.append(row)
        return list(lanes.values())

    async def _prepare(self, lanes: Sequence[_Lane]) -> None:
        """Before a pass: what is in doubt goes first, and nothing lacks a number."""
        for lane in lanes:
            again: list[Doubtful] = []
            if self._numbering.in_doubt(lane.place):
                again = self._numbering.first(lane.place, {row.id for row in lane.waiting})
            lane.put_first(again)
        if self._numbering.wants_producer:
            cluster, producer = await self._wire.producer()
            if producer is None or cluster != self._numbering.cluster:
                raise BrokerAway("The broker is another one now.")
            self._numbering.renew(producer)

    async def _send(self, lanes: Sequence[_Lane], outcome: Outcome) -> None:
        """Each node's lanes, all nodes at once, until each lane is empty or has an error."""
        nodes: dict[int, list[_Lane]] = {}
        for lane in lanes:
            lane.error = None
            leader = self._wire.leader(lane.topic, lane.partition)
            if leader is None:
                lane.error = kafka_errors.LeaderNotAvailableError()
            else:
                nodes.setdefault(leader, []).append(lane)
        await asyncio.gather(
            *(self._send_to_node(node, waiting, outcome) for node, waiting in nodes.items())
        )

    async def _send_to_node(self, node: int, lanes: list[_Lane], outcome: Outcome) -> None:
        """Requests of one batch a lane; the next after the previous one was answered."""
        try:
            await self._wire.ready(node)
            for lane in lanes:
                if self._wire.leader(lane.topic, lane.partition) != node:
                    lane.error = kafka_errors.NotLeaderForPartitionError()
            while active := self._active(lanes):
                batches = {
                    lane.place: bytes(batch)
                    for lane in active
                    if (batch := self._fill(lane, outcome)) is not None
                }
                if not batches:
                    continue
                answers = await self._wire.produce(node, batches, self._numbering.cluster)
                for lane in active:
                    if lane.sent:
                        kind = answers.get(lane.place, kafka_errors.UnknownError)
                        self._answered(lane, kind, outcome)
        except (kafka_errors.KafkaError, OSError, TimeoutError) as error:
            kafka_error = (
                error
                if isinstance(error, kafka_errors.KafkaError)
                else kafka_errors.RequestTimedOutError(repr(error))
            )
            for lane in lanes:
                self._doubtful.update(row.id for row in lane.sent)
                if lane.error is None and (lane.sent or lane.waiting):
                    lane.give_back(kafka_error)

    def _active(self, lanes: Sequence[_Lane]) -> list[_Lane]:
        """The lanes to send from; one that has no number now waits for the next pass."""
        found = []
        for lane in lanes:
            if lane.error is None and lane.waiting:
                if lane.again or self._numbering.ready(lane.place):
                    found.append(lane)
                else:
                    lane.error = kafka_errors.UnknownProducerId()
        return found

    def _answered(self, lane: _Lane, kind: type[kafka_errors.KafkaError], outcome: Outcome) -> None:
        """What is neither acknowledged nor refused nor misnumbered stays in doubt."""
        if issubclass(kind, (kafka_errors.NoError, kafka_errors.DuplicateSequenceNumber)):
            self._numbering.acknowledged(lane.place, lane.numbers)
            outcome.acknowledged.update(row.id for row in lane.sent)
            lane.sent = []
        elif issubclass(kind, _LOSES_NUMBERS):
            self._numbering.lost(lane.place, lane.numbers)
            lane.give_back(kind())
        elif not issubclass(kind, REFUSES_RECORD):
            if issubclass(kind, _MAY_BE_STORED):
                self._doubtful.update(row.id for row in lane.sent)
            lane.give_back(kind())
        else:
            self._numbering.refused(lane.place, lane.numbers)
            if len(lane.sent) == 1:
                lane.refuse(lane.sent.pop(), kind.__name__, outcome)
            else:
                lane.one_by_one = True
            # What else has to go as it was, goes before the rows given back: in another pass.
            lane.give_back(kafka_errors.UnknownProducerId() if lane.again else None)

    def _fill(self, lane: _Lane, outcome: Outcome) -> bytearray | None:
        """Move rows from `waiting` to `sent`, as many as fit; their batch, None without any."""
        again = lane.again.pop(0) if lane.again else None
        lane.numbers = again.numbers if again else self._numbering.next(lane.place)
        batch = DefaultRecordBatchBuilder(
            magic=2, compression_type=0, is_transactional=0, producer_id=lane.numbers.producer.id,
            producer_epoch=lane.numbers.producer.epoch, base_sequence=lane.numbers.sequence,
            # Sent again, the same rows may take some bytes more: their timestamps are new.
            batch_size=2 * BATCH_BYTES if again else BATCH_BYTES,
        )  # fmt: skip
        one_by_one = lane.one_by_one and not again
        while lane.waiting and not (one_by_one and lane.sent):
            if again and len(lane.sent) == len(again.ids):
                break
            row = lane.waiting[-1]
            if row.stream in lane.kept_back and not again:
                lane.waiting.pop()
                continue
            size = size_of(row)
            if size > MAX_RECORD_BYTES:
                lane.refuse(lane.waiting.pop(), f"{size} bytes are too many", outcome)
                continue
            # Stamped now and not when stored: retention counts from the record's timestamp, and
            # a row parked for longer than it would be gone before anybody reads it.
            taken = batch.append(
                len(lane.sent), None, row.key, row.value, unpack_headers(row.headers)
            )
            if taken is None:
                break
            lane.sent.append(lane.waiting.pop())
        if lane.sent:
            self._numbering.sent(lane.place, lane.numbers, tuple(row.id for row in lane.sent))
        return batch.build() if lane.sent else None

    @staticmethod
    def _judge(
        lane: _Lane,
        error: kafka_errors.KafkaError,
        answering: Collection[str],
        outcome: Outcome,
    ) -> None:
        """A topic that alone acknowledges nothing is closed; else the rows are sent again."""
        if isinstance(error, CLOSES_TOPIC) or (answering and lane.topic not in answering):
            outcome.closed[lane.topic] = type(error).__name__
            return
        log.warning(
            "relay.not_acknowledged",
            topic=lane.topic,
            partition=lane.partition,
            records=len(lane.waiting),
            error=repr(error),
        )
