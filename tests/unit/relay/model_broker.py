"""A broker of one node with transactions, as the protocol has them, and a network that fails."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.client import CoordinationType
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)
from aiokafka.record.memory_records import MemoryRecords

from schemas.topics import RELAY
from services.relay.numbering import Place, Producer
from services.relay.wire import Answers, Batches, Wire

OLD_EPOCH, UNKNOWN_TOPIC, FORBIDDEN, NO_TRANSACTION = 47, 3, 29, 48
TOO_LARGE, OUT_OF_ORDER, KNOWN = 10, 45, 46
# What happens to a request: it never arrives, or its answer never does.
LOST, UNHEARD = "lost", "unheard"


@dataclass
class Name:
    """What the broker keeps of a transactional id."""

    epoch: int = -1
    places: set[Place] = field(default_factory=set)
    in_group: bool = False
    records: list[tuple[Place, bytes]] = field(default_factory=list)
    number: int | None = None
    sequences: dict[Place, int] = field(default_factory=dict)

    def forget(self) -> None:
        """End the transaction without a trace."""
        self.places, self.in_group, self.records, self.number = set(), False, [], None


class ModelBroker(Wire):
    """The Wire to it; `fault` says by request kind what happens to it (None: nothing)."""

    def __init__(self, topics: Iterable[str]) -> None:
        super().__init__({})
        self.topics = {RELAY, *topics}
        self.forbidden: set[str] = set()
        self.limit = 1 << 20
        self.committed: list[tuple[Place, bytes]] = []
        self.numbers: dict[str, int] = {}
        self.fault: Callable[[str], str | None] = lambda _: None
        self.requests: list[str] = []
        self._names: dict[str, Name] = {}

    async def start(self) -> None:
        return

    async def stop(self) -> None:
        return

    async def refresh(self) -> None:
        return

    async def producer(self) -> tuple[str | None, Producer | None]:
        return "cluster", Producer(1, 0)

    async def ready_on(self, node: int, line: int) -> None:
        return

    async def coordinator(self, kind: CoordinationType, key: str) -> int:
        return 1

    def hang_up(self, line: int) -> None:
        return

    def partitions(self, topic: str) -> list[int]:
        return [0] if topic in self.topics else []

    def leader(self, topic: str, partition: int) -> int | None:
        return 1 if topic in self.topics else None

    async def produce_within(
        self, transactional_id: str, node: int, batches: Batches, cluster: str, line: int
    ) -> Answers:
        answers: Answers = await self._through(
            "Produce",
            lambda: {
                place: kafka_errors.for_code(self._produce(transactional_id, place, raw))
                for place, raw in batches.items()
            },
        )
        return answers

    async def ask(
        self, node: int, request: Any, cluster: str | None = None, *, line: int = 0
    ) -> Any:
        struct = request.build(type(request)._CLASSES[0])
        handle = {
            InitProducerIdRequest: self._begin,
            AddPartitionsToTxnRequest: self._add,
            AddOffsetsToTxnRequest: self._add_group,
            TxnOffsetCommitRequest: self._mark,
            EndTxnRequest: self._end,
        }.get(type(request), self._number)
        return await self._through(type(request).__name__, lambda: handle(struct))

    async def _through(self, kind: str, handle: Callable[[], Any]) -> Any:
        self.requests.append(kind)
        fault = self.fault(kind)
        if fault == LOST:
            raise kafka_errors.KafkaConnectionError
        answer = handle()
        if fault == UNHEARD:
            raise kafka_errors.KafkaConnectionError
        return answer

    def _begin(self, asked: Any) -> Any:
        name = self._names.setdefault(asked.transactional_id, Name())
        name.forget()
        name.epoch += 1
        name.sequences.clear()
        return SimpleNamespace(error_code=0, producer_id=7, producer_epoch=name.epoch)

    def _add(self, asked: Any) -> Any:
        name = self._names[asked.transactional_id]
        places = {(topic, number) for topic, numbers in asked.topics for number in numbers}
        codes = {place: self._code_of(place, name, asked.producer_epoch) for place in places}
        if not any(codes.values()):
            name.places |= places
        return SimpleNamespace(
            errors=[(topic, [(number, code)]) for (topic, number), code in codes.items()]
        )

    def _code_of(self, place: Place, name: Name, epoch: int) -> int:
        if epoch != name.epoch:
            return OLD_EPOCH
        if place[0] not in self.topics:
            return UNKNOWN_TOPIC
        return FORBIDDEN if place[0] in self.forbidden else 0

    def _add_group(self, asked: Any) -> Any:
        name = self._names[asked.transactional_id]
        old = asked.producer_epoch != name.epoch
        name.in_group = name.in_group or not old
        return SimpleNamespace(error_code=OLD_EPOCH if old else 0)

    def _mark(self, asked: Any) -> Any:
        name = self._names[asked.transactional_id]
        [(topic, [(partition, number, _)])] = asked.topics
        code = OLD_EPOCH if asked.producer_epoch != name.epoch else 0
        if not (code or name.in_group):
            code = NO_TRANSACTION
        if not code:
            name.number = number
        return SimpleNamespace(errors=[(topic, [(partition, code)])])

    def _end(self, asked: Any) -> Any:
        name = self._names[asked.transactional_id]
        if asked.producer_epoch != name.epoch:
            return SimpleNamespace(error_code=OLD_EPOCH)
        assert asked.transaction_result
        self.committed += name.records
        if name.number is not None:
            self.numbers[asked.transactional_id] = name.number
        name.forget()
        return SimpleNamespace(error_code=0)

    def _number(self, asked: Any) -> Any:
        offset = self.numbers.get(asked.group, -1)
        return SimpleNamespace(error_code=0, topics=[(RELAY, [(0, offset, -1, "", 0, {})], {})])

    def _produce(self, transactional_id: str, place: Place, raw: bytes) -> int:
        name, batch = self._names[transactional_id], MemoryRecords(raw).next_batch()
        records = [record.value for record in batch]
        if batch.producer_epoch != name.epoch:
            return OLD_EPOCH
        if place not in name.places:
            return NO_TRANSACTION
        if len(raw) > self.limit:
            return TOO_LARGE
        known = name.sequences.get(place, 0)
        if batch.base_sequence + len(records) == known:
            return KNOWN
        if batch.base_sequence != known:
            return OUT_OF_ORDER
        name.sequences[place] = known + len(records)
        name.records += [(place, value) for value in records]
        return 0
