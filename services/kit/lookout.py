"""The look around every few seconds: lag, standstill, and whether database and broker answer."""

import asyncio
import time

import structlog
from aiokafka import TopicPartition

from services.kit import positions
from services.kit.database import Pool, is_away, transaction
from services.kit.errors import BrokerAway, ServiceMustStop
from services.kit.kafka import BrokerView
from services.kit.metrics import CONSUMER_LAG_RECORDS, PARTITION_STALLED
from services.kit.placement import LogEnds
from services.kit.positions import Mark
from services.kit.reading import Reader
from services.kit.tuning import Tuning
from services.kit.watchdog import Sight, Watchdog

log = structlog.get_logger()


class Lookout:
    """Looks at what a reader does from beside it, by connections of its own to the broker."""

    def __init__(
        self, reader: Reader, pool: Pool, view: BrokerView, *, group: str, tuning: Tuning
    ) -> None:
        self._reader = reader
        self._pool = pool
        self._view = view
        self._group = group
        self._tuning = tuning
        self._watchdog: Watchdog[TopicPartition] = Watchdog(
            stall_seconds=tuning.stall, end_seconds=tuning.end
        )
        self._told: set[TopicPartition] = set()
        self.trouble: str | None = "nobody looked yet"
        self.lag: dict[TopicPartition, int] = {}
        # Monotonic moments: all that had arrived by then is processed.
        self.reached: dict[TopicPartition, float] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._looked_at = 0.0

    @property
    def stalled(self) -> set[TopicPartition]:
        """Partitions with lag that do not move, and those that wait for an operator."""
        return self._watchdog.stalled()

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await self._look()
            await asyncio.sleep(self._tuning.look_every)

    async def _look(self) -> None:
        partitions = self._reader.partitions()
        began = time.monotonic()
        try:
            cluster_id = await self._view.cluster_id()
            logs = await self._view.log_ends(partitions)
            async with transaction(self._pool) as connection:
                marks = await positions.read(connection, cluster_id, self._group)
        except BrokerAway as error:
            self._blind("the broker does not answer", error)
            return
        except Exception as error:
            if not is_away(error):
                raise
            self._blind("the database does not answer", error)
            return
        self.trouble = None
        if self._reader.cluster_id not in {None, cluster_id}:
            self._reader.place_anew(partitions)
            return
        self._tell(logs, marks, began)
        self._judge()

    def _tell(
        self,
        logs: dict[TopicPartition, LogEnds],
        marks: dict[TopicPartition, Mark],
        began: float,
    ) -> None:
        reached: dict[TopicPartition, float] = {}
        sights: dict[TopicPartition, Sight] = {}
        for partition, ends in logs.items():
            held = marks.get(partition)
            mark = ends.start if held is None else held.next_offset
            known = self._reader.processed(partition)
            lag = max(0, ends.end - max(mark, known or 0))
            self.lag[partition] = lag
            CONSUMER_LAG_RECORDS.labels(partition.topic, partition.partition).set(lag)
            if lag == 0:
                reached[partition] = began
            elif max(mark, known or 0) >= self._ends.get(partition, ends.end):
                reached[partition] = self._looked_at
            elif partition in self.reached:
                reached[partition] = self.reached[partition]
            refused = partition in self._reader.refused
            sights[partition] = Sight(lag, (mark, known or 0), refused)
        self._watchdog.look(time.monotonic(), sights)
        stalled = self._watchdog.stalled()
        for partition in logs:
            stands = partition in stalled
            PARTITION_STALLED.labels(partition.topic, partition.partition).set(stands)
        for gone in self._told - set(logs):
            self.lag.pop(gone, None)
            CONSUMER_LAG_RECORDS.remove(gone.topic, gone.partition)
            PARTITION_STALLED.remove(gone.topic, gone.partition)
        self._told = set(logs)
        self.reached, self._looked_at = reached, began
        self._ends = {partition: ends.end for partition, ends in logs.items()}

    def _judge(self) -> None:
        hopeless = sorted(self._watchdog.hopeless())
        silent = time.monotonic() - self._reader.polled_at
        if hopeless:
            first = hopeless[0]
            self._reader.fail(
                ServiceMustStop(
                    f"{len(hopeless)} partitions with lag stand still though database and broker "
                    f"answer, {first.topic}/{first.partition} among them"
                )
            )
        elif silent > self._tuning.end:
            self._reader.fail(
                ServiceMustStop(f"no poll ended for {silent:.0f} seconds though the broker answers")
            )

    def _blind(self, trouble: str, error: BaseException) -> None:
        if self.trouble is None:
            log.warning(trouble, error=repr(error))
        self.trouble = trouble
        self._watchdog.blind()
        self._reader.polled_at = time.monotonic()
