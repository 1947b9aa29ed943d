"""One shard's transactions: Kafka's own requests, one after the other, none repeated beneath them.

aiokafka's producer takes a transaction for aborted that it did not abort, commits one of which it
lost a record, and bounds none of it in time. Here whatever goes wrong ends in one way: a new epoch
is asked for under the same transactional id. That ends what was open, and bars whoever had the id
before: then the number in Kafka says what was committed, and stands still.

Nothing here ends by itself while a broker only puts off: callers bound it in time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, TypeVar, cast

from aiokafka import errors as kafka_errors
from aiokafka.client import CoordinationType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from schemas.topics import RELAY
from services.kit.errors import BrokerAway
from services.relay.batching import PASS_PAUSE_SECONDS, PASSES
from services.relay.numbering import Place, Producer
from services.relay.wire import Answers, Batches, Wire

# The broker ends by itself what was begun so long ago: until then it holds back every reader of the
# topics concerned, so a relay that is gone must not hold them for long.
TIMEOUT_MS = 20_000

_PARTITION = 0
_MISSING = -1
_OK, _UNKNOWN_TOPIC, _UNSTABLE = 0, 3, 88
_LOADING, _NOT_AVAILABLE, _MOVED, _BUSY = 14, 15, 16, 51
_OTHER_COORDINATOR = {_NOT_AVAILABLE, _MOVED}
# Busy: the markers of the transaction before are still being written, a matter of milliseconds.
_PUTS_OFF = {_LOADING, _BUSY, _UNSTABLE, *_OTHER_COORDINATOR}
# An epoch that is old by now; the second code is the newer brokers' word for it.
_BARRED = {47, 90}
_NOT_ATTEMPTED = 55
# Missing, no topic's name, forbidden: of the topic alone, and not of the transaction.
_OF_TOPIC = {_UNKNOWN_TOPIC, 17, 29}
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.001, 0.01


S = TypeVar("S")
T = TypeVar("T")


class Fenced(BrokerAway):
    """Another relay has begun to publish this shard."""


class _StableOffsetsResponse(Response):  # type: ignore[misc]
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class _StableOffsetsStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 9
    API_VERSION = 7
    RESPONSE_TYPE = _StableOffsetsResponse
    SCHEMA = Schema(
        ("group", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("partitions", CompactArray(Int32)),
                ("tags", TaggedFields),
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class _StableOffsets(Request[_StableOffsetsStruct]):  # type: ignore[misc]
    """The group's offset, when no transaction that moves it is under way any more.

    aiokafka's newest version of the request cannot ask for that, and may be told the old offset
    although the transaction is committed: its marker is still on its way.
    """

    API_KEY = 9

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[_StableOffsetsStruct]) -> _StableOffsetsStruct:
        return request_struct_class(self._group, [(RELAY, [_PARTITION], {})], True, {})


class Transactions:
    """The transactions under one transactional id, `name`; the number's group has the same name.

    Not for concurrent use. Each method raises Fenced when another owner has taken the name,
    KafkaError, OSError or TimeoutError when nothing certain can be said: then `begin` again.
    """

    def __init__(self, wire: Wire, name: str, cluster: str, line: int) -> None:
        self.name = name
        self._wire = wire
        self._cluster = cluster
        self._line = line
        self._producer = Producer(-1, -1)
        self._sequences: dict[Place, int] = {}
        self._coordinators: dict[CoordinationType, int] = {}

    @property
    def producer(self) -> Producer:
        """What the broker gave out for this epoch."""
        return self._producer

    async def begin(self) -> None:
        """Take the name: end what is open under it, and bar whoever had it before."""
        self._wire.hang_up(self._line)
        self._coordinators.clear()
        request = InitProducerIdRequest(self.name, TIMEOUT_MS)
        answer, code = await self._ask(
            CoordinationType.TRANSACTION, request, lambda answer: [answer.error_code]
        )
        _check(code)
        self._producer = Producer(answer.producer_id, answer.producer_epoch)
        self._sequences.clear()

    async def number(self) -> int | None:
        """The number last committed; None where there is none."""
        answer, code = await self._ask(
            CoordinationType.GROUP, _StableOffsets(self.name), _codes_of_offsets
        )
        _check(code)
        for _, partitions, _ in answer.topics:
            for _, offset, *_ in partitions:
                return None if offset == _MISSING else int(offset)
        return None

    async def add(self, places: Collection[Place]) -> dict[Place, type[kafka_errors.KafkaError]]:
        """Make partitions and the number's group part of the transaction; why any cannot be.

        Where any cannot be, none is.
        """
        topics: dict[str, list[int]] = {}
        for topic, partition in places:
            topics.setdefault(topic, []).append(partition)
        name, epoch = self.name, (self._producer.id, self._producer.epoch)
        group = AddOffsetsToTxnRequest(name, *epoch, name)
        if not places:
            await self._ask_for_group(group)
            return {}
        request = AddPartitionsToTxnRequest(name, *epoch, list(topics.items()))
        # One behind the other on one connection: no round trip more.
        (answer, code), _ = await both(
            self._ask(CoordinationType.TRANSACTION, request, _codes_of_errors),
            self._ask_for_group(group),
        )
        for _ in range(PASSES - 1):
            # A topic that was just made is not known everywhere at once.
            if code != _UNKNOWN_TOPIC:
                break
            await asyncio.sleep(PASS_PAUSE_SECONDS)
            answer, code = await self._ask(CoordinationType.TRANSACTION, request, _codes_of_errors)
        refused: dict[Place, type[kafka_errors.KafkaError]] = {}
        for topic, partitions in answer.errors:
            for partition, each in partitions:
                if each in _OF_TOPIC:
                    refused[topic, partition] = kafka_errors.for_code(each)
                elif each != _NOT_ATTEMPTED:
                    _check(each)
        return refused

    async def produce(self, node: int, batches: Batches) -> Answers:
        """Send one batch for each of some partitions of the transaction; see Wire.produce."""
        await self._wire.ready_on(node, self._line)
        return await self._wire.produce_within(self.name, node, batches, self._cluster, self._line)

    def sequence(self, place: Place) -> int:
        """The number of the partition's next record in this epoch."""
        return self._sequences.get(place, 0)

    def stored(self, place: Place, records: int) -> None:
        """The broker has so many records more of the partition."""
        self._sequences[place] = self.sequence(place) + records & 0x7FFFFFFF

    async def mark(self, number: int) -> None:
        """Make `number` the one that is committed when the transaction is."""
        producer = self._producer
        request = TxnOffsetCommitRequest(
            self.name, self.name, producer.id, producer.epoch, [(RELAY, [(_PARTITION, number, "")])]
        )
        _, code = await self._ask(CoordinationType.GROUP, request, _codes_of_errors)
        _check(code)

    async def commit(self) -> None:
        """Commit. When this returns everything in it will be seen, and nothing twice."""
        producer = self._producer
        request = EndTxnRequest(self.name, producer.id, producer.epoch, True)
        _, code = await self._ask(
            CoordinationType.TRANSACTION, request, lambda answer: [answer.error_code]
        )
        _check(code)

    async def _ask_for_group(self, request: AddOffsetsToTxnRequest) -> None:
        _, code = await self._ask(
            CoordinationType.TRANSACTION, request, lambda answer: [answer.error_code]
        )
        _check(code)

    async def _ask(
        self,
        kind: CoordinationType,
        request: Request[Any],
        codes: Callable[[Any], Iterable[int]],
    ) -> tuple[Any, int]:
        """The coordinator's answer and its first code that is none of success."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                node = await self._coordinator(kind)
            except (
                kafka_errors.GroupCoordinatorNotAvailableError,
                kafka_errors.GroupLoadInProgressError,
            ):
                code = _NOT_AVAILABLE
            else:
                await self._wire.ready_on(node, self._line)
                answer = await self._wire.ask(node, request, self._cluster, line=self._line)
                found = {each for each in codes(answer) if each != _OK}
                if not found & _PUTS_OFF:
                    return answer, min(found - {_NOT_ATTEMPTED}, default=_OK)
                code = min(found & _PUTS_OFF)
            if code in _OTHER_COORDINATOR:
                self._coordinators.pop(kind, None)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _coordinator(self, kind: CoordinationType) -> int:
        if kind not in self._coordinators:
            self._coordinators[kind] = await self._wire.coordinator(kind, self.name)
        return self._coordinators[kind]


async def both(first: Awaitable[S], second: Awaitable[T]) -> tuple[S, T]:
    """Run both to their ends, side by side; then raise what the first that failed raised."""
    told = await asyncio.gather(first, second, return_exceptions=True)
    for each in told:
        if isinstance(each, BaseException):
            raise each
    return cast("tuple[S, T]", tuple(told))


def _codes_of_offsets(answer: Any) -> list[int]:
    within = [part[4] for _, partitions, _ in answer.topics for part in partitions]
    return [answer.error_code, *within]


def _codes_of_errors(answer: Any) -> list[int]:
    return [code for _, partitions in answer.errors for _, code in partitions]


def _check(code: int) -> None:
    if code in _BARRED:
        raise Fenced
    if code != _OK:
        raise kafka_errors.for_code(code)
