"""The topic catalogue (topics.yaml), typed: names, what they carry, how they are created."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from schemas.scalars import SLUG_PATTERN

ORDERS = "crossroads.orders"
PROGRESS = "crossroads.progress"
CHANGES = "crossroads.changes"
REFERENCE = "crossroads.reference"
SYNC = "crossroads.sync"
RESULTS = "crossroads.results"
DEAD_LETTER = "crossroads.dead-letter"

RELAY = "crossroads.relay"
"""The hub's own, and always empty: offsets committed for it are the numbers of the relay's batches
where delivery is exactly once. In no catalogue: nobody else reads or writes it."""

OPERATOR_SLUG = "operator"
"""Reserved for the hub's operators: no tenant may have it."""

SLUG = re.compile(SLUG_PATTERN.removeprefix("^").removesuffix("$"))

_DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class TopicBase:
    """One line of the catalogue. `partitions` is None where only tenants have the topic."""

    base: str
    direction: Literal["input", "output"]
    writers: str
    key: str
    suffixless: bool
    per_tenant: bool
    operator: bool
    partitions: int | None
    retention_days: int
    max_message_bytes: int
    timestamp_type: Literal["LogAppendTime", "CreateTime"]
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic to be created: its name, partitions and configuration as the broker takes it."""

    name: str
    partitions: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The whole of topics.yaml."""

    bases: Mapping[str, TopicBase]
    base_of_type: Mapping[str, str]
    tenant_partitions: int
    cleanup_policy: str


@cache
def catalogue() -> Catalogue:
    """The catalogue, read from the package once."""
    document = yaml.safe_load(files("schemas").joinpath("topics.yaml").read_text("utf-8"))
    bases = {entry["base"]: _base(entry) for entry in document["topics"]}
    return Catalogue(
        bases=bases,
        base_of_type={kind: base.base for base in bases.values() for kind in base.types},
        tenant_partitions=document["defaults"]["tenant_partitions"],
        cleanup_policy=document["defaults"]["cleanup_policy"],
    )


def _base(entry: dict[str, Any]) -> TopicBase:
    return TopicBase(
        **{
            "operator": False,
            "partitions": None,
            **entry,
            "types": tuple(entry["types"]),
        }
    )


def topic_of(ce_type: str) -> str | None:
    """The base of the topics that carry this type; None for a type nobody knows."""
    return catalogue().base_of_type.get(ce_type)


def types_of(base: str) -> tuple[str, ...]:
    """The types the topics of this base carry; KeyError for a base that is none."""
    return catalogue().bases[base].types


def input_bases() -> tuple[str, ...]:
    """The bases commands are written to."""
    return tuple(base.base for base in catalogue().bases.values() if base.direction == "input")


def input_topic(base: str, slug: str) -> str:
    """The tenant's own topic of an input base: its suffix proves who writes."""
    return f"{base}.{slug}"


def sync_topic(slug: str) -> str:
    """The topic a tenant's system takes its orders in from."""
    return f"{SYNC}.{slug}"


def results_topic(slug: str) -> str:
    """The topic the answers to a tenant's (or `operator`'s) commands go to."""
    return f"{RESULTS}.{slug}"


def split_topic(name: str) -> tuple[str, str | None] | None:
    """The base and the tenant's slug of a topic's name; None when it is no topic of the hub.

    `crossroads.orders.acme` gives `("crossroads.orders", "acme")`.
    """
    bases = catalogue().bases
    if name in bases:
        return (name, None) if bases[name].suffixless else None
    base, _, slug = name.rpartition(".")
    if base in bases and bases[base].per_tenant and SLUG.fullmatch(slug):
        return base, slug
    return None


def tenant_topics(slug: str, partitions: int | None = None) -> list[Topic]:
    """The six topics of a tenant; `partitions` is what its upsert says (1-48), else 3."""
    book = catalogue()
    count = book.tenant_partitions if partitions is None else partitions
    return [
        _topic(base, f"{base.base}.{slug}", count)
        for base in book.bases.values()
        if base.per_tenant
    ]


def base_topics() -> list[Topic]:
    """The topics that are there without any tenant: input, dead letters, operators' results."""
    topics = []
    for base in catalogue().bases.values():
        if base.suffixless and base.partitions is not None:
            topics.append(_topic(base, base.base, base.partitions))
        if base.operator and base.partitions is not None:
            topics.append(_topic(base, f"{base.base}.{OPERATOR_SLUG}", base.partitions))
    return topics


def relay_topic() -> Topic:
    """The topic RELAY."""
    return Topic(name=RELAY, partitions=1, configs={"cleanup.policy": catalogue().cleanup_policy})


def _topic(base: TopicBase, name: str, partitions: int) -> Topic:
    return Topic(
        name=name,
        partitions=partitions,
        configs={
            "cleanup.policy": catalogue().cleanup_policy,
            "retention.ms": str(base.retention_days * _DAY_MS),
            "max.message.bytes": str(base.max_message_bytes),
            "message.timestamp.type": base.timestamp_type,
        },
    )
