"""Kafka's clients from the settings, the ends of logs, and topics as code."""

import asyncio
import re
import ssl
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from services.kit.errors import BrokerAway
from services.kit.placement import LogEnds
from services.kit.settings import Settings

# The consumer meets a batch whole, so one partition's share of a fetch must hold the largest one a
# topic takes (8 MiB), and a poll over all partitions must stay within a process's memory.
MAX_PARTITION_FETCH_BYTES = 8 * 1024 * 1024 + 64 * 1024
MAX_FETCH_BYTES = 32 * 1024 * 1024

_REQUEST_TIMEOUT_SECONDS = 10.0
_STOP_SECONDS = 1.0
_FETCH_WAIT_MS = 50
_SASL = {
    "PLAIN": SASLPlaintext,
    "SCRAM-SHA-256": SASLScram256,
    "SCRAM-SHA-512": SASLScram512,
}


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be: partitions 1 to 48, `configs` in Kafka's own names and texts."""

    name: str
    partitions: int
    configs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicDifference:
    """What a topic has (None: the topic or the setting is not there) against what it should have.

    `setting` is a configuration name, or `partitions`.
    """

    topic: str
    setting: str
    wanted: str
    found: str | None


def client_arguments(settings: Settings) -> dict[str, Any]:
    """What every aiokafka client of this process is opened with: address and security."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
        "metadata_max_age_ms": settings.metadata_max_age_ms,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        arguments["ssl_context"] = ssl_context(settings)
    if settings.kafka_security_protocol.startswith("SASL"):
        arguments["sasl_mechanism"] = settings.kafka_sasl_mechanism
        arguments["sasl_plain_username"] = settings.kafka_sasl_username
        arguments["sasl_plain_password"] = _password(settings)
    return arguments


def faststream_security(settings: Settings) -> BaseSecurity | None:
    """The same security in FastStream's words; None for plain text without credentials."""
    protocol = settings.kafka_security_protocol
    context = ssl_context(settings) if protocol.endswith("SSL") else None
    if protocol.startswith("SASL"):
        kind = _SASL[settings.kafka_sasl_mechanism or "PLAIN"]
        return kind(
            username=settings.kafka_sasl_username or "",
            password=_password(settings),
            ssl_context=context,
            use_ssl=context is not None,
        )
    return None if context is None else BaseSecurity(ssl_context=context, use_ssl=True)


def ssl_context(settings: Settings) -> ssl.SSLContext:
    """A verifying TLS context with our own authority and certificate where they are set."""
    cafile = settings.kafka_ssl_cafile
    context = ssl.create_default_context(cafile=None if cafile is None else str(cafile))
    if settings.kafka_ssl_certfile is not None:
        context.load_cert_chain(settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile)
    return context


async def cluster_id(settings: Settings) -> str:
    """The id of the cluster that answers at the settings' address. Raises BrokerAway."""
    admin = AIOKafkaAdminClient(**client_arguments(settings))
    try:
        async with asyncio.timeout(_REQUEST_TIMEOUT_SECONDS):
            await admin.start()
            return await _cluster_id(admin)
    except (KafkaError, TimeoutError, OSError) as error:
        raise BrokerAway(f"The broker did not tell its cluster id: {error!r}") from error
    finally:
        await admin.close()


class BrokerView:
    """Looks at the broker from beside the consumers: the cluster id and the ends of logs.

    It has connections of its own, so that it answers when a consumer is stuck. After an error it
    opens new ones. Not for concurrent use by many: calls wait for one another.
    """

    def __init__(self, settings: Settings) -> None:
        self._arguments = client_arguments(settings)
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None
        self._turn = asyncio.Lock()

    async def cluster_id(self) -> str:
        """The id of the cluster that answers now. Raises BrokerAway."""
        async with self._turn:
            try:
                async with asyncio.timeout(_REQUEST_TIMEOUT_SECONDS):
                    if self._admin is None:
                        self._admin = AIOKafkaAdminClient(**self._arguments)
                        await self._admin.start()
                    return await _cluster_id(self._admin)
            except (KafkaError, TimeoutError, OSError) as error:
                await self._close()
                raise BrokerAway(f"The broker does not answer: {error!r}") from error

    async def partitions(self, pattern: re.Pattern[str]) -> set[TopicPartition]:
        """The partitions of every topic whose name matches. Raises BrokerAway."""
        async with self._turn:
            try:
                async with asyncio.timeout(_REQUEST_TIMEOUT_SECONDS):
                    if self._admin is None:
                        self._admin = AIOKafkaAdminClient(**self._arguments)
                        await self._admin.start()
                    names = [
                        each for each in await self._admin.list_topics() if pattern.match(each)
                    ]
                    described = await self._admin.describe_topics(names) if names else []
            except (KafkaError, TimeoutError, OSError) as error:
                await self._close()
                raise BrokerAway(f"The broker does not tell its topics: {error!r}") from error
        return {
            TopicPartition(topic["topic"], each["partition"])
            for topic in described
            for each in topic["partitions"]
        }

    async def log_ends(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, LogEnds]:
        """Where each log starts and where its last stable record ends. Raises BrokerAway.

        A partition of a topic that is not there (any more) is missing in the answer.
        """
        if not partitions:
            return {}
        async with self._turn:
            try:
                async with asyncio.timeout(_REQUEST_TIMEOUT_SECONDS):
                    consumer = await self._open()
                    existing = await consumer.topics()
                    known = [each for each in partitions if each.topic in existing]
                    starts = await consumer.beginning_offsets(known)
                    ends = await consumer.end_offsets(known)
            except (KafkaError, TimeoutError, OSError) as error:
                await self._close()
                raise BrokerAway(f"The broker does not tell its logs' ends: {error!r}") from error
        return {each: LogEnds(starts[each], ends[each]) for each in known}

    async def fetched_ends(
        self, listed: Mapping[TopicPartition, LogEnds]
    ) -> dict[TopicPartition, LogEnds]:
        """The same ends as fetches tell them: never less than what was listed. Raises BrokerAway.

        The embedded broker lists a log's end as one behind the first record of its last batch: a
        log of one batch of five records ends at 1 for it.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(_REQUEST_TIMEOUT_SECONDS):
                    return await _fetched(await self._open(), listed)
            except (KafkaError, TimeoutError, OSError) as error:
                await self._close()
                raise BrokerAway(f"The broker does not tell its logs' ends: {error!r}") from error

    async def close(self) -> None:
        """Ends its connections."""
        async with self._turn:
            await self._close()

    async def _open(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            self._consumer = AIOKafkaConsumer(
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level="read_committed",
                fetch_max_wait_ms=_FETCH_WAIT_MS,
                request_timeout_ms=int(_REQUEST_TIMEOUT_SECONDS * 1000),
                **self._arguments,
            )
            await self._consumer.start()
        return self._consumer

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        admin, self._admin = self._admin, None
        with suppress(KafkaError, OSError):
            if consumer is not None:
                # aiokafka's fetcher forgets to stop when it is told so while it gives up what it
                # was assigned, and stop() waits for it for ever. Told again, it ends.
                async with asyncio.timeout(_STOP_SECONDS):
                    await _stop(consumer)
        with suppress(KafkaError, OSError):
            if admin is not None:
                await admin.close()


async def _stop(consumer: AIOKafkaConsumer) -> None:
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        # A task of aiokafka's own that was ended before it had begun says so, and the rest of its
        # stop is left out: on a broker without topics a look is over so soon.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        await consumer._client.close()  # noqa: SLF001


async def _fetched(
    consumer: AIOKafkaConsumer, listed: Mapping[TopicPartition, LogEnds]
) -> dict[TopicPartition, LogEnds]:
    ends = dict(listed)
    missing = {partition for partition, log in listed.items() if log.end > log.start}
    if not missing:
        return ends
    consumer.assign(sorted(missing))
    try:
        for partition in missing:
            consumer.seek(partition, listed[partition].end)
        while missing:
            await consumer.getmany(timeout_ms=_FETCH_WAIT_MS)
            for partition in sorted(missing):
                end = consumer.last_stable_offset(partition)
                if end is not None:
                    start, least = listed[partition].start, listed[partition].end
                    ends[partition] = LogEnds(start, max(end, least))
                    missing.discard(partition)
    finally:
        consumer.unsubscribe()
    return ends


class TopicAdmin:
    """Topics as code: creates what is missing and tells what differs. Changes no existing topic.

    An async context manager; raises BrokerAway where the broker does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = AIOKafkaAdminClient(**client_arguments(settings))

    async def __aenter__(self) -> Self:
        try:
            await self._client.start()
        except (KafkaError, OSError) as error:
            await self._client.close()
            raise BrokerAway(f"The broker does not answer: {error!r}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def names(self) -> set[str]:
        """The names of all topics that may be seen."""
        return set(await self._client.list_topics())

    async def create_missing(
        self, specs: Sequence[TopicSpec], *, replication_factor: int | None = None
    ) -> dict[str, str | None]:
        """Creates the topics that are not there, and tells for each created one: None, or why not.

        Topics that exist are left as they are (a partition count never changes), and are not in
        the answer. Without a replication factor it is 3, or the number of brokers if less.
        """
        existing = await self.names()
        wanted = [spec for spec in specs if spec.name not in existing]
        if not wanted:
            return {}
        if replication_factor is None:
            # aiokafka refuses -1, which would be the broker's own default.
            brokers = (await self._client.describe_cluster())["brokers"]
            replication_factor = min(3, len(brokers))
        answer = await self._client.create_topics(
            [
                NewTopic(
                    spec.name, spec.partitions, replication_factor, topic_configs=dict(spec.configs)
                )
                for spec in wanted
            ]
        )
        outcome: dict[str, str | None] = {}
        for name, code, *_ in answer.topic_errors:
            kind = for_code(code)
            fine = code == 0 or kind is TopicAlreadyExistsError
            outcome[name] = None if fine else kind.__name__
        return outcome

    async def differences(self, specs: Sequence[TopicSpec]) -> list[TopicDifference]:
        """Where topics are not as `specs` wants them, sorted by topic and setting."""
        existing = await self.names()
        found: list[TopicDifference] = []
        there = [spec for spec in specs if spec.name in existing]
        counts = await self._partition_counts([spec.name for spec in there])
        configs = await self._configs(there)
        for spec in specs:
            if spec.name not in existing:
                wanted = str(spec.partitions)
                found.append(TopicDifference(spec.name, "partitions", wanted, None))
                continue
            if counts[spec.name] != spec.partitions:
                wanted, has = str(spec.partitions), str(counts[spec.name])
                found.append(TopicDifference(spec.name, "partitions", wanted, has))
            for setting, wanted in spec.configs.items():
                current = configs.get(spec.name, {}).get(setting)
                if current != wanted:
                    found.append(TopicDifference(spec.name, setting, wanted, current))
        return sorted(found, key=lambda each: (each.topic, each.setting))

    async def _partition_counts(self, names: list[str]) -> dict[str, int]:
        if not names:
            return {}
        described = await self._client.describe_topics(names)
        return {each["topic"]: len(each["partitions"]) for each in described}

    async def _configs(self, specs: Sequence[TopicSpec]) -> dict[str, dict[str, str]]:
        resources = [
            ConfigResource(ConfigResourceType.TOPIC, spec.name) for spec in specs if spec.configs
        ]
        if not resources:
            return {}
        configs: dict[str, dict[str, str]] = {}
        for answer in await self._client.describe_configs(resources):
            for _code, _message, _kind, name, entries in answer.resources:
                configs[name] = {entry[0]: entry[1] for entry in entries}
        return configs


async def _cluster_id(admin: AIOKafkaAdminClient) -> str:
    described = await admin.describe_cluster()
    found: str | None = described.get("cluster_id")
    if not found:
        raise BrokerAway("The broker does not tell a cluster id.")
    return found


def _password(settings: Settings) -> str:
    return settings.kafka_sasl_password or ""
