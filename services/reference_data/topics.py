"""The reconciler: every tenant has its six topics, a few seconds after its upsert at the latest.

It compares all tenants with the broker's topics again and again, so a tenant whose topics could not
be made at once, and a broker that was replaced, need nobody's help. The upsert only nudges it. It
creates and never changes: a partition count stays what it was, for the order of keys depends on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog
from aiokafka.errors import KafkaError

from schemas import topics
from services.kit.database import Pool, is_away, transaction
from services.kit.errors import BrokerAway
from services.kit.kafka import TopicAdmin, TopicSpec
from services.kit.listening import Listener
from services.kit.settings import Settings
from services.records import master_data

log = structlog.get_logger()

CHANNEL = "crossroads_tenants"
ROUND_SECONDS = 5.0
_BROKER_SECONDS = 20.0


def wanted(tenants: Iterable[tuple[str, int]]) -> list[TopicSpec]:
    """The topics there should be with these tenants (slug, partitions): theirs and the hub's own.

    A deactivated tenant keeps its topics, so that what is parked for it is not lost.
    """
    found = [*topics.base_topics(), topics.relay_topic()]
    for slug, partitions in tenants:
        found += topics.tenant_topics(slug, partitions)
    return [TopicSpec(topic.name, topic.partitions, topic.configs) for topic in found]


class TopicReconciler:
    """Creates missing topics until it is stopped; any number may run at once.

    With `manage_topics` off it only waits for its end: topics are somebody else's then.
    """

    def __init__(
        self, settings: Settings, pool: Pool, *, round_seconds: float = ROUND_SECONDS
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._round_seconds = round_seconds
        self._listener = Listener(
            settings.database_url, [CHANNEL], application_name="crossroads reference-data topics"
        )
        self._refused: dict[str, str] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. What is away is met with another try in the next round."""
        if not self._settings.manage_topics:
            log.info("topics are not managed here")
            await stop.wait()
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listener.run(stop))
            group.create_task(self._wake_at(stop))
            while not stop.is_set():
                await self._round()
                await self._listener.wait(self._round_seconds)

    async def reconcile(self) -> list[str]:
        """One comparison; the names of the topics it created.

        Raises BrokerAway or a KafkaError, and what the database raises.
        """
        async with transaction(self._pool) as connection:
            tenants = await master_data.partitions_of_tenants(connection)
        async with asyncio.timeout(_BROKER_SECONDS), TopicAdmin(self._settings) as admin:
            outcome = await admin.create_missing(wanted(tenants))
        created = [name for name, refusal in outcome.items() if refusal is None]
        refused = {name: refusal for name, refusal in outcome.items() if refusal is not None}
        for name in created:
            log.info("topic created", topic=name)
        for name, refusal in refused.items():
            if self._refused.get(name) != refusal:
                log.error("a topic cannot be created", topic=name, reason=refusal)
        self._refused = refused
        return created

    async def _round(self) -> None:
        try:
            await self.reconcile()
        except (BrokerAway, KafkaError, TimeoutError) as error:
            log.warning("topics were not compared", error=repr(error))
        except Exception as error:
            if not is_away(error):
                raise
            log.warning("topics were not compared", error=repr(error))

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._listener.heard.set()
