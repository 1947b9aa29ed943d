"""Upserts sent as the operator, and awaited on the operators' results topic. Kafka alone is needed.

The results are read from their end as it was before the first record went out, without a consumer
group: who else reads them does not matter, and neither do answers of others.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas import topics
from schemas.dump import to_json
from schemas.operations import operation
from schemas.results import FINAL_OUTCOMES
from services.cli.logs_of_topics import partitions_of
from services.cli.reference_files import Item
from services.domain.reference import entity_key
from services.kit.cloudevents import Envelope, write_headers
from services.kit.errors import BrokerAway, CrossroadsError
from services.kit.ids import fingerprint
from services.kit.kafka import client_arguments
from services.kit.settings import Settings

SOURCE = "/crossroads/cli"
# Seconds without any answer: until what waits is told as waiting, and until silence is a failure.
IDLE_SECONDS = 10.0
SILENT_SECONDS = 60.0
_SEND_SECONDS = 60.0
_POLL_MS = 200
_MAX_REQUEST_BYTES = 2 * 1024 * 1024
_PAGE = 500


class NotApplied(CrossroadsError):
    """The hub did not take or did not answer the upserts."""


@dataclass(slots=True)
class Applied:
    """What became of an item; `outcome` is None while nothing was heard."""

    item: Item
    command_id: str
    outcome: str | None = None
    id: str | None = None
    detail: Any = None

    @property
    def final(self) -> bool:
        """Whether nothing more will come."""
        return self.outcome in FINAL_OUTCOMES

    @property
    def failed(self) -> bool:
        """Whether it was refused, or failed."""
        return self.outcome in ("refused", "failed")

    def as_json(self) -> dict[str, Any]:
        """One line of the command's `--json` answer."""
        return {
            "entity": self.item.operation.removeprefix("reference.upsert-"),
            "key": self.item.label,
            "place": self.item.place,
            "id": self.id,
            "outcome": self.outcome,
            "detail": self.detail,
        }


Heard = Callable[[Sequence[Applied]], None]


async def apply(
    settings: Settings,
    items: Sequence[Item],
    *,
    idle_seconds: float = IDLE_SECONDS,
    silent_seconds: float = SILENT_SECONDS,
    heard: Heard = lambda _: None,
) -> list[Applied]:
    """Send every item and wait until each is applied, refused or known to wait; in their order.

    An item whose parent is missing is awaited as long as answers to others come; when none came
    for `idle_seconds` it is left waiting. `heard` is called with all after each change. Raises
    BrokerAway, and NotApplied when an item has no answer at all for `silent_seconds`.
    """
    run = secrets.token_hex(8)
    sent = [Applied(item, _command_id(run, at, item)) for at, item in enumerate(items)]
    if not sent:
        return []
    arguments = client_arguments(settings)
    consumer = AIOKafkaConsumer(
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        **arguments,
    )
    # The embedded broker knows no idempotent producer; an id makes a repeat harmless anyway.
    producer = AIOKafkaProducer(acks="all", max_request_size=_MAX_REQUEST_BYTES, **arguments)
    try:
        await consumer.start()
        await producer.start()
        await _to_the_end(settings, consumer)
        receiving = asyncio.create_task(
            _receive(consumer, sent, idle_seconds, silent_seconds, heard)
        )
        try:
            await _produce(producer, sent)
            await receiving
        finally:
            receiving.cancel()
    except (KafkaError, OSError) as error:
        raise BrokerAway(f"The broker does not answer: {error!r}") from error
    finally:
        await producer.stop()
        await consumer.stop()
    return sent


def _command_id(run: str, at: int, item: Item) -> str:
    content = fingerprint(run, at, item.operation, to_json(item.body)).hex()
    return f"apply-{content[:32]}"


async def _to_the_end(settings: Settings, consumer: AIOKafkaConsumer) -> None:
    topic = topics.results_topic(topics.OPERATOR_SLUG)
    # A consumer that reads nothing yet knows the topics of the embedded broker alone.
    found = await partitions_of(settings, [topics.RESULTS])
    assigned = [partition for partition in found if partition.topic == topic]
    if not assigned:
        raise NotApplied(f"The topic {topic} is not there: run `crossroads topics apply` first.")
    consumer.assign(assigned)
    for partition, end in (await consumer.end_offsets(assigned)).items():
        consumer.seek(partition, end)


async def _produce(producer: AIOKafkaProducer, sent: Sequence[Applied]) -> None:
    try:
        async with asyncio.timeout(_SEND_SECONDS + len(sent) / 100):
            for start in range(0, len(sent), _PAGE):
                page = [await _send(producer, one) for one in sent[start : start + _PAGE]]
                await asyncio.gather(*page)
    except TimeoutError as error:
        raise NotApplied(
            f"The broker did not take the upserts: is {topics.REFERENCE} there?"
        ) from error


async def _send(producer: AIOKafkaProducer, one: Applied) -> asyncio.Future[Any]:
    wanted = operation(one.item.operation)
    envelope = Envelope(
        id=one.command_id,
        source=SOURCE,
        type=str(wanted.type),
        origin_tenant=topics.OPERATOR_SLUG,
    )
    future: asyncio.Future[Any] = await producer.send(
        topics.REFERENCE,
        key=entity_key(one.item.operation, one.item.body).encode(),
        value=to_json(one.item.body),
        headers=write_headers(envelope),
    )
    return future


async def _receive(
    consumer: AIOKafkaConsumer,
    sent: Sequence[Applied],
    idle_seconds: float,
    silent_seconds: float,
    heard: Heard,
) -> None:
    by_id = {one.command_id: one for one in sent}
    open_ids = set(by_id)
    clock = asyncio.get_running_loop().time
    last = clock()
    while open_ids:
        polled = await consumer.getmany(timeout_ms=_POLL_MS)
        told = [
            one
            for records in polled.values()
            for record in records
            if (one := _take(by_id, record.value)) is not None
        ]
        if told:
            last = clock()
            open_ids.difference_update(one.command_id for one in told if one.final)
            heard(sent)
            continue
        silent = any(by_id[one].outcome is None for one in open_ids)
        if not silent and clock() - last > idle_seconds:
            return
        if silent and clock() - last > silent_seconds:
            missing = sum(by_id[one].outcome is None for one in open_ids)
            raise NotApplied(
                f"{missing} of {len(sent)} upserts were sent and not answered in "
                f"{silent_seconds:.0f} seconds: does reference-data run?"
            )


def _take(by_id: Mapping[str, Applied], value: bytes | None) -> Applied | None:
    """The item a result is for, with what it says; None for anybody else's result."""
    result = orjson.loads(value or b"{}")
    one = by_id.get(result.get("command_id") or "")
    if one is None or one.final or result["outcome"] == "duplicate":
        return None
    body = result["body"]
    one.outcome, one.id, one.detail = result["outcome"], body.get("id"), body.get("detail")
    return one
