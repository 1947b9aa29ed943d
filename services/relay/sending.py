"""The records of one transaction on their way: by partition, one batch of each at a time.

Within one epoch the broker knows a batch it has by its numbers, so one whose answer was lost is
simply sent again.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from aiokafka import errors as kafka_errors
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from services.kit.outbox import unpack_headers
from services.relay.batching import (
    BATCH_BYTES,
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
from services.relay.numbering import Place
from services.relay.rows import Row
from services.relay.transactions import Fenced, Transactions
from services.relay.wire import Batches, Wire

_BARS = (kafka_errors.InvalidProducerEpoch, kafka_errors.ProducerFenced)
# Brokers say "too few replicas", too, while they ask whether the transaction is a real one.
_PASSES_BY = (
    *LEADER_MOVES,
    *LOST,
    kafka_errors.NotEnoughReplicasError,
    kafka_errors.KafkaStorageError,
)


@dataclass(slots=True, eq=False)
class Lane:
    """One partition's rows of a batch, in their order.

    The first `done` of them are stored, or refused by themselves (`refused` says why); the next
    `under_way` are on their way. `too_much`: the broker refused several records together.
    """

    topic: str
    partition: int
    one_by_one: bool = False
    rows: list[Row] = field(default_factory=list)
    done: int = 0
    under_way: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    too_much: bool = False
    error: kafka_errors.KafkaError | None = None

    @property
    def place(self) -> Place:
        """The partition."""
        return self.topic, self.partition

    @property
    def left(self) -> int:
        """How many rows are not stored yet."""
        return len(self.rows) - self.done


async def compose(
    wire: Wire, rows: Sequence[Row], one_by_one: Collection[Place], outcome: Outcome
) -> list[Lane]:
    """The rows by partition; `outcome` says which of them cannot go out at all.

    Left out are the rows of topics that are not there, records too large for any topic, and what
    follows these in their streams. Raises BrokerAway.
    """
    partitions: dict[str, list[int]] = {}
    fresh = False
    for topic in dict.fromkeys(row.topic for row in rows):
        partitions[topic] = wire.partitions(topic)
        if not partitions[topic] and not fresh:
            await wire.refresh()
            fresh = True
            partitions[topic] = wire.partitions(topic)
        if not partitions[topic]:
            outcome.closed[topic] = "UnknownTopicOrPartitionError"
    lanes: dict[Place, Lane] = {}
    kept_back: set[str] = set()
    for row in rows:
        known = partitions[row.topic]
        if not known or row.stream in kept_back:
            continue
        if (size := size_of(row)) > MAX_RECORD_BYTES:
            outcome.refused[row.id] = f"{size} bytes are too many"
            if row.stream is not None:
                kept_back.add(row.stream)
            continue
        place = row.topic, partition_of(row, known)
        lane = lanes.get(place)
        if lane is None:
            lane = lanes[place] = Lane(*place, one_by_one=place in one_by_one)
        lane.rows.append(row)
    return list(lanes.values())


async def send(wire: Wire, transactions: Transactions, lanes: Sequence[Lane]) -> None:
    """Send all rows of `lanes`; what kept any of them is told in its lane.

    Raises Fenced, and BrokerAway.
    """
    for passed in range(PASSES):
        if passed:
            await asyncio.sleep(PASS_PAUSE_SECONDS)
            await wire.refresh()
        nodes: dict[int, list[Lane]] = {}
        for lane in lanes:
            leader = wire.leader(*lane.place)
            lane.error = kafka_errors.LeaderNotAvailableError() if leader is None else None
            if leader is not None:
                nodes.setdefault(leader, []).append(lane)
        await asyncio.gather(*(_to_node(transactions, node, its) for node, its in nodes.items()))
        lanes = [lane for lane in lanes if isinstance(lane.error, _PASSES_BY)]
        if not lanes:
            return


async def _to_node(transactions: Transactions, node: int, lanes: Sequence[Lane]) -> None:
    while active := [lane for lane in lanes if lane.left and lane.error is None]:
        batches: Batches = {lane.place: _fill(lane, transactions) for lane in active}
        try:
            answers = await transactions.produce(node, batches)
        except (kafka_errors.KafkaError, OSError, TimeoutError) as error:
            lost = error if isinstance(error, kafka_errors.KafkaError) else None
            for lane in active:
                lane.error = lost or kafka_errors.RequestTimedOutError(repr(error))
            return
        for lane in active:
            kind = answers.get(lane.place, kafka_errors.UnknownError)
            if issubclass(kind, _BARS):
                raise Fenced
            _answered(lane, kind, transactions)


def _answered(lane: Lane, kind: type[kafka_errors.KafkaError], transactions: Transactions) -> None:
    if issubclass(kind, (kafka_errors.NoError, kafka_errors.DuplicateSequenceNumber)):
        transactions.stored(lane.place, lane.under_way)
        lane.done += lane.under_way
    elif issubclass(kind, REFUSES_RECORD) and lane.under_way == 1:
        # The transaction is lost by it, and goes on to find all the others like it.
        lane.refused[lane.rows[lane.done].id] = kind.__name__
        lane.done += 1
    else:
        lane.too_much = issubclass(kind, REFUSES_RECORD)
        lane.error = kind()
    lane.under_way = 0


def _fill(lane: Lane, transactions: Transactions) -> bytes:
    """The next batch of the lane, of as many rows as fit; sent again, it has the same ones."""
    producer = transactions.producer
    batch = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=1, producer_id=producer.id,
        producer_epoch=producer.epoch, base_sequence=transactions.sequence(lane.place),
        # The rows of a batch that is sent again may take some bytes more: the time is a new one.
        batch_size=2 * BATCH_BYTES if lane.under_way else BATCH_BYTES,
    )  # fmt: skip
    most = lane.under_way or (1 if lane.one_by_one else lane.left)
    taken = 0
    for row in lane.rows[lane.done : lane.done + most]:
        headers = unpack_headers(row.headers)
        # Stamped now, as in delivery at least once: retention counts from it.
        if batch.append(taken, None, row.key, row.value, headers) is None:
            break
        taken += 1
    lane.under_way = taken
    return bytes(batch.build())
