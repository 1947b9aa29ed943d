"""Placing a reader on its partitions: marks read under lock, and everything odd said loudly."""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.kit import positions
from services.kit.database import Pool, transaction
from services.kit.kafka import BrokerView
from services.kit.metrics import POSITION_JUMPS_TOTAL
from services.kit.placement import LogEnds, Verdict, judge
from services.kit.positions import DatabaseConnection, Mark

log = structlog.get_logger()

# The insertion point's timeline; pg_control_checkpoint() would tell it only from the next
# checkpoint on.
_TIMELINE = "select substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)"


@dataclass(frozen=True, slots=True)
class Place:
    """Where to read one partition, if `verdict` is `go-on`; otherwise it may not be read yet."""

    partition: TopicPartition
    cluster_id: str
    lineage: int
    offset: int
    verdict: Verdict


class Placer:
    """Finds the places of one consumer group; remembers what it saw to notice what changed."""

    def __init__(
        self,
        pool: Pool,
        view: BrokerView,
        *,
        service: str,
        group: str,
        shorter_grace_seconds: float,
    ) -> None:
        self._pool = pool
        self._view = view
        self._service = service
        self._group = group
        self._grace = shorter_grace_seconds
        self._cluster_id: str | None = None
        self._timeline: str | None = None
        self._shorter_since: dict[TopicPartition, float] = {}
        self._told_lost: set[TopicPartition] = set()

    @property
    def cluster_id(self) -> str | None:
        """The cluster of the latest places, or None before the first."""
        return self._cluster_id

    async def place(
        self,
        partitions: Collection[TopicPartition],
        committed: Mapping[TopicPartition, int],
    ) -> list[Place]:
        """The places of those of `partitions` that the broker knows.

        `committed` are the group's offsets at the broker: only compared with the marks. Raises
        BrokerAway, and what means that the database is away.
        """
        cluster_id = await self._view.cluster_id()
        logs = await self._log_ends(cluster_id, partitions)
        async with transaction(self._pool) as connection:
            starts = {partition: ends.start for partition, ends in logs.items()}
            # First, because a server that only reads refuses it as being away.
            new = await positions.insert_missing(connection, cluster_id, self._group, starts)
            await self._look_at_timeline(connection)
            marks = await positions.lock(connection, cluster_id, self._group, starts)
            earlier: list[str] = []
            if new:
                earlier = await positions.other_clusters(connection, cluster_id, self._group)
            self._tell_cluster(cluster_id, new, earlier)
            places = [
                await self._placed(connection, cluster_id, partition, marks[partition], ends)
                for partition, ends in sorted(logs.items())
            ]
        for place in places:
            self._compare(place, committed.get(place.partition))
        return places

    async def _log_ends(
        self, cluster_id: str, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, LogEnds]:
        """The logs' ends; one that is listed below the mark is looked at once more, by fetching."""
        logs = await self._view.log_ends(partitions)
        async with transaction(self._pool) as connection:
            marks = await positions.read(connection, cluster_id, self._group)
        doubtful = {
            partition: ends
            for partition, ends in logs.items()
            if partition in marks and marks[partition].next_offset > ends.end
        }
        if doubtful:
            logs |= await self._view.fetched_ends(doubtful)
        return logs

    async def _placed(
        self,
        connection: DatabaseConnection,
        cluster_id: str,
        partition: TopicPartition,
        mark: Mark,
        ends: LogEnds,
    ) -> Place:
        verdict = judge(mark.next_offset, ends)
        facts = {
            "topic": partition.topic,
            "partition": partition.partition,
            "mark": mark.next_offset,
            "log_start": ends.start,
            "log_end": ends.end,
        }
        if verdict != "shorter":
            self._shorter_since.pop(partition, None)
        if verdict != "lost":
            self._told_lost.discard(partition)
        elif partition not in self._told_lost:
            self._told_lost.add(partition)
            log.error(
                "records were removed by retention before they were read; this partition stays "
                "refused until `crossroads doctor accept-loss` moves its mark",
                **facts,
            )
            POSITION_JUMPS_TOTAL.labels(self._service, "log-start").inc()
        if verdict == "shorter":
            now = time.monotonic()
            # A leader that was just elected may tell an end that is too low for a moment.
            if now - self._shorter_since.setdefault(partition, now) < self._grace:
                return Place(partition, cluster_id, mark.lineage, mark.next_offset, "shorter")
            lineage = await positions.restart(
                connection, cluster_id, self._group, partition, ends.start
            )
            del self._shorter_since[partition]
            log.error(
                "the log ends below the mark: the topic was made anew; reading it from its start",
                lineage=lineage,
                **facts,
            )
            POSITION_JUMPS_TOTAL.labels(self._service, "broker-replaced").inc()
            return Place(partition, cluster_id, lineage, ends.start, "go-on")
        return Place(partition, cluster_id, mark.lineage, mark.next_offset, verdict)

    def _tell_cluster(self, cluster_id: str, new: list[TopicPartition], earlier: list[str]) -> None:
        changed = self._cluster_id is not None and self._cluster_id != cluster_id
        first = self._cluster_id is None and bool(earlier)
        if changed or first:
            log.error(
                "the broker was replaced: reading its topics from their starts",
                cluster_id=cluster_id,
                earlier=earlier,
                partitions=len(new),
            )
            POSITION_JUMPS_TOTAL.labels(self._service, "broker-replaced").inc()
        self._cluster_id = cluster_id

    def _compare(self, place: Place, committed: int | None) -> None:
        if committed is not None and place.lineage == 0 and committed > place.offset:
            self.tell_went_back(place.partition, place.offset, committed)

    def tell_went_back(self, partition: TopicPartition, mark: int | None, known: int) -> None:
        """Says that the database holds less than it held: `known` was its mark already."""
        log.error(
            "the database went back: its mark is below what was processed; going on from it",
            topic=partition.topic,
            partition=partition.partition,
            mark=mark,
            known=known,
        )
        POSITION_JUMPS_TOTAL.labels(self._service, "database-went-back").inc()

    async def _look_at_timeline(self, connection: DatabaseConnection) -> None:
        timeline: str = await connection.fetchval(_TIMELINE)
        if self._timeline is not None and timeline != self._timeline:
            log.error(
                "the database was promoted: its timeline changed",
                was=self._timeline,
                now=timeline,
            )
            POSITION_JUMPS_TOTAL.labels(self._service, "database-went-back").inc()
        self._timeline = timeline


async def committed_offsets(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], seconds: float
) -> dict[TopicPartition, int]:
    """The group's offsets at the broker, where there are any and it tells them in time."""
    async with asyncio.timeout(seconds):
        offsets = await asyncio.gather(*(consumer.committed(each) for each in partitions))
    pairs = zip(partitions, offsets, strict=True)
    return {partition: offset for partition, offset in pairs if offset is not None and offset >= 0}
