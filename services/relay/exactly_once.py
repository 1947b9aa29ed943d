"""Delivery exactly once: each shard's rows in a Kafka transaction, which also commits a number.

The batch is stored with its number before it is published, so whatever dies in between, the two
numbers say whether it went out (services/relay/batches.py). Whatever goes wrong in a transaction
ends in a new epoch, which makes that certain, too, before anything is composed anew.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import errors as kafka_errors

from schemas.topics import RELAY
from services.kit.errors import BrokerAway, ServiceMustStop, SettingsInvalid
from services.kit.metrics import POSITION_JUMPS_TOTAL
from services.relay import batches
from services.relay.batches import Fate, Left
from services.relay.batching import CLOSES_TOPIC
from services.relay.delivery import Outcome
from services.relay.numbering import Place
from services.relay.rows import Row
from services.relay.sending import Lane, compose, send
from services.relay.session import LockSession
from services.relay.transactions import Fenced, Transactions, both
from services.relay.wire import Wire

# Less than what the broker gives a transaction, and than what a process has for its end.
TRANSACTION_SECONDS = 8.0
# To become certain after a doubt, or when a shard is taken over.
CERTAINTY_SECONDS = 10.0
# A number that nothing is committed to for days is forgotten by the broker (a week, unless told
# otherwise). Before rows go out it is never older than this.
NUMBER_SECONDS = 3600.0
NO_TRANSACTIONS = (
    "CROSSROADS_DELIVERY is exactly-once, which this broker cannot do: it has no transactions. "
    "Apache Kafka has; at-least-once works with any."
)
_ATTEMPTS = 3
# Said of the epoch, and never a topic's fault.
_OF_EPOCH = (
    kafka_errors.OutOfOrderSequenceNumber,
    kafka_errors.UnknownProducerId,
    kafka_errors.InvalidProducerIdMapping,
    kafka_errors.InvalidTxnState,
    kafka_errors.ConcurrentTransactions,
)
_DOUBT = (kafka_errors.KafkaError, OSError, TimeoutError)

log = structlog.get_logger()


@dataclass(slots=True)
class _Shard:
    """What is known of a shard that is owned."""

    number: int
    transactions: Transactions
    # Of the number in Kafka: which, and when it was committed last.
    committed: int
    committed_at: float


@dataclass(slots=True)
class _Batch:
    """One shard's rows of a wave, by partition; `problem` is what kept it from being committed."""

    shard: int
    number: int
    lanes: list[Lane]
    went_out: bool = False
    problem: BaseException | None = None

    @property
    def row_ids(self) -> list[int]:
        return sorted(row.id for lane in self.lanes for row in lane.rows)


@dataclass(slots=True)
class _Attempt:
    """What one attempt on some rows came to, and which shards' rows may be tried again at once."""

    outcome: Outcome
    again: set[int] = field(default_factory=set)


class ExactlyOnce:
    """A Delivery over its own connections, opened with `arguments` (address and security).

    `deployment` is part of every transactional id: two hubs with one name would bar each other.
    """

    results_ride_along = True

    def __init__(self, arguments: dict[str, Any], deployment: str) -> None:
        self._wire = Wire(arguments)
        self._deployment = deployment
        self._cluster = ""
        self._session: LockSession | None = None
        self._shards: dict[int, _Shard] = {}
        # Partitions that refused a batch of several records: one at a time, to find which.
        self._one_by_one: set[Place] = set()

    async def start(self) -> None:
        """Connect. Raises BrokerAway; SettingsInvalid where the broker has no transactions."""
        self._shards.clear()
        self._one_by_one.clear()
        await self._wire.start()
        cluster, producer = await self._wire.producer()
        if producer is None:
            raise SettingsInvalid([NO_TRANSACTIONS])
        if cluster is None:
            raise BrokerAway("The broker does not tell a cluster id.")
        self._cluster = cluster

    async def stop(self) -> None:
        """Disconnect; what is under way is ended by the next owner, or by the broker in time."""
        await self._wire.stop()

    async def answers(self, topic: str) -> bool:
        """See Delivery."""
        return await self._wire.has(topic)

    async def broker_there(self) -> bool:
        """See Delivery."""
        return await self._wire.there()

    async def take_over(self, session: LockSession, shards: Sequence[int]) -> None:
        """See Delivery: bar the former owners, and find out what became of their last batches."""
        self._session = session
        await self._wire.refresh()
        if not self._wire.partitions(RELAY):
            raise BrokerAway(f"The topic {RELAY} is not there: crossroads topics apply makes it.")
        # First, because it shows that the shards are owned: whoever lost them while it stood still
        # must not bar the new owner.
        async with session.use() as connection:
            left = await batches.left_behind(connection, shards)
        try:
            async with asyncio.timeout(CERTAINTY_SECONDS):
                found = await asyncio.gather(*(self._barred(shard) for shard in shards))
        except _DOUBT as error:
            raise BrokerAway(f"No transactional id for shards {shards}: {error!r}") from error
        for shard, (transactions, committed) in zip(shards, found, strict=True):
            self._shards[shard] = await self._resolved(
                shard, transactions, left.get(shard), committed
            )

    async def publish(self, rows: Sequence[Row]) -> Outcome:
        """See Delivery: a transaction for each shard, all of them side by side."""
        outcome, left = Outcome(), rows
        for _ in range(_ATTEMPTS):
            attempt = await self._attempt(left)
            outcome.acknowledged |= attempt.outcome.acknowledged
            outcome.refused |= attempt.outcome.refused
            outcome.closed |= attempt.outcome.closed
            left = [row for row in left if row.shard in attempt.again]
            if not left:
                break
        return outcome

    async def _barred(self, shard: int) -> tuple[Transactions, int | None]:
        # A line of its own for each shard; 0 is for looking around.
        name = f"{self._deployment}.relay.{shard}"
        transactions = Transactions(self._wire, name, self._cluster, line=shard + 1)
        await transactions.begin()
        return transactions, await transactions.number()

    async def _resolved(
        self, shard: int, transactions: Transactions, left: Left | None, committed: int | None
    ) -> _Shard:
        """The shard, with whatever its former owner left settled."""
        verdict = batches.judge(left, committed, self._cluster)
        if verdict.fate is Fate.UNKNOWN:
            raise ServiceMustStop(_unknown(shard, left, self._cluster, transactions.name))
        if left is not None and verdict.fate is not Fate.NONE_LEFT:
            log.info(
                "relay.batch_left_behind", shard=shard, fate=verdict.fate.value,
                number=left.number, committed=committed, rows=len(left.row_ids),
            )  # fmt: skip
        async with self._lock_session().use() as connection:
            if left is not None and verdict.fate is Fate.WENT_OUT:
                await batches.finish(connection, left.row_ids)
            if verdict.went_back:
                POSITION_JUMPS_TOTAL.labels("relay", "database-went-back").inc()
                log.error(
                    "relay.database_went_back", shard=shard, committed=committed,
                    stored=None if left is None else left.number,
                    meaning="Kafka has batches that this database does not know: it lost "
                    "transactions, or is another one. What it still holds is published, also "
                    "where that was done before: tell the readers that records may repeat.",
                )  # fmt: skip
                await batches.store(connection, {shard: (verdict.number, ())}, self._cluster)
            elif verdict.fate is Fate.NOT_SENT:
                await batches.drop(connection, [shard])
        if committed is None:
            # Before the first batch is stored: a number that is missing is then a loss.
            try:
                async with asyncio.timeout(TRANSACTION_SECONDS):
                    await _commit_number(transactions, verdict.number)
            except _DOUBT as error:
                raise BrokerAway(f"No first number for shard {shard}: {error!r}") from error
            return _Shard(verdict.number, transactions, verdict.number, time.monotonic())
        # One that was found may be about to be forgotten.
        return _Shard(verdict.number, transactions, committed, -math.inf)

    async def _attempt(self, rows: Sequence[Row]) -> _Attempt:
        """Store the rows' batches and publish each in a transaction; afterwards all is certain."""
        outcome = Outcome()
        by_shard: dict[int, list[Row]] = {}
        for row in rows:
            by_shard.setdefault(row.shard, []).append(row)
        found: list[_Batch] = []
        for shard, its_rows in by_shard.items():
            state = self._shards[shard]
            lanes = await compose(self._wire, its_rows, self._one_by_one, outcome)
            if lanes:
                state.number += 1
                found.append(_Batch(shard, state.number, lanes))
        if not found:
            return _Attempt(outcome)
        await asyncio.gather(*(self._keep_number(batch.shard) for batch in found))
        async with self._lock_session().use() as connection:
            stored = {batch.shard: (batch.number, batch.row_ids) for batch in found}
            await batches.store(connection, stored, self._cluster)
        await _all(self._transact(batch) for batch in found)
        unsent = [batch for batch in found if not batch.went_out]
        if unsent:
            async with self._lock_session().use() as connection:
                await batches.drop(connection, [batch.shard for batch in unsent])
        attempt = _Attempt(outcome)
        for batch in found:
            if batch.went_out:
                outcome.acknowledged.update(batch.row_ids)
                self._one_by_one.difference_update(lane.place for lane in batch.lanes)
            elif not self._judge(batch, outcome):
                attempt.again.add(batch.shard)
        return attempt

    async def _transact(self, batch: _Batch) -> None:
        """Publish a batch, and know in the end whether it went out."""
        state = self._shards[batch.shard]
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS):
                await self._published(batch, state.transactions)
        except Fenced:
            log.error(  # noqa: TRY400 - where it was met says nothing
                "relay.fenced", shard=batch.shard, transactional_id=state.transactions.name,
                meaning="Another relay publishes this shard. Once is a takeover; again and again "
                "it is another deployment with the same CROSSROADS_DEPLOYMENT.",
            )  # fmt: skip
            raise
        except (*_DOUBT, BrokerAway, _NotAll) as error:
            batch.problem = error
            batch.went_out = await self._settled(batch, state.transactions)
            log.warning(
                "relay.transaction_failed", shard=batch.shard, number=batch.number,
                error=repr(error), went_out=batch.went_out,
            )  # fmt: skip
        else:
            batch.went_out = True
        if batch.went_out:
            state.committed, state.committed_at = batch.number, time.monotonic()

    async def _published(self, batch: _Batch, transactions: Transactions) -> None:
        refused = await transactions.add([lane.place for lane in batch.lanes])
        for lane in batch.lanes:
            if lane.place in refused:
                lane.error = refused[lane.place]()
        if not refused:
            await both(transactions.mark(batch.number), send(self._wire, transactions, batch.lanes))
        if any(lane.error or lane.refused or lane.left for lane in batch.lanes):
            raise _NotAll
        await transactions.commit()

    async def _settled(self, batch: _Batch, transactions: Transactions) -> bool:
        """Whether the batch went out; from now on it cannot any more.

        Raises BrokerAway when that cannot be found out; the next take-over will.
        """
        # Whoever has lost the shard must not bar its new owner.
        async with self._lock_session().use() as connection:
            await connection.execute("SELECT 1")
        try:
            async with asyncio.timeout(CERTAINTY_SECONDS):
                await transactions.begin()
                committed = await transactions.number()
        except _DOUBT as error:
            raise BrokerAway(f"A batch of shard {batch.shard} is in doubt: {error!r}") from error
        if committed is None or committed > batch.number:
            raise BrokerAway(f"Kafka has the number {committed} for shard {batch.shard}.")
        return committed == batch.number

    def _judge(self, batch: _Batch, outcome: Outcome) -> bool:
        """Say in `outcome` who kept the batch from going out; whether that is known.

        A topic is closed where it says so, where it does not answer in time although the
        transaction's coordinator does, and where it fails while others of the batch do not.
        """
        answering = {lane.topic for lane in batch.lanes if lane.done}
        late = isinstance(batch.problem, TimeoutError)
        known = False
        for lane in batch.lanes:
            error = lane.error
            if error is None and late and lane.under_way:
                error = kafka_errors.RequestTimedOutError()
            if lane.too_much:
                self._one_by_one.add(lane.place)
            elif error is not None and not isinstance(error, _OF_EPOCH):
                says_so = isinstance(error, (*CLOSES_TOPIC, kafka_errors.RequestTimedOutError))
                if says_so or answering - {lane.topic}:
                    outcome.closed[lane.topic] = type(error).__name__
                    known = True
            outcome.refused |= lane.refused
            known = known or bool(lane.refused)
        return known

    async def _keep_number(self, shard: int) -> None:
        """Have the number in Kafka fresh, so that it is there when it is asked for."""
        state = self._shards[shard]
        if time.monotonic() - state.committed_at < NUMBER_SECONDS:
            return
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS):
                await _commit_number(state.transactions, state.committed)
        except _DOUBT as error:
            # An id unused for as long is forgotten, too: begun anew, there is one.
            raise BrokerAway(f"The number of shard {shard} was not kept: {error!r}") from error
        state.committed_at = time.monotonic()

    def _lock_session(self) -> LockSession:
        if self._session is None:
            raise BrokerAway("No shard was taken over.")
        return self._session


class _NotAll(Exception):
    """Not every record of the batch was stored: it must not be committed."""


async def _commit_number(transactions: Transactions, number: int) -> None:
    await transactions.add(())
    await transactions.mark(number)
    await transactions.commit()


async def _all(works: Iterable[Awaitable[None]]) -> None:
    """Run all to their ends; then raise what the first of them raised."""
    for told in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(told, BaseException):
            raise told


def _unknown(shard: int, left: Left | None, cluster: str, name: str) -> str:
    number, count, its = (
        (left.number, len(left.row_ids), left.cluster) if left is not None else (0, 0, cluster)
    )
    where = "this cluster" if its == cluster else f"the cluster {its}; this one is {cluster}"
    return (
        f"Nobody can know whether batch {number} of shard {shard} ({count} records) was published "
        f"to {where}: no number of the group {name} says so. Look for its records on their topics: "
        f"crossroads doctor settle-batch {shard} shows them, and takes your word."
    )
