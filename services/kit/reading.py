"""One consumer's reading: places, polls, batches, and what is done when one of them fails.

Of each partition, polling, placing and taking happen in turn; while some partitions are in hand
(services.kit.hands), others are polled. `assigned` and `revoked` come from elsewhere (the
consumer's coordinator), between two awaits; they never wait.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from random import uniform
from typing import Any, Protocol, TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError

from services.kit.chain import Chain, Stretch
from services.kit.cloudevents import Record, Source
from services.kit.commits import Commits
from services.kit.database import is_away
from services.kit.errors import BrokerAway, ServiceMustStop
from services.kit.hands import Hands
from services.kit.placement import source_cluster
from services.kit.placing import Place, Placer, committed_offsets
from services.kit.splitting import Batch, Slice
from services.kit.taking import Taken, Taker
from services.kit.tuning import Tuning

log = structlog.get_logger()

_COMPARE_SECONDS = 5.0
# A poll returns as soon as there is a record. After an empty one FastStream sleeps, which costs the
# next record milliseconds: so empty ones are rare, unless something waits to be placed.
_IDLE_POLL_MS = 200
# While a batch is in hand its partitions are not polled: whichever comes first, a record of
# another one or its end, is met within this.
_BUSY_POLL_SECONDS = 0.005
# A batch costs many times what a record in it does.
_FEW_RECORDS = 50


Polled: TypeAlias = dict[TopicPartition, list[ConsumerRecord]]


class GetMany(Protocol):
    """The consumer's own `getmany`."""

    async def __call__(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int | None
    ) -> Polled:
        """Returns what was fetched of these (none: of all) and moves the positions behind it."""


async def _in_turn(
    getmany: GetMany, partitions: Iterable[TopicPartition], max_records: int | None
) -> Polled:
    """What was fetched of the first of these of which something was; a few with those of others.

    Much of one partition is a batch by itself, so that the others are free for the next one.
    """
    polled: Polled = {}
    count = 0
    for partition in partitions:
        room = None if max_records is None else max_records - count
        polled.update(await getmany(partition, timeout_ms=0, max_records=room))
        count = sum(map(len, polled.values()))
        if count >= min(_FEW_RECORDS, max_records or _FEW_RECORDS):
            break
    return polled


class Reader:
    """Reads the assigned partitions of one consumer from their marks on."""

    def __init__(self, placer: Placer, taker: Taker, commits: Commits, tuning: Tuning) -> None:
        self._placer = placer
        self._taker = taker
        self._commits = commits
        self._tuning = tuning
        self._chain: Chain[TopicPartition] = Chain()
        self._places: dict[TopicPartition, Place] = {}
        self._uncompared: set[TopicPartition] = set()
        self._consumer: AIOKafkaConsumer | None = None
        self._generation = 0
        self._failures = 0
        self._not_before = 0.0
        self._hands = Hands()
        self._turns: dict[TopicPartition, int] = {}
        self._stopping = asyncio.Event()
        self.waiting: set[TopicPartition] = set()
        self.refused: set[TopicPartition] = set()
        self.placed_at: float | None = None
        self.polled_at = time.monotonic()
        self.trouble: str | None = None
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # What the consumer's coordinator tells.

    def assigned(self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> None:
        """Takes an assignment. Waits for nothing: the group's heartbeats stand still meanwhile.

        Without a position the consumer would look for the group's offset and fail (there is no
        reset), so each partition is paused and set somewhere, until its place is known.
        """
        self._consumer = consumer
        self._generation += 1
        consumer.pause(*partitions)
        for partition in partitions:
            consumer.seek(partition, 0)
        self._chain.forget(self._chain.partitions())
        self.waiting = set(partitions)
        self._uncompared = set(partitions)
        self._turns.clear()
        self._not_before = 0.0
        if not partitions:
            self.placed_at = time.monotonic()

    def revoked(self) -> None:
        """All partitions are taken away. The batch in hand goes on: the marks guard it."""
        self._generation += 1
        self._chain.forget(self._chain.partitions())
        self._commits.forget()
        self.waiting.clear()
        self.refused.clear()

    # What others look at.

    @property
    def cluster_id(self) -> str | None:
        """The cluster that is read, once a partition was placed."""
        return self._placer.cluster_id

    def partitions(self) -> set[TopicPartition]:
        """All assigned partitions."""
        return self.waiting | set(self._chain.partitions())

    def processed(self, partition: TopicPartition) -> int | None:
        """How far this reader knows the partition to be processed; None while it is not placed."""
        stretch = self._chain.stretch(partition)
        if stretch is None:
            return None
        return stretch.covered_from if partition in self._hands.held else stretch.end

    def place_anew(self, partitions: Iterable[TopicPartition]) -> None:
        """Nothing more is taken of these before their marks were read again."""
        for partition in list(partitions):
            self._chain.forget([partition])
            if self._consumer is None or partition not in self._consumer.assignment():
                continue
            self.waiting.add(partition)
            self._consumer.pause(partition)

    def fail(self, error: ServiceMustStop) -> None:
        """Ends the reading; whoever waits on `failure` gets the error."""
        self._stopping.set()
        if not self.failure.done():
            self.failure.set_exception(error)
            # Looked at once, so that a service that ends otherwise hears no complaint about it.
            self.failure.exception()

    async def drain(self, seconds: float) -> None:
        """Takes nothing new, waits for the batches in hand as long as that, and cuts them off."""
        self._stopping.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hands.empty()
        await self._hands.drop()

    # The loop's two halves.

    async def poll(self, getmany: GetMany, *, timeout_ms: int, max_records: int | None) -> Polled:
        """One link of the chain: places what waits, then polls, and watches the positions."""
        await self._back_off()
        if self._stopping.is_set():
            await asyncio.sleep(timeout_ms / 1000)
            return {}
        await self._hands.free()
        await self._place_waiting()
        if self._chain.partitions() and not self.waiting:
            timeout_ms = max(timeout_ms, _IDLE_POLL_MS)
        while self._hands:
            # What was just taken in hand begins before the others are looked at.
            await asyncio.sleep(0)
            polled = await self._poll(partial(_in_turn, getmany, self._free(), max_records))
            if polled:
                return polled
            if self._not_before > time.monotonic() or self._stopping.is_set():
                return {}
            await self._hands.moved(_BUSY_POLL_SECONDS)
            await self._place_waiting()
        return await self._poll(partial(getmany, timeout_ms=timeout_ms, max_records=max_records))

    def _free(self) -> list[TopicPartition]:
        """The partitions in no hand, who was in one longest ago first.

        The consumer itself hands out one partition again and again, while it has records of it.
        """
        held = self._hands.held
        free = [each for each in self._chain.partitions() if each not in held]
        return sorted(free, key=lambda each: self._turns.get(each, 0))

    async def _poll(self, polling: Callable[[], Awaitable[Polled]]) -> Polled:
        before = await self._positions()
        try:
            polled = await polling()
        except KafkaError as error:
            self._chain.failed()
            self.place_anew(self._chain.broken())
            self._met("the broker did not deliver", error)
            return {}
        except (ConsumerStoppedError, asyncio.CancelledError):
            self._chain.failed()
            raise
        self._chain.polled(before, await self._positions())
        broken = self._chain.broken()
        if broken:
            self.place_anew(broken)
            ours = [each for each in broken if each in self.waiting]
            # Otherwise they were taken away, and the coordinator has not said so yet.
            if ours:
                log.warning("the chain of polls broke; reading from the marks", partitions=ours)
        self.polled_at = time.monotonic()
        if not self.waiting:
            self._failures, self.trouble = 0, None
        return polled

    async def take(self, raw: Sequence[ConsumerRecord]) -> None:
        """Takes what the latest poll returned in hand, and returns before it is done."""
        if self._stopping.is_set():
            return
        batch, stretches = self._batch(raw)
        if batch:
            self._turns.update(dict.fromkeys(stretches, max(self._turns.values(), default=0) + 1))
            self._hands.take(stretches, self._take(batch, stretches))

    async def idle(self) -> None:
        """Returns when no batch is in hand."""
        await self._hands.empty()

    async def _take(self, batch: Batch, stretches: dict[TopicPartition, Stretch]) -> None:
        """Whatever fails, the marks decide what comes next."""
        try:
            self._settle(await self._taker.take(batch), stretches)
        except ServiceMustStop as error:
            self.place_anew(stretches)
            self.fail(error)
        except asyncio.CancelledError:
            self.place_anew(stretches)
            raise
        except Exception as error:  # noqa: BLE001 — the stream loop
            self.place_anew(stretches)
            if is_away(error):
                self._met("the database is away", error)
            else:
                self.fail(ServiceMustStop(f"reading failed in an unforeseen way: {error!r}"))

    def _batch(self, raw: Sequence[ConsumerRecord]) -> tuple[Batch, dict[TopicPartition, Stretch]]:
        slices: list[Slice] = []
        stretches: dict[TopicPartition, Stretch] = {}
        for key, group in groupby(raw, lambda each: (each.topic, each.partition)):
            partition, records = TopicPartition(*key), list(group)
            stretch, place = self._chain.stretch(partition), self._places.get(partition)
            if (
                stretch is None
                or place is None
                or not stretch.holds(records[0].offset, records[-1].offset)
            ):
                self.place_anew([partition])
                continue
            stretches[partition] = stretch
            source = source_cluster(place.cluster_id, place.lineage)
            slices.append(
                Slice(
                    place.cluster_id,
                    place.lineage,
                    partition,
                    stretch.covered_from,
                    stretch.end,
                    [_record(source, each) for each in records],
                )
            )
        return tuple(sorted(slices, key=lambda part: part.partition)), stretches

    def _settle(self, taken: Taken, stretches: dict[TopicPartition, Stretch]) -> None:
        self._failures, self.trouble = 0, None
        for partition, stretch in stretches.items():
            if partition in taken.refused:
                self._placer.tell_went_back(
                    partition, taken.refused[partition], stretch.covered_from
                )
            elif partition in taken.marks:
                stretch.covered_from = taken.marks[partition]
        self._commits.note(taken.marks)
        self.place_anew(taken.refused)

    # Placing.

    async def _place_waiting(self) -> None:
        if not self.waiting or self._consumer is None or time.monotonic() < self._not_before:
            return
        generation, consumer = self._generation, self._consumer
        # What is in hand moves its marks: of a partition only one thing happens at a time.
        wanted = sorted(self.waiting - self._hands.held)
        if not wanted:
            return
        try:
            committed = await self._committed(consumer)
            places = await self._placer.place(wanted, committed)
        except BrokerAway as error:
            self._met("the broker is away", error)
            return
        except Exception as error:  # noqa: BLE001 — the stream loop; raised, it would start again
            if is_away(error):
                self._met("the database is away", error)
            else:
                self.fail(ServiceMustStop(f"the marks cannot be read: {error!r}"))
            return
        if generation != self._generation:
            return
        self._failures, self.trouble = 0, None
        self._uncompared.clear()
        with suppress(IllegalStateError):
            self._go_to(consumer, places)
        self.placed_at = time.monotonic()
        if self.waiting:
            self._not_before = time.monotonic() + self._tuning.recheck

    def _go_to(self, consumer: AIOKafkaConsumer, places: Sequence[Place]) -> None:
        for place in places:
            partition = place.partition
            if place.verdict != "go-on":
                self.refused.add(partition)
                continue
            consumer.seek(partition, place.offset)
            self._places[partition] = place
            self._chain.begin(partition, place.offset)
            self.waiting.discard(partition)
            self.refused.discard(partition)
            consumer.resume(partition)
        of_another_cluster = [
            partition
            for partition in self._chain.partitions()
            if self._places[partition].cluster_id != self._placer.cluster_id
        ]
        self.place_anew(of_another_cluster)

    async def _committed(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        if not self._uncompared:
            return {}
        try:
            return await committed_offsets(consumer, self._uncompared, _COMPARE_SECONDS)
        except (KafkaError, TimeoutError) as error:
            log.warning("the group's offsets could not be compared", error=repr(error))
            return {}

    async def _positions(self) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = {}
        if self._consumer is not None:
            for partition in self._chain.partitions():
                # Taken away while the coordinator has not said so yet.
                with suppress(IllegalStateError):
                    found[partition] = await self._consumer.position(partition)
        return found

    # Backing off.

    def _met(self, trouble: str, error: BaseException) -> None:
        self._failures += 1
        longest = min(self._tuning.max_backoff, 0.1 * 2 ** min(self._failures, 10))
        self._not_before = time.monotonic() + uniform(longest / 2, longest)  # noqa: S311
        if self.trouble is None:
            log.warning(trouble, error=repr(error))
        self.trouble = f"{trouble}: {type(error).__name__}"

    async def _back_off(self) -> None:
        seconds = self._not_before - time.monotonic()
        if self.trouble is not None and seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()


def _record(cluster_id: str, raw: Any) -> Record:
    source = Source(cluster_id, raw.topic, raw.partition, raw.offset)
    return Record(source, raw.key, raw.value, raw.headers, raw.timestamp)
